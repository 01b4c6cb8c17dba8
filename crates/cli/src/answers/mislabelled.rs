use std::io::Write;

use anyhow::{Context, Result, ensure};
use influence_core::aggregate::{Along, Mean};
use ndarray::Array1;
use serde_json::{Value, json};

use super::{
    Format, Stored,
    listing::{Destination, Kind, Listing},
    names::{class, id, name, target},
    points::{Points, shown},
};
use crate::{
    args::MislabelledArguments,
    config::ArrayPath,
    data::{ClassOrder, Target, classes},
    plan::Plan,
    subject::Models,
    summary::{signed, table},
};

/// The shares of the training points at which the precision of a ranking is told, in percent.
const INSPECTED: [usize; 4] = [1, 5, 10, 20];

/// `influence mislabelled`: the training points in the order in which their labels deserve to be looked at.
///
/// # Errors
/// When the output is not complete, or the true labels do not fit its training points.
pub fn run(
    arguments: &MislabelledArguments,
    models: &dyn Models,
    out: &mut impl Write,
) -> Result<()> {
    let destination = Destination::of(&arguments.listing)?;
    let stored = Stored::open(&arguments.output)?;
    let suspicion = Suspicion::read(&stored)?;
    let plan = stored.plan(&arguments.set, models)?;
    let labels = plan.as_ref().map(labels).transpose()?;
    let truth = arguments
        .truth
        .as_ref()
        .map(|path| truth(path, suspicion.scores.len(), plan.as_ref()))
        .transpose()
        .context("--truth")?;
    ensure!(
        truth.is_none() || labels.is_some(),
        "--truth: {} does not say what labels it was made from",
        stored.shown()
    );
    let ranking = Ranking {
        order: suspicion.order(),
        suspicion,
        labels,
        truth,
    };
    destination.write(out, |out| match destination.format {
        Format::Table => ranking.print(arguments.show, out),
        format => ranking.listing(arguments.show).write(format, out),
    })
}

/// The training points, the most suspicious first, with what is known of them.
struct Ranking<'a> {
    order: Vec<usize>,
    suspicion: Suspicion,
    labels: Option<Points<'a>>,
    truth: Option<Vec<usize>>,
}

impl Ranking<'_> {
    /// Rank, number, label, true label and score of the first points.
    fn records(&self, show: usize) -> impl Iterator<Item = (usize, usize, Value, Value, f64)> {
        let points = self.order.iter().take(show).enumerate();
        points.map(|(rank, &point)| {
            (
                rank + 1,
                point,
                target(self.labels.as_ref(), point),
                self.true_label(point),
                self.suspicion.scores[point],
            )
        })
    }

    fn true_label(&self, point: usize) -> Value {
        let truth = self.truth.as_ref();
        truth.map_or(Value::Null, |truth| {
            class(self.labels.as_ref(), truth[point])
        })
    }

    fn print(&self, show: usize, out: &mut dyn Write) -> Result<()> {
        let rows = self
            .records(show)
            .map(|(rank, point, label, truth, score)| {
                [
                    rank.to_string(),
                    name(self.labels.as_ref(), point),
                    shown(&label),
                    shown(&truth),
                    signed(score),
                ]
            });
        let headings = ["rank", "train", "label", "truth", self.suspicion.score];
        writeln!(out, "{}", table(headings, 0, rows))?;
        let (Some(labels), Some(truth)) = (&self.labels, &self.truth) else {
            return Ok(());
        };
        let is_wrong = |point| labels.class(point) != Some(truth[point]);
        precision(&self.order, &is_wrong, out)
    }

    fn listing(&self, show: usize) -> Listing<6> {
        let columns = [
            ("rank", Kind::Integer),
            ("train", Kind::Integer),
            ("train_id", Kind::Integer),
            ("label", Kind::Integer),
            ("truth", Kind::Integer),
            (self.suspicion.score, Kind::Number),
        ];
        let labels = self.labels.as_ref();
        let records = self.records(show);
        Listing::new(
            columns,
            records.map(|(rank, point, label, truth, score)| {
                [
                    json!(rank),
                    json!(point),
                    id(labels, point),
                    label,
                    truth,
                    json!(score),
                ]
            }),
        )
    }
}

/// How suspicious the label of each training point is.
pub(super) struct Suspicion {
    /// What the scores are.
    pub(super) score: &'static str,
    pub(super) scores: Array1<f64>,
    largest_first: bool,
}

impl Suspicion {
    /// Self-influence, where a large one is suspicious, or the mean influence on the test points, where a small one is.
    pub(super) fn read(stored: &Stored) -> Result<Self> {
        stored.check_complete()?;
        let (own, shape) = (
            stored.influences.array() == "self_influences",
            stored.influences.shape(),
        );
        ensure!(
            shape.len() == if own { 1 } else { 2 },
            "{}: expected one number for each pair of points, got the shape {shape:?}",
            stored.shown()
        );
        let along = if own { Along::Train } else { Along::Test };
        let scores = stored.influences.compute(Mean::along(along))?;
        Ok(Self {
            score: if own {
                "self_influence"
            } else {
                "mean_influence"
            },
            scores,
            largest_first: own,
        })
    }

    /// The training points, the most suspicious first.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| {
            let (a_score, b_score) = (self.scores[a], self.scores[b]);
            let by_score = if self.largest_first {
                b_score.total_cmp(&a_score)
            } else {
                a_score.total_cmp(&b_score)
            };
            by_score.then(a.cmp(&b))
        });
        order
    }

    /// The first so many in that order.
    pub(super) fn first(&self, count: usize) -> Vec<usize> {
        let mut order = self.order();
        order.truncate(count);
        order
    }
}

fn labels(plan: &Plan) -> Result<Points<'_>> {
    ensure!(
        matches!(plan.target, Target::Class { .. }),
        "the model has no labels that could be wrong: its targets are no classes"
    );
    Points::read(&plan.train, plan)
}

/// The true labels of the training points; where these are some of the rows of their files, an array of all rows is taken too.
pub(super) fn truth(path: &str, expected: usize, plan: Option<&Plan>) -> Result<Vec<usize>> {
    let path = ArrayPath::from(path.to_owned());
    let names = plan.and_then(|plan| plan.classes.as_deref());
    let truth = classes(&path, ClassOrder::of_training(names))?;
    if truth.len() == expected {
        return Ok(truth);
    }
    let rows = plan
        .map(|plan| plan.train.inner())
        .filter(|train| train.is_selected());
    let selected = rows.and_then(|train| {
        let labels = (0..expected).map(|point| truth.get(train.row(point)).copied());
        labels.collect()
    });
    selected.with_context(|| {
        format!(
            "{path}: expected {expected} labels, as there are training points, got {}",
            truth.len()
        )
    })
}

/// How many of the first points are mislabelled, against how many there are.
fn precision(order: &[usize], is_wrong: &dyn Fn(usize) -> bool, out: &mut dyn Write) -> Result<()> {
    let wrong = order.iter().filter(|&&point| is_wrong(point)).count();
    writeln!(
        out,
        "\n{wrong} of {} training points are mislabelled",
        order.len()
    )?;
    let rows = INSPECTED.map(|percent| {
        let inspected = (order.len() * percent).div_ceil(100);
        let found = order[..inspected]
            .iter()
            .filter(|&&point| is_wrong(point))
            .count();
        let share = |of: usize| format!("{:.0} %", 100.0 * found as f64 / of.max(1) as f64);
        [
            format!("{percent} %"),
            inspected.to_string(),
            found.to_string(),
            share(inspected),
            share(wrong),
        ]
    });
    let headings = ["inspected", "points", "found", "precision", "recall"];
    writeln!(out, "{}", table(headings, 0, rows))?;
    Ok(())
}

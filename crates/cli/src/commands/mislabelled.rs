//! `influence mislabelled`: training points ranked by how suspicious their labels are.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use influence_jobs::{
    models::Models,
    queries::{
        By, Evaluated, Points, Stored, Suspicion, advised, class, id, name, self_influences, shown,
        target, true_labels,
    },
};
use serde_json::{Value, json};

use crate::{
    args::MislabelledArguments,
    listing::{Column, ColumnType, Listing, ListingFormat},
    summary::{signed, table},
};

/// The shares of the training points at which the precision of a ranking is given, in percent.
const INSPECTED: [usize; 4] = [1, 5, 10, 20];

/// Shows the training points in the order in which they deserve to be looked at.
///
/// # Errors
/// When an output is not complete, or the true labels do not fit its training points.
pub(super) fn run(
    arguments: &MislabelledArguments,
    models: &dyn Models,
    out: &mut impl Write,
) -> Result<()> {
    let destination = arguments.listing.destination()?;
    let stored = Stored::open(&arguments.output)?;
    ensure!(
        !stored.are_groups()[1],
        "{}: its columns are groups of training points, whose labels are not looked at; name an output without data.train.group",
        stored.shown()
    );
    let read = Suspicion::read(&stored)?;
    let count = read.scores.len();
    let own = arguments.self_influences.as_deref();
    let own = own.map(|path| self_influences(path, count)).transpose();
    let job = stored.job(&arguments.set, models)?;
    let about = job
        .as_ref()
        .map(|job| Evaluated::read(&job.train, job))
        .transpose()?;
    let losses = about
        .as_ref()
        .map(|about| about.predictions.losses.as_slice());
    let rankings: Vec<Suspicion> = losses
        .map(Suspicion::of_losses)
        .into_iter()
        .chain(own.context("--self")?)
        .chain([read])
        .collect();
    let truth = arguments.truth.as_ref();
    let truth = truth
        .map(|path| true_labels(path, about.as_ref(), count, job.as_ref()))
        .transpose()
        .context("--truth")?;
    let known: Vec<By> = rankings.iter().map(|ranking| ranking.by).collect();
    let (by, why) = match arguments.by {
        Some(ranking) => (ranking.into(), String::new()),
        None => advised(&known, about.as_ref()),
    };
    let chosen = known.iter().position(|&known| known == by);
    let chosen = chosen.with_context(|| missing(by, &stored))?;
    let suspects = Suspects {
        order: rankings[chosen].order(),
        by,
        why,
        rankings,
        about,
        truth,
    };
    destination.write(out, |out| match destination.format {
        ListingFormat::Table => suspects.print(arguments.show, out),
        format => suspects.listing(arguments.show).write(format, out),
    })
}

/// How to get a ranking that is missing.
fn missing(by: By, stored: &Stored) -> String {
    match by {
        By::Loss => format!(
            "--by loss: {} does not say what it was made from",
            stored.shown()
        ),
        By::SelfInfluence => "--by self: name the output of `influence self` with --self".into(),
        By::Mean => format!(
            "--by mean: {} has self-influences alone; name the output of `influence run`",
            stored.shown()
        ),
    }
}

/// The training points in one order, with all that is known of them.
struct Suspects<'a> {
    order: Vec<usize>,
    by: By,
    why: String,
    rankings: Vec<Suspicion>,
    about: Option<Evaluated<'a>>,
    truth: Option<Vec<usize>>,
}

impl Suspects<'_> {
    fn train(&self) -> Option<&Points<'_>> {
        self.about.as_ref().map(|about| &about.points)
    }

    fn score(&self, by: By, point: usize) -> Option<f64> {
        let ranking = self.rankings.iter().find(|ranking| ranking.by == by)?;
        Some(ranking.scores[point])
    }

    fn predicted(&self, point: usize) -> Value {
        let about = self.about.as_ref();
        about.map_or(Value::Null, |about| about.predictions.of(point))
    }

    fn true_label(&self, point: usize) -> Value {
        let truth = self.truth.as_ref();
        truth.map_or(Value::Null, |truth| class(self.train(), truth[point]))
    }

    fn print(&self, show: usize, out: &mut dyn Write) -> Result<()> {
        let n = self.order.len() as f64;
        let change = |by, point| {
            let score = self.score(by, point);
            score.map_or_else(|| "-".into(), |score| signed(score / n))
        };
        let rows = self.order.iter().take(show).enumerate();
        let rows = rows.map(|(rank, &point)| {
            let loss = self.score(By::Loss, point);
            [
                (rank + 1).to_string(),
                name(self.train(), point),
                shown(&target(self.train(), point)),
                shown(&self.predicted(point)),
                shown(&self.true_label(point)),
                loss.map_or_else(|| "-".into(), |loss| format!("{loss:.3}")),
                change(By::SelfInfluence, point),
                change(By::Mean, point),
            ]
        });
        let headings = [
            "rank",
            "train",
            "label",
            "predicted",
            "truth",
            "loss",
            "own loss*",
            "test loss*",
        ];
        writeln!(out, "{}", table(headings, 0, rows))?;
        writeln!(
            out,
            "* change of the point's own loss (self-influence / n) and of the mean test loss (mean influence / n)\n  \
             if the point is left out of the n = {n} training points"
        )?;
        writeln!(out, "ranked by {}{}", self.by.words(), self.reason())?;
        match (self.train(), &self.truth) {
            (Some(train), Some(truth)) => self.precision(train, truth, out),
            _ => Ok(()),
        }
    }

    /// Why this ranking, and what the others are.
    fn reason(&self) -> String {
        let others = self.rankings.iter().map(|ranking| ranking.by);
        let others: Vec<&str> = others
            .filter(|&by| by != self.by)
            .map(|by| match by {
                By::Loss => "--by loss",
                By::SelfInfluence => "--by self",
                By::Mean => "--by mean",
            })
            .collect();
        let why = Some(&self.why).filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        if others.is_empty() {
            return why;
        }
        format!("{why} (other rankings: {})", others.join(", "))
    }

    /// How many of the first points are mislabelled, in each ranking beside the others.
    fn precision(&self, train: &Points<'_>, truth: &[usize], out: &mut dyn Write) -> Result<()> {
        let is_wrong = |point: &&usize| train.class(**point) != Some(truth[**point]);
        let count = |points: &[usize]| points.iter().filter(is_wrong).count();
        let wrong = count(&self.order);
        writeln!(
            out,
            "\n{wrong} of {} training points are mislabelled; found among the first, by",
            self.order.len()
        )?;
        let orders: Vec<Vec<usize>> = self.rankings.iter().map(Suspicion::order).collect();
        let found = |inspected: usize, by: By| {
            let ranking = self.rankings.iter().position(|ranking| ranking.by == by);
            ranking.map_or_else(
                || "-".into(),
                |ranking| {
                    let found = count(&orders[ranking][..inspected]);
                    let share = 100.0 * found as f64 / wrong.max(1) as f64;
                    format!("{found} ({share:.0} %)")
                },
            )
        };
        let rows = INSPECTED.map(|percent| {
            let inspected = (self.order.len() * percent).div_ceil(100);
            let [loss, own, mean] =
                [By::Loss, By::SelfInfluence, By::Mean].map(|by| found(inspected, by));
            [
                format!("{percent} %"),
                inspected.to_string(),
                loss,
                own,
                mean,
            ]
        });
        let [loss, own, mean] = [By::Loss, By::SelfInfluence, By::Mean].map(By::words);
        let headings = ["inspected", "points", loss, own, mean];
        writeln!(out, "{}", table(headings, 0, rows))?;
        Ok(())
    }

    fn listing(&self, show: usize) -> Listing<9> {
        let [loss, own, mean] = [By::Loss, By::SelfInfluence, By::Mean];
        let columns: [Column; 9] = [
            ("rank", ColumnType::Integer),
            ("train", ColumnType::Integer),
            ("train_id", ColumnType::Integer),
            ("label", ColumnType::Integer),
            ("predicted", ColumnType::Integer),
            ("truth", ColumnType::Integer),
            (loss.column(), ColumnType::Number),
            (own.column(), ColumnType::Number),
            (mean.column(), ColumnType::Number),
        ];
        let records = self.order.iter().take(show).enumerate();
        Listing::new(
            columns,
            records.map(|(rank, &point)| {
                [
                    json!(rank + 1),
                    json!(point),
                    id(self.train(), point),
                    target(self.train(), point),
                    self.predicted(point),
                    self.true_label(point),
                    json!(self.score(loss, point)),
                    json!(self.score(own, point)),
                    json!(self.score(mean, point)),
                ]
            }),
        )
    }
}

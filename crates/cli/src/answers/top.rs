use std::io::Write;

use anyhow::{Result, ensure};
use influence_calculators::ZarrField;
use influence_core::{
    ChunkGrid, FieldSource, Values,
    aggregate::{Aggregator, Along, Order, Ranking, TopK},
};
use serde_json::{Value, json};

use super::{
    Format, Stored,
    listing::{Column, Destination, Kind, Listing},
    names::{id, name, target},
    own,
    points::{Evaluated, Points, select, shown},
};
use crate::{
    args::TopArguments,
    output::location,
    plan::Plan,
    subject::Models,
    summary::{signed, table},
};

/// `influence top`: who helped and who harmed the model on chosen test points.
///
/// # Errors
/// When the output is no plain matrix, is not complete, or the data it was made from have changed.
pub fn run(arguments: &TopArguments, models: &dyn Models, out: &mut impl Write) -> Result<()> {
    let destination = Destination::of(&arguments.listing)?;
    let stored = Stored::open(&arguments.output)?;
    if stored.influences.array() == "self_influences" {
        return own::run(arguments, (&stored, &destination), models, out);
    }
    stored.check_plain()?;
    let plan = stored.plan(&arguments.set, models)?;
    let about = plan.as_ref().map(About::read).transpose()?;
    let all = match &about {
        Some(about) => about.test.predictions.by_loss(),
        None => (0..stored.influences.grid().shape()[0]).collect(),
    };
    let points = select(
        &arguments.points,
        sides(about.as_ref())[1],
        all,
        arguments.show,
    )?;
    let opinions = opinions(&stored, &points, arguments.count)?;
    destination.write(out, |out| match destination.format {
        Format::Table => print(&opinions, about.as_ref(), out),
        format => listing(&opinions, about.as_ref()).write(format, out),
    })
}

/// What is known of the points of an output.
pub(super) struct About<'a> {
    pub(super) train: Points<'a>,
    pub(super) test: Evaluated<'a>,
}

impl<'a> About<'a> {
    /// Reads the targets, and computes what the model says of the test points.
    pub(super) fn read(plan: &'a Plan) -> Result<Self> {
        Ok(Self {
            train: Points::read(&plan.train, plan)?,
            test: Evaluated::read(&plan.test, plan)?,
        })
    }
}

/// Who helped and who harmed one test point.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) test: usize,
    /// How many training points there are.
    training: usize,
    /// With positive influence, the most helpful first.
    pub(super) helpful: Ranking,
    /// With negative influence, the most harmful first.
    pub(super) harmful: Ranking,
}

impl Opinion {
    /// By how much the loss on the test point changes, to first order, if a training point with
    /// this influence is left out of the mean loss.
    pub(super) fn loss_change(&self, influence: f64) -> f64 {
        influence / self.training as f64
    }
}

/// Reads the rows of some test points, and ranks the training points in each.
pub(super) fn opinions(stored: &Stored, points: &[usize], count: usize) -> Result<Vec<Opinion>> {
    let field = ZarrField::open(location(&stored.path)?, stored.influences.array())?;
    let grid = stored.influences.grid();
    let one = ChunkGrid::new([1, grid.shape()[1]], [1, grid.shape()[1]])?;
    let opinion = |&test: &usize| -> Result<Opinion> {
        let row = match field.rows(test..test + 1)? {
            Values::F32(row) => row.mapv(f64::from),
            Values::F64(row) => row,
            Values::I64(_) => anyhow::bail!("{}: influences are no integers", stored.shown()),
        };
        if !row.iter().all(|value| value.is_finite()) {
            stored.check_complete()?;
        }
        ensure!(
            row.iter().all(|value| value.is_finite()),
            "{}: the influences on test point {test} are missing or not finite",
            stored.shown()
        );
        let ranked = |order, wanted: fn(f64) -> bool| -> Result<Ranking> {
            let mut top = TopK::new(count, order, Along::Train);
            top.begin(&one)?;
            top.accept(&one.chunk([0, 0]), row.view())?;
            let ranking = top.finish()?.pop().unwrap_or_default();
            let kept = ranking.values.iter().take_while(|&&value| wanted(value));
            let kept = kept.count();
            Ok(Ranking {
                indices: ranking.indices[..kept].to_vec(),
                values: ranking.values[..kept].to_vec(),
            })
        };
        Ok(Opinion {
            test,
            training: grid.shape()[1],
            helpful: ranked(Order::Largest, |value| value > 0.0)?,
            harmful: ranked(Order::Smallest, |value| value < 0.0)?,
        })
    };
    points.iter().map(opinion).collect()
}

fn print(opinions: &[Opinion], about: Option<&About<'_>>, out: &mut dyn Write) -> Result<()> {
    let [train, test] = sides(about);
    let ranked = |opinion: &Opinion, ranking: &Ranking| {
        let entry = |(&point, &value): (&usize, &f64)| {
            let called = name(train, point);
            let target = match target(train, point) {
                Value::Null => String::new(),
                target => format!(":{}", shown(&target)),
            };
            let change = signed(opinion.loss_change(value));
            format!("{called}{target} {change} ({})", signed(value))
        };
        let entries = ranking.indices.iter().zip(&ranking.values).map(entry);
        entries.collect::<Vec<_>>().join("\n")
    };
    let rows = opinions.iter().map(|opinion| {
        [
            name(test, opinion.test),
            shown(&target(test, opinion.test)),
            shown(&predicted(about, opinion.test)),
            ranked(opinion, &opinion.helpful),
            ranked(opinion, &opinion.harmful),
        ]
    });
    let headings = ["test point", "target", "predicted", "helpful", "harmful"];
    writeln!(out, "{}", table(headings, 5, rows))?;
    let (kind, unit) = match about {
        Some(about) => ("training point:target", about.test.predictions.unit()),
        None => ("training point", "units of the loss"),
    };
    writeln!(
        out,
        "{kind}, change of the loss on the test point if it is left out, in {unit} (influence)"
    )?;
    Ok(())
}

/// What is known of the training and of the test points.
fn sides<'a>(about: Option<&'a About<'a>>) -> [Option<&'a Points<'a>>; 2] {
    [
        about.map(|about| &about.train),
        about.map(|about| &about.test.points),
    ]
}

/// What the model says of a test point, null where nothing is known of the points.
fn predicted(about: Option<&About<'_>>, point: usize) -> Value {
    about.map_or(Value::Null, |about| about.test.predictions.of(point))
}

const COLUMNS: [Column; 11] = [
    ("test", Kind::Integer),
    ("test_id", Kind::Integer),
    ("target", Kind::Integer),
    ("predicted", Kind::Integer),
    ("side", Kind::Text),
    ("rank", Kind::Integer),
    ("train", Kind::Integer),
    ("train_id", Kind::Integer),
    ("train_target", Kind::Integer),
    ("influence", Kind::Number),
    ("loss_change", Kind::Number),
];

fn listing(opinions: &[Opinion], about: Option<&About<'_>>) -> Listing<11> {
    let [train_points, test_points] = sides(about);
    let records = opinions.iter().flat_map(|opinion| {
        let sides = [("helpful", &opinion.helpful), ("harmful", &opinion.harmful)];
        sides.into_iter().flat_map(move |(side, ranking)| {
            let entries = ranking.indices.iter().zip(&ranking.values).enumerate();
            entries.map(move |(rank, (&train, &influence))| {
                let test = opinion.test;
                [
                    json!(test),
                    id(test_points, test),
                    target(test_points, test),
                    predicted(about, test),
                    json!(side),
                    json!(rank + 1),
                    json!(train),
                    id(train_points, train),
                    target(train_points, train),
                    json!(influence),
                    json!(opinion.loss_change(influence)),
                ]
            })
        })
    });
    Listing::new(COLUMNS, records)
}

//! `influence top`: who helped and who harmed the model on chosen test points.

use std::io::Write;

use anyhow::Result;
use influence_core::aggregate::Ranking;
use influence_jobs::{
    models::Models,
    queries::{About, Opinion, Points, Stored, id, name, opinions, select, shown, target},
};
use serde_json::{Value, json};

use super::top_self;
use crate::{
    args::TopArguments,
    listing::{Column, ColumnType, Listing, ListingFormat},
    summary::{called, signed, table},
};

/// Shows the training points that helped and harmed most.
///
/// # Errors
/// When the output is no plain matrix, is not complete, or the data it was made from have changed.
pub(super) fn run(
    arguments: &TopArguments,
    models: &dyn Models,
    out: &mut impl Write,
) -> Result<()> {
    let destination = arguments.listing.destination()?;
    let stored = Stored::open(&arguments.output)?;
    if stored.influences.array() == "self_influences" {
        return top_self::run(arguments, (&stored, &destination), models, out);
    }
    stored.check_plain()?;
    let job = stored.job(&arguments.set, models)?;
    let about = job.as_ref().map(About::read).transpose()?;
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
        ListingFormat::Table => print(&opinions, about.as_ref(), called(&stored), out),
        format => listing(&opinions, about.as_ref()).write(format, out),
    })
}

/// Prints a table; `tested` and `trained` are what rows and columns are called.
fn print(
    opinions: &[Opinion],
    about: Option<&About<'_>>,
    [tested, trained]: [&str; 2],
    out: &mut dyn Write,
) -> Result<()> {
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
    let headings = [tested, "target", "predicted", "helpful", "harmful"];
    writeln!(out, "{}", table(headings, 5, rows))?;
    let (targets, unit) = match about {
        Some(about) if !about.train.are_groups() => (":target", about.test.predictions.unit()),
        Some(about) => ("", about.test.predictions.unit()),
        None => ("", "units of the loss"),
    };
    writeln!(
        out,
        "{trained}{targets}, change of the loss on the {tested} if it is left out, in {unit} (influence)"
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

/// The prediction on a test point, null where nothing is known of the points.
fn predicted(about: Option<&About<'_>>, point: usize) -> Value {
    about.map_or(Value::Null, |about| about.test.predictions.of(point))
}

const COLUMNS: [Column; 11] = [
    ("test", ColumnType::Integer),
    ("test_id", ColumnType::Integer),
    ("target", ColumnType::Integer),
    ("predicted", ColumnType::Integer),
    ("side", ColumnType::Text),
    ("rank", ColumnType::Integer),
    ("train", ColumnType::Integer),
    ("train_id", ColumnType::Integer),
    ("train_target", ColumnType::Integer),
    ("influence", ColumnType::Number),
    ("loss_change", ColumnType::Number),
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

//! `influence top` of self-influences: the training points that the model had to learn most by
//! themselves.

use std::io::Write;

use anyhow::{Result, ensure};
use influence_jobs::{
    models::Models,
    queries::{Evaluated, Stored, Suspicion, id, name, shown, target},
};
use serde_json::{Value, json};

use crate::{
    args::TopArguments,
    listing::{Column, ColumnType, Destination, Listing, ListingFormat},
    summary::{signed, table},
};

const COLUMNS: [Column; 6] = [
    ("rank", ColumnType::Integer),
    ("train", ColumnType::Integer),
    ("train_id", ColumnType::Integer),
    ("target", ColumnType::Integer),
    ("predicted", ColumnType::Integer),
    ("self_influence", ColumnType::Number),
];

/// Shows the training points with the largest influence on themselves.
///
/// # Errors
/// When test points are named, the output is not complete, or the data it was made from have
/// changed.
pub(super) fn run(
    arguments: &TopArguments,
    (stored, destination): (&Stored, &Destination<'_>),
    models: &dyn Models,
    out: &mut impl Write,
) -> Result<()> {
    ensure!(
        arguments.points.is_empty(),
        "--points: it names test points, and {} is about none; leave it out",
        stored.shown()
    );
    let own = Suspicion::read(stored)?;
    let job = stored.job(&arguments.set, models)?;
    let about = job
        .as_ref()
        .map(|job| Evaluated::read(&job.train, job))
        .transpose()?;
    let first = own.first(arguments.count);
    let rows = first.iter().map(|&point| (point, own.scores[point]));
    let rows: Vec<(usize, f64)> = rows.collect();
    destination.write(out, |out| match destination.format {
        ListingFormat::Table => print(&rows, about.as_ref(), out),
        format => listing(&rows, about.as_ref()).write(format, out),
    })
}

fn print(rows: &[(usize, f64)], about: Option<&Evaluated<'_>>, out: &mut dyn Write) -> Result<()> {
    let points = about.map(|about| &about.points);
    let rows = rows.iter().map(|&(point, influence)| {
        [
            name(points, point),
            shown(&target(points, point)),
            shown(&predicted(about, point)),
            signed(influence),
        ]
    });
    let headings = ["training point", "target", "predicted", "self-influence"];
    writeln!(out, "{}", table(headings, 3, rows))?;
    writeln!(
        out,
        "the largest self-influences: points that the model had to memorise, wrong labels among them"
    )?;
    Ok(())
}

fn listing(rows: &[(usize, f64)], about: Option<&Evaluated<'_>>) -> Listing<6> {
    let points = about.map(|about| &about.points);
    let records = rows.iter().enumerate();
    let records = records.map(|(rank, &(point, influence))| {
        [
            json!(rank + 1),
            json!(point),
            id(points, point),
            target(points, point),
            predicted(about, point),
            json!(influence),
        ]
    });
    Listing::new(COLUMNS, records)
}

/// The prediction on a training point, null where nothing is known of the points.
fn predicted(about: Option<&Evaluated<'_>>, point: usize) -> Value {
    about.map_or(Value::Null, |about| about.predictions.of(point))
}

//! `influence verify`: whether an output is sound.

use std::io::Write;

use anyhow::{Result, bail, ensure};
use influence_calculators::{
    Location,
    zarr::{Verification, attributes, verify},
};
use influence_jobs::{
    models::Models, output::location, run::Quantity, verify::Recomputation, watch::Host,
};

use crate::{args::VerifyArguments, session::Session};

/// Checks an output, and prints what was found.
///
/// # Errors
/// When chunks are missing, damaged, or not what they are when they are computed again; when files
/// have changed since.
pub(super) fn run(
    arguments: &VerifyArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let location = location(&arguments.output)?;
    let found = verify(location.clone())?;
    let Verification {
        chunks,
        missing,
        damaged,
        without_reports,
        not_finite,
        complete,
    } = &found;
    let sound = chunks - missing.len() - damaged.len();
    writeln!(
        out,
        "chunks          {chunks}: {sound} sound, {} missing, {} damaged",
        missing.len(),
        damaged.len()
    )?;
    writeln!(
        out,
        "run             {}",
        if *complete {
            "complete"
        } else {
            "not complete"
        }
    )?;
    if !without_reports.is_empty() {
        let rows = without_reports.len();
        writeln!(
            out,
            "reports         missing or damaged for {rows} rows of chunks"
        )?;
    }
    for (what, faults) in [("missing", missing), ("damaged", damaged)] {
        if let Some([row, column]) = faults.first() {
            writeln!(out, "first {what}   row {row}, column {column} of chunks")?;
        }
    }
    if let Some(row) = not_finite.first() {
        let rows = not_finite.len();
        writeln!(
            out,
            "not finite      numbers of {rows} rows, of row {row} for one"
        )?;
    }
    if arguments.sample > 0 && sound > 0 {
        recompute(arguments, models, session, &location, out)?;
    }
    ensure!(
        found.is_sound(),
        "{location} is not sound; resume the run that wrote it"
    );
    ensure!(
        not_finite.is_empty(),
        "{location} holds numbers that are not finite; compute it again in 64 bits (precision = \"f64\"), or with inputs on a common scale (data.scale = \"standard\")"
    );
    Ok(())
}

fn recompute(
    arguments: &VerifyArguments,
    models: &dyn Models,
    session: &Session,
    location: &Location,
    out: &mut impl Write,
) -> Result<()> {
    let stored = attributes(location.clone())?;
    if Quantity::of_stored(&stored) == Quantity::SelfInfluences {
        return Ok(writeln!(
            out,
            "computed again  nothing, as self-influences are checked by their checksums alone"
        )?);
    }
    let sample = Recomputation {
        output: &arguments.output,
        chunks: arguments.sample,
        set: &arguments.set,
        threads: arguments.threads.count,
    };
    let again = sample.recompute(&stored, models, &session.watch())?;
    writeln!(
        out,
        "computed again  {} chunks, {} numbers differ",
        again.chunks, again.differing
    )?;
    if again.differing > 0 {
        writeln!(
            out,
            "difference      {:.1e} of the largest influence",
            again.relative
        )?;
    }
    if again.agrees() {
        return Ok(());
    }
    bail!("{location} does not hold the influences of its configuration")
}

//! `influence verify`: what an output is worth.

use std::{io::Write, num::NonZero};

use anyhow::{Result, bail, ensure};
use influence_backend_burn::Batch;
use influence_calculators::{
    Calculator, Location,
    zarr::{Comparison, Verification, attributes, verify},
};
use influence_core::{InfluenceModel, ThreadSafe};

use crate::{
    answers::{check_digests, origin},
    args::VerifyArguments,
    config::PrecisionName,
    fit::{self, Consumer},
    output::location,
    plan::Plan,
    progress::Stage,
    run::calculator,
    session::Session,
    subject::Models,
};

/// Checks an output, and prints what was found.
///
/// # Errors
/// When chunks are missing, damaged, or not what they are when they are computed again; when files have changed since.
pub fn run(
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
    if stored["influence"]["kind"] == "self_influences" {
        return Ok(writeln!(
            out,
            "computed again  nothing, as self-influences are checked by their checksums alone"
        )?);
    }
    let mut config = origin(&stored, &arguments.output, &arguments.set)?;
    config.compute.threads = arguments.threads.count.map(NonZero::get);
    let mut plan = Plan::of_inputs(config, models)?;
    plan.observer = Some(session.observer());
    check_digests(&stored, &plan)?;
    session.progress().stage(Stage::Fit);
    let again = Again {
        plan: &plan,
        location,
        sample: arguments.sample,
    };
    fit::check_memory(&plan)?;
    let comparison = fit::consume(&plan, None, session.progress(), again)?;
    let Comparison {
        chunks,
        differing,
        largest_difference,
        largest_value,
    } = &comparison;
    writeln!(
        out,
        "computed again  {} chunks, {differing} numbers differ",
        chunks.len()
    )?;
    if *differing == 0 {
        return Ok(());
    }
    let relative = largest_difference / largest_value;
    writeln!(
        out,
        "difference      {relative:.1e} of the largest influence"
    )?;
    let tolerance = match plan.config.precision {
        PrecisionName::F32 => 1e-3,
        PrecisionName::F64 => 1e-9,
    };
    // Written so that a difference that is not a number fails.
    if relative <= tolerance {
        return Ok(());
    }
    bail!("{location} does not hold the influences of its configuration")
}

/// Computes a sample of chunks again.
struct Again<'a> {
    plan: &'a Plan,
    location: &'a Location,
    sample: usize,
}

impl Consumer for Again<'_> {
    type Output = Comparison;

    fn consume<M>(self, model: M) -> Result<Comparison>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static,
    {
        let calculator = calculator(self.plan, model)?;
        let influences = calculator.influences(&self.plan.test, &self.plan.train);
        Ok(influences.compare(self.location.clone(), self.sample)?)
    }
}

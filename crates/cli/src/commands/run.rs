//! `influence run` and `influence self`: check, compute, say what was done.

use std::io::Write;

use anyhow::Result;
use influence_jobs::{
    assessment::Assessment,
    fit,
    models::Models,
    plan::Plan,
    run::{Quantity, check_fitted, compute},
    watch::Watch,
};

use super::{configuration::of_run, plan::print};
use crate::{
    args::RunArguments,
    session::Session,
    summary::{self, REHEARSED, Summary},
};

/// Computes a quantity that a configuration describes, and prints a summary.
///
/// # Errors
/// Whatever is wrong with the configuration or the files, before anything is written; afterwards
/// whatever the computation reports.
pub(super) fn run(
    quantity: Quantity,
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = of_run(arguments)?;
    if quantity == Quantity::Influences {
        let there = config.data.check_test_points();
        there.map_err(|error| config.places.located(error))?;
    }
    let plan = Plan::new(config, arguments.existing.choice(), models, session)?;
    session.remark(&plan.remarks);
    fit::check_memory(&plan)?;
    let assessment = quantity.assess(&plan)?;
    assessment.tell(session.progress());
    if arguments.dry_run {
        return rehearse(quantity, (&plan, &assessment), arguments, session, out);
    }
    let solved = compute(quantity, &plan, arguments.fitted.as_deref(), session)?;
    let summary = Summary {
        what: quantity.of(&plan),
        plan: &plan,
        assessment: &assessment,
        solved: &solved,
        phases: &session.progress().phases(),
    };
    session.print(|| summary::print(&summary, out))
}

/// Checks the rest, including a fit that is to be read, and says what would be done.
fn rehearse(
    quantity: Quantity,
    (plan, assessment): (&Plan, &Assessment),
    arguments: &RunArguments,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    if let Some(fitted) = &arguments.fitted {
        check_fitted(plan, fitted, session.progress())?;
    }
    match quantity {
        Quantity::Influences => print(plan, out)?,
        Quantity::SelfInfluences => {
            fit::footprint(plan)?;
            writeln!(out, "{}, {} parameters", quantity.of(plan), plan.dim)?;
            writeln!(out, "method          {}", plan.config.method.name.as_str())?;
            writeln!(out, "output          {}", plan.config.output.path.display())?;
        }
    }
    assessment.print(out)?;
    Ok(writeln!(out, "{REHEARSED}")?)
}

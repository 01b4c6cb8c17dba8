//! `influence run` and `influence self`: check, compute, say what was done.

use std::io::Write;

use anyhow::Result;
use influence_jobs::{
    assessment::Assessment,
    config::Config,
    fit::Affordable,
    forecast::Forecast,
    job::Job,
    models::Models,
    run::{Computed, Quantity, check_fitted, compute_portion},
    together,
    watch::Watch,
};

use super::{configuration::of_run, plan::print};
use crate::{
    args::RunArguments,
    session::Session,
    summary::{self, REHEARSED, Summary, of_share},
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
    let config = configured(quantity, arguments, session);
    let job = match session.world() {
        Some(world) => together::job(world, config, arguments.existing(), models, session)?,
        None => Job::new(config?, arguments.existing(), models, session)?,
    };
    session.remark(&job.remarks);
    let fit = session.agreed(Affordable::new(&job))?;
    let assessment = quantity.assess(&job)?;
    session.tell(&assessment);
    if arguments.dry_run {
        return rehearse(quantity, (&fit, &assessment), arguments, session, out);
    }
    let (portion, fitted) = (arguments.portion(), arguments.fitted.as_deref());
    let computed = match session.world() {
        Some(world) => together::compute(world, quantity, &fit, fitted, session)?,
        None => Some(compute_portion(portion, quantity, &fit, fitted, session)?),
    };
    let Some(Computed { solved, plan }) = computed else {
        return Ok(());
    };
    let summary = Summary {
        what: quantity.of(&job),
        share: arguments.share.map(|share| of_share(share, &plan)),
        processes: session.processes(&job.config),
        job: &job,
        assessment: &assessment,
        solved: &solved,
        phases: &session.progress().phases(),
    };
    session.print(|| summary::print(&summary, out))
}

/// The configuration of a run, which names the points that the quantity is about.
fn configured(quantity: Quantity, arguments: &RunArguments, session: &Session) -> Result<Config> {
    let config = session.granted(of_run(arguments)?);
    quantity.check_points(&config)?;
    Ok(config)
}

/// Checks the rest, including a fit that is to be read, and says what would be done.
fn rehearse(
    quantity: Quantity,
    (fit, assessment): (&Affordable<'_>, &Assessment),
    arguments: &RunArguments,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    if !session.speaks() {
        return Ok(());
    }
    let (job, share) = (fit.job(), arguments.share.unwrap_or_default());
    if let Some(fitted) = &arguments.fitted {
        check_fitted(fit, fitted, session.progress())?;
    }
    match quantity {
        Quantity::Influences => print(job, Forecast::new(fit, share)?, out)?,
        Quantity::SelfInfluences => {
            let plan = quantity.plan(fit, share)?;
            writeln!(out, "{}, {} parameters", quantity.of(job), job.dim)?;
            if !share.is_whole() {
                writeln!(out, "share           {}", of_share(share, &plan))?;
            }
            let method = job.config.method()?.name().as_str();
            writeln!(out, "method          {method}")?;
            writeln!(out, "output          {}", job.config.output.path.display())?;
        }
    }
    assessment.print(out)?;
    Ok(writeln!(out, "{REHEARSED}")?)
}

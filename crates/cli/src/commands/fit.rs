//! `influence fit`: fits the model of a configuration, and keeps its expensive parts.

use std::io::Write;

use anyhow::{Context, Result};
use influence_jobs::{
    assessment::Assessment,
    fit, fit_place,
    job::Job,
    models::Models,
    watch::{Host, Watch},
};

use super::configuration::of_fit;
use crate::{
    args::FitArguments,
    session::Session,
    summary::{REHEARSED, timings},
};

/// Fits, and says what was kept where.
///
/// # Errors
/// As [`fit::Affordable::model`]; when the method fits nothing, or the fit cannot be kept;
/// [`fit::Waiting`] when sums of other shares are missing.
pub(super) fn run(
    arguments: &FitArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let path = &arguments.fitted;
    let job = session.agreed(checked(arguments, models, session))?;
    session.remark(&job.remarks);
    let affordable = session.agreed(fit::Affordable::new(&job))?;
    let assessment = Assessment::of_job(&job)?;
    session.tell(&assessment);
    let fitted = format!(
        "{}, {} parameters",
        job.config.method()?.name().as_str(),
        job.dim
    );
    if arguments.dry_run {
        fit::footprint(&job)?;
        writeln!(out, "to fit          {fitted}")?;
        writeln!(out, "to be kept in   {}", path.display())?;
        assessment.print(out)?;
        return Ok(writeln!(out, "{REHEARSED}")?);
    }
    match (session.world(), arguments.share) {
        (Some(world), _) => affordable.fit_together(path, world, session.progress())?,
        (None, Some(share)) => {
            affordable.fit_share(path, fit_place::sums(path, share)?, session.progress())?;
        }
        (None, None) => affordable.fit_and_save(path, session.progress())?,
    }
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        writeln!(out, "fitted          {fitted}")?;
        if let Some(processes) = session.processes(&job.config) {
            writeln!(out, "processes       {processes}")?;
        }
        assessment.print(out)?;
        writeln!(out, "seconds         {seconds}")?;
        Ok(writeln!(out, "kept in         {}", path.display())?)
    })
}

/// The job of a fit, checked together with where the fit is kept.
fn checked(arguments: &FitArguments, models: &dyn Models, session: &Session) -> Result<Job> {
    let config = session.granted(of_fit(arguments)?);
    let job = Job::of_inputs(config, models)?.watched_by(session.watch());
    fit::check_savable(&job.config)?;
    fit_place::check(&arguments.fitted).context("--fitted")?;
    Ok(job)
}

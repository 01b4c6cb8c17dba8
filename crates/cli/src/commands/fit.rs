//! `influence fit`: fits the model of a configuration, and keeps its expensive parts in a file.

use std::io::Write;

use anyhow::{Context, Result};
use influence_jobs::{
    assessment::Assessment,
    fit,
    models::Models,
    output::check_file,
    plan::Plan,
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
/// As [`fit::consume`]; when the method fits nothing, or the file cannot be written.
pub(super) fn run(
    arguments: &FitArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let plan = Plan::of_inputs(of_fit(arguments)?, models)?.watched_by(session.watch());
    session.remark(&plan.remarks);
    fit::check_savable(&plan.config)?;
    let path = &arguments.fitted;
    check_file(path).context("--fitted")?;
    fit::check_memory(&plan)?;
    let assessment = Assessment::of_plan(&plan)?;
    assessment.tell(session.progress());
    let fitted = format!(
        "{}, {} parameters",
        plan.config.method.name.as_str(),
        plan.dim
    );
    if arguments.dry_run {
        fit::footprint(&plan)?;
        writeln!(out, "to fit          {fitted}")?;
        writeln!(out, "to be kept in   {}", path.display())?;
        assessment.print(out)?;
        return Ok(writeln!(out, "{REHEARSED}")?);
    }
    fit::fit_and_save(&plan, path, session.progress())?;
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        writeln!(out, "fitted          {fitted}")?;
        assessment.print(out)?;
        writeln!(out, "seconds         {seconds}")?;
        Ok(writeln!(out, "kept in         {}", path.display())?)
    })
}

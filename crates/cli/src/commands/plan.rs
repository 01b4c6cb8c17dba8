//! `influence plan`: what a run would do, before anything is computed.

use std::{io::Write, path::Path};

use anyhow::Result;
use bytesize::ByteSize;
use influence_calculators::Side;
use influence_data::disk;
use influence_jobs::{
    assessment::Assessment,
    fit::Affordable,
    forecast::Forecast,
    groups::PointGroups,
    job::Job,
    memory::{self, size},
    models::Models,
    output::is_url,
    run::Quantity,
};

use super::configuration::of_run;
use crate::{args::RunArguments, session::Session, summary::of_share};

/// Prints what a run of the configuration would do; looks at a few training points and computes
/// nothing else.
///
/// # Errors
/// Whatever a run would find wrong with the configuration, the files, or the memory.
pub(super) fn run(
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = of_run(arguments)?;
    Quantity::Influences.check_points(&config)?;
    let job = Job::new(config, arguments.existing(), models, session)?;
    session.remark(&job.remarks);
    let forecast = Forecast::new(&Affordable::new(&job)?, arguments.share.unwrap_or_default())?;
    let assessment = Assessment::of_job(&job)?;
    assessment.tell(session.progress());
    print(&job, forecast, out)?;
    assessment.print(out)
}

/// Prints what a run of a job would do, a line for each thing.
pub(super) fn print(job: &Job, forecast: Forecast, out: &mut impl Write) -> Result<()> {
    let Forecast {
        share,
        numbers,
        footprint,
        plan,
        fit_bytes: fit,
    } = forecast;
    let [k, n] = job.shape();
    let [down, across] = plan.grid().counts();
    let [rows, columns] = plan.grid().chunk_shape();
    let (held, streams) = match plan.held() {
        Side::Test => ("factors of test points", "gradients of training points"),
        Side::Train => ("gradients of training points", "factors of test points"),
    };
    let method = job.config.method()?;
    let uncounted = if method.curved().is_some() {
        "the fit and solving not counted"
    } else {
        "solving not counted"
    };
    let (name, precision) = (method.name().as_str(), job.config.precision);
    let mut line = |name: &str, text: String| writeln!(out, "{name:<15} {text}");
    line("influences", subject(job))?;
    line("method", with_fit(name, fit))?;
    line(
        "chunks",
        format!(
            "{} = {down} x {across} of {rows} x {columns} points",
            down * across
        ),
    )?;
    if !share.is_whole() {
        line("share", of_share(share, &plan))?;
    }
    line(
        "in memory",
        format!(
            "{held}, {} panels; {streams} stream past",
            plan.panels().len()
        ),
    )?;
    line(
        "passes",
        format!(
            "gradients of all training points {}, factors of all test points {}, solved once",
            plan.gradient_passes(),
            plan.factor_passes()
        ),
    )?;
    line(
        "operations",
        format!(
            "gradients {:.1e}, scores {:.1e}, {uncounted}",
            plan.gradient_flops(),
            plan.score_flops()
        ),
    )?;
    line(
        "time",
        format!(
            "about {:.0} s with {} tasks at a time, {uncounted}",
            plan.seconds(),
            plan.workers()
        ),
    )?;
    line(
        "per point",
        format!(
            "factor {}, gradient {}",
            size(footprint.factor),
            size(footprint.gradient)
        ),
    )?;
    line(
        "memory",
        format!(
            "up to {} for the fit, {} for the computation, {} taken already",
            size(fit),
            size(plan.peak_bytes()),
            size(memory::taken())
        ),
    )?;
    line("scratch", size(plan.scratch_bytes()).to_string())?;
    let (output, path) = (k * n * numbers * precision.bytes(), &job.config.output.path);
    line(
        "output",
        format!(
            "{} before compression, to {}{}",
            size(output),
            path.display(),
            room(path, output)
        ),
    )?;
    Ok(())
}

/// What influences are of; where test points are in groups, also how many are solved for.
fn subject(job: &Job) -> String {
    let points = Quantity::Influences.of(job);
    let points = points.trim_start_matches("influences ");
    let solved = match job.test_groups.as_ref().map(PointGroups::len) {
        None => String::new(),
        Some(1) => ", 1 right-hand side".to_owned(),
        Some(groups) => format!(", {groups} right-hand sides"),
    };
    format!("{points}{solved}, {} parameters", job.dim)
}

/// A method with the bytes that its fit takes, if it has one.
fn with_fit(name: &str, bytes: usize) -> String {
    match bytes {
        0 => name.to_owned(),
        bytes => format!("{name}, up to {} to fit", size(bytes)),
    }
}

/// A warning if an output does not fit on its disk.
fn room(output: &Path, bytes: usize) -> String {
    let folder = output.ancestors().find(|folder| folder.is_dir());
    match disk::free(folder.unwrap_or(Path::new("."))) {
        Some(free) if free < bytes as u64 && !is_url(output) => {
            format!(", where only {} are free", ByteSize::b(free))
        }
        _ => String::new(),
    }
}

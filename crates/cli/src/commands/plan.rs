//! `influence plan`: what a run would do, before anything is computed.

use std::{io::Write, path::Path};

use anyhow::Result;
use bytesize::ByteSize;
use influence_calculators::Side;
use influence_data::disk;
use influence_jobs::{
    assessment::Assessment,
    memory::{self, size},
    models::Models,
    output::is_url,
    plan::Plan,
    schedule::Forecast,
};

use super::configuration::of_run;
use crate::{args::RunArguments, session::Session};

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
    let there = config.data.check_test_points();
    there.map_err(|error| config.places.located(error))?;
    let plan = Plan::new(config, arguments.existing.choice(), models, session)?;
    session.remark(&plan.remarks);
    let assessment = Assessment::of_plan(&plan)?;
    assessment.tell(session.progress());
    print(&plan, out)?;
    assessment.print(out)
}

/// Prints what a run of a plan would do, a line for each thing.
pub(super) fn print(plan: &Plan, out: &mut impl Write) -> Result<()> {
    let Forecast {
        numbers,
        footprint,
        schedule,
        fit_bytes: fit,
    } = Forecast::new(plan)?;
    let ([k, n], dim) = (plan.shape(), plan.dim);
    let [down, across] = schedule.grid().counts();
    let [rows, columns] = schedule.grid().chunk_shape();
    let (held, streams) = match schedule.held() {
        Side::Test => ("factors of test points", "gradients of training points"),
        Side::Train => ("gradients of training points", "factors of test points"),
    };
    let method = plan.config.method.name;
    let uncounted = if method.has_curvature() {
        "the fit and solving not counted"
    } else {
        "solving not counted"
    };
    let precision: influence_core::Precision = plan.config.precision.into();
    let mut line = |name: &str, text: String| writeln!(out, "{name:<15} {text}");
    line(
        "influences",
        format!("of {n} training points on {k} test points, {dim} parameters"),
    )?;
    line(
        "method",
        match fit {
            0 => method.as_str().to_owned(),
            bytes => format!("{}, up to {} to fit", method.as_str(), size(bytes)),
        },
    )?;
    line(
        "chunks",
        format!(
            "{} = {down} x {across} of {rows} x {columns} points",
            down * across
        ),
    )?;
    line(
        "in memory",
        format!(
            "{held}, {} panels; {streams} stream past",
            schedule.panels().len()
        ),
    )?;
    line(
        "passes",
        format!(
            "gradients of all training points {}, factors of all test points {}, solved once",
            schedule.gradient_passes(),
            schedule.factor_passes()
        ),
    )?;
    line(
        "operations",
        format!(
            "gradients {:.1e}, scores {:.1e}, {uncounted}",
            schedule.gradient_flops(),
            schedule.score_flops()
        ),
    )?;
    line(
        "time",
        format!(
            "about {:.0} s with {} tasks at a time, {uncounted}",
            schedule.seconds(),
            schedule.workers()
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
            size(schedule.peak_bytes()),
            size(memory::taken())
        ),
    )?;
    line("scratch", size(schedule.scratch_bytes()).to_string())?;
    let (output, path) = (
        k * n * numbers * precision.bytes(),
        &plan.config.output.path,
    );
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

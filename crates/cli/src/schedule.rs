//! `influence plan`: what a run would do, before anything is computed.

use std::{io::Write, path::Path};

use anyhow::Result;
use bytesize::ByteSize;
use influence_calculators::{Budget, Plan as Schedule, Side, Workload};
use influence_core::Footprint;
use influence_data::disk;

use crate::{
    args::RunArguments,
    assessment::Assessment,
    config::Memory,
    fit::{fit_bytes, footprint},
    memory::{self, Taker, size},
    output::is_url,
    plan::Plan,
    run::config,
    session::Session,
    subject::Models,
};

/// Prints what a run of the configuration would do; looks at a few training points and computes nothing else.
///
/// # Errors
/// Whatever a run would find wrong with the configuration, the files, or the memory.
pub fn run(
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = config(arguments)?;
    let there = config.data.check_test_points();
    there.map_err(|error| config.places.located(error))?;
    let plan = Plan::new(config, arguments.existing.choice(), models, session)?;
    session.remark(&plan.remarks);
    let assessment = Assessment::of_plan(&plan)?;
    assessment.tell(session.progress());
    print(&plan, out)?;
    assessment.print(out)
}

/// Prints what a run of a plan would do.
pub(crate) fn print(plan: &Plan, out: &mut impl Write) -> Result<()> {
    let (footprint, numbers) = footprint(plan)?;
    let workload = Workload {
        shape: plan.shape(),
        footprint,
        numbers,
    };
    let schedule = schedule(plan, &workload).map_err(|error| plan.config.places.located(error))?;
    lines(plan, numbers, &footprint, &schedule, out)
}

/// The plan that the calculators will follow, asked of them.
fn schedule(plan: &Plan, workload: &Workload) -> Result<Schedule> {
    let compute = &plan.config.compute;
    let memory = compute.memory.map(Memory::bytes);
    let budget = Budget {
        chunk: [compute.test_chunk, compute.train_chunk],
        memory,
        taken: memory.map_or(0, |_| memory::taken()),
        threads: compute.threads(),
    };
    let schedule = Schedule::for_influences(workload, &budget, true)?;
    if memory.is_none() {
        check_room(plan, &schedule)?;
    }
    Ok(schedule)
}

/// Refuses a computation that there is no memory for, where no bound on it is given.
///
/// # Errors
/// When even the smallest pieces that it is cut into take too much.
pub(crate) fn check_room(plan: &Plan, schedule: &Schedule) -> Result<()> {
    let taker = Taker {
        key: "compute",
        what: "the computation",
        advice: "take smaller test_chunk and train_chunk, fewer threads, or say a bound by --memory",
    };
    memory::check(&plan.config.compute, taker, schedule.peak_bytes())
}

fn lines(
    plan: &Plan,
    numbers: usize,
    footprint: &Footprint,
    schedule: &Schedule,
    out: &mut impl Write,
) -> Result<()> {
    let ([k, n], dim) = (plan.shape(), plan.dim);
    let [down, across] = schedule.grid().counts();
    let [rows, columns] = schedule.grid().chunk_shape();
    let (held, streams) = match schedule.held() {
        Side::Test => ("factors of test points", "gradients of training points"),
        Side::Train => ("gradients of training points", "factors of test points"),
    };
    let method = plan.config.method.name;
    let fit = fit_bytes(plan)?;
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

/// What there is to say of a disk that an output may not fit on.
fn room(output: &Path, bytes: usize) -> String {
    let folder = output.ancestors().find(|folder| folder.is_dir());
    match disk::free(folder.unwrap_or(Path::new("."))) {
        Some(free) if free < bytes as u64 && !is_url(output) => {
            format!(", where only {} are free", ByteSize::b(free))
        }
        _ => String::new(),
    }
}

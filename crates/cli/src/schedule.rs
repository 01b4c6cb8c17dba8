//! `influence plan`: what a run would do, before anything is computed.

use std::io::Write;

use anyhow::Result;
use bytesize::ByteSize;
use influence_calculators::{Plan as Schedule, Resources, Side};
use influence_core::{ChunkGrid, Footprint};

use crate::{
    args::RunArguments,
    assessment::Assessment,
    config::Memory,
    fit::{fit_bytes, footprint},
    memory,
    plan::Plan,
    run::{config, threads},
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
    let plan = Plan::new(config(arguments)?, arguments.existing.choice(), models)?;
    session.remark(&plan.remarks);
    let assessment = Assessment::of_plan(&plan)?;
    assessment.tell(session.progress());
    print(&plan, out)?;
    assessment.print(out)
}

/// Prints what a run of a plan would do.
pub(crate) fn print(plan: &Plan, out: &mut impl Write) -> Result<()> {
    let (mut footprint, numbers) = footprint(plan)?;
    footprint.scoring.per_pair += (numbers - 1) * Schedule::DELIVERING;
    let schedule = schedule(plan, &footprint).map_err(|error| plan.config.places.located(error))?;
    lines(plan, numbers, &footprint, &schedule, out)
}

/// How the calculators will go about it.
fn schedule(plan: &Plan, footprint: &Footprint) -> Result<Schedule> {
    let compute = &plan.config.compute;
    let memory = compute.memory.map_or(Schedule::MEMORY, Memory::bytes);
    let taken = compute.memory.map_or(0, |_| memory::taken());
    let resources = Resources {
        memory: memory.saturating_sub(taken),
        threads: threads(compute),
        factors_kept: true,
    };
    let given = [compute.test_chunk, compute.train_chunk];
    let chunk = Schedule::chunk_shape(given, plan.shape(), footprint, memory);
    let schedule = Schedule::new(&ChunkGrid::new(plan.shape(), chunk)?, footprint, resources);
    Ok(match compute.memory {
        Some(memory) => schedule.within(memory.bytes(), taken)?,
        None => schedule,
    })
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
    let precision: influence_core::Precision = plan.config.precision.into();
    let mut line = |name: &str, text: String| writeln!(out, "{name:<15} {text}");
    line(
        "influences",
        format!("of {n} training points on {k} test points, {dim} parameters"),
    )?;
    line(
        "method",
        format!("{}, {} to fit", method.as_str(), size(fit_bytes(plan))),
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
            "gradients {:.1e}, scores {:.1e}, solving not counted",
            schedule.gradient_flops(),
            schedule.score_flops()
        ),
    )?;
    line(
        "time",
        format!(
            "about {:.0} s with {} tasks at a time, solving not counted",
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
            "{} for the computation, {} taken already",
            size(schedule.peak_bytes()),
            size(memory::taken())
        ),
    )?;
    line("scratch", size(schedule.scratch_bytes()).to_string())?;
    line(
        "output",
        format!(
            "{} before compression, to {}",
            size(k * n * numbers * precision.bytes()),
            plan.config.output.path.display()
        ),
    )?;
    Ok(())
}

fn size(bytes: usize) -> ByteSize {
    ByteSize::b(bytes as u64)
}

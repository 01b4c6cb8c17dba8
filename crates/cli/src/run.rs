//! `influence run`: parse, plan, run.

use std::{io::Write, num::NonZero, time::Instant};

use anyhow::Result;
use influence_backend_burn::Influence;
use influence_calculators::{
    Calculator, LazyInfluences, Parallel, Sequential as SequentialCalculator, SolveSummary,
    ZarrOptions,
};
use serde_json::{Map, Value};

use crate::{
    args::RunArguments,
    config::{Compute, Config, Strategy},
    fit::fit,
    memory,
    plan::{Existing, Plan},
    progress::Stage,
    report::{self, Summary},
    session::Session,
    verify::ORIGIN,
};

/// Computes what a configuration describes, and prints a summary.
///
/// # Errors
/// Whatever is wrong with the configuration or the files, before anything is written; afterwards what the computation reports.
pub fn run(arguments: &RunArguments, session: &Session, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let plan = Plan::new(config(arguments)?, arguments.existing.choice())?;
    let attributes = plan.attributes()?;
    session.progress().stage(Stage::Fit);
    let influence = fit(&plan, session.progress())?;
    let calculator = calculator(&plan, influence)?;
    let solved = compute(&plan, &calculator, session, attributes)?;
    let summary = Summary {
        plan: &plan,
        solved: &solved,
        seconds: started.elapsed().as_secs_f64(),
    };
    session.print(|| report::summary(&summary, out))
}

/// The configuration, with what the command line says instead.
pub(crate) fn config(arguments: &RunArguments) -> Result<Config> {
    let mut config = Config::load(&arguments.config, &arguments.set)?;
    let compute = &mut config.compute;
    compute.memory = arguments.memory.or(compute.memory);
    compute.threads = arguments.threads.map(NonZero::get).or(compute.threads);
    Ok(config)
}

pub(crate) fn calculator(
    plan: &Plan,
    influence: Influence,
) -> Result<Box<dyn Calculator<Model = Influence>>> {
    Ok(match plan.config.compute.strategy {
        Strategy::Sequential => Box::new(SequentialCalculator::new(influence)),
        Strategy::Parallel => Box::new(Parallel::new(
            influence,
            plan.config.compute.threads.and_then(NonZero::new),
        )?),
    })
}

fn compute(
    plan: &Plan,
    calculator: &impl Calculator<Model = Influence>,
    session: &Session,
    attributes: Map<String, Value>,
) -> Result<SolveSummary> {
    let Config {
        compute, output, ..
    } = &plan.config;
    let options = zarr_options(attributes, plan.existing).with_remark(ORIGIN, plan.origin()?);
    let influences = bounded(calculator.influences(&plan.test, &plan.train), compute)?;
    session.write(influences, &output.path, &options)
}

/// The chunks and the bound on memory as configured, what the process has taken already included.
pub(crate) fn bounded<'a>(
    mut influences: LazyInfluences<'a, Influence>,
    compute: &Compute,
) -> Result<LazyInfluences<'a, Influence>> {
    if let Some(points) = compute.test_chunk {
        influences = influences.with_test_chunk(points)?;
    }
    if let Some(points) = compute.train_chunk {
        influences = influences.with_train_chunk(points)?;
    }
    Ok(match compute.memory {
        None => influences,
        Some(memory) => influences
            .with_memory(memory.bytes())
            .with_memory_taken(memory::taken()),
    })
}

/// How an output is written: with what it says about itself, and in place of an earlier one if that is wanted.
pub(crate) fn zarr_options(attributes: Map<String, Value>, existing: Existing) -> ZarrOptions {
    let options = ZarrOptions::default().with_attributes(attributes);
    match existing {
        Existing::Overwrite => options.overwriting(),
        Existing::Resume => options.resuming(),
        Existing::Refuse => options,
    }
}

//! `influence run`: parse, plan, run.

use std::{io::Write, num::NonZero, time::Instant};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_calculators::{
    Calculator, LazyInfluences, Parallel, Sequential as SequentialCalculator, SolveSummary,
    ZarrOptions,
};
use influence_core::{InfluenceModel, ThreadSafe};
use serde_json::{Map, Value};

use crate::{
    args::RunArguments,
    config::{Compute, Config, Strategy},
    fit::{self, Consumer},
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
    of_config(config(arguments)?, arguments, session, out)
}

/// As [`run`], for a configuration that is read already.
pub(crate) fn of_config(
    config: Config,
    arguments: &RunArguments,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let started = Instant::now();
    let plan = Plan::new(config, arguments.existing.choice())?;
    let attributes = plan.attributes()?;
    session.progress().stage(Stage::Fit);
    let run = Run {
        plan: &plan,
        session,
        attributes,
    };
    let fitted = arguments.fitted.as_deref();
    let solved = fit::consume(&plan, fitted, session.progress(), run)?;
    let [k, n] = plan.shape();
    let summary = Summary {
        what: format!("influences of {n} training points on {k} test points"),
        plan: &plan,
        solved: &solved,
        seconds: started.elapsed().as_secs_f64(),
    };
    session.print(|| report::summary(&summary, out))
}

/// Computes influences and writes them.
struct Run<'a> {
    plan: &'a Plan,
    session: &'a Session,
    attributes: Map<String, Value>,
}

impl Consumer for Run<'_> {
    type Output = SolveSummary;

    fn consume<M>(self, model: M) -> Result<SolveSummary>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static,
    {
        let Plan { config, .. } = self.plan;
        let calculator = calculator(self.plan, model)?;
        let options = zarr_options(self.attributes, self.plan.existing)
            .with_remark(ORIGIN, self.plan.origin()?);
        let influences = calculator.influences(&self.plan.test, &self.plan.train);
        let influences = bounded(influences, &config.compute)?;
        self.session
            .write(influences, &config.output.path, &options)
    }
}

/// The configuration, with what the command line says instead.
pub(crate) fn config(arguments: &RunArguments) -> Result<Config> {
    let mut config = Config::load(&arguments.config, &arguments.set)?;
    let compute = &mut config.compute;
    compute.memory = arguments.memory.or(compute.memory);
    compute.threads = arguments.threads.map(NonZero::get).or(compute.threads);
    Ok(config)
}

/// The calculator of a plan.
pub(crate) fn calculator<M>(plan: &Plan, model: M) -> Result<Box<dyn Calculator<Model = M>>>
where
    M: InfluenceModel + ThreadSafe + 'static,
{
    Ok(match plan.config.compute.strategy {
        Strategy::Sequential => Box::new(SequentialCalculator::new(model)),
        Strategy::Parallel => Box::new(Parallel::new(
            model,
            plan.config.compute.threads.and_then(NonZero::new),
        )?),
    })
}

/// The chunks and the bound on memory as configured, what the process has taken already included.
pub(crate) fn bounded<'a, M: InfluenceModel>(
    mut influences: LazyInfluences<'a, M>,
    compute: &Compute,
) -> Result<LazyInfluences<'a, M>> {
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

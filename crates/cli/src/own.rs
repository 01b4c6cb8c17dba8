//! `influence self`: the influence of every training point on itself.

use std::{io::Write, time::Instant};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_calculators::{Calculator, SolveSummary};
use influence_core::{InfluenceModel, ThreadSafe};
use serde_json::{Map, Value};

use crate::{
    args::RunArguments,
    fit::{self, Consumer},
    memory,
    plan::Plan,
    progress::Stage,
    report::{self, Summary},
    run::{calculator, config, zarr_options},
    session::Session,
    verify::ORIGIN,
};

/// Computes self-influences and prints a summary.
///
/// # Errors
/// As [`run`](crate::run::run).
pub fn run(arguments: &RunArguments, session: &Session, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let plan = Plan::new(config(arguments)?, arguments.existing.choice())?;
    let attributes = plan.attributes()?;
    session.progress().stage(Stage::Fit);
    let own = Own {
        plan: &plan,
        session,
        attributes,
    };
    let fitted = arguments.fitted.as_deref();
    let solved = fit::consume(&plan, fitted, session.progress(), own)?;
    let summary = Summary {
        what: format!("self-influences of {} training points", plan.shape()[1]),
        plan: &plan,
        solved: &solved,
        seconds: started.elapsed().as_secs_f64(),
    };
    session.print(|| report::summary(&summary, out))
}

/// Computes self-influences and writes them.
struct Own<'a> {
    plan: &'a Plan,
    session: &'a Session,
    attributes: Map<String, Value>,
}

impl Consumer for Own<'_> {
    type Output = SolveSummary;

    fn consume<M>(self, model: M) -> Result<SolveSummary>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static,
    {
        let Plan { config, .. } = self.plan;
        let calculator = calculator(self.plan, model)?;
        let options = zarr_options(self.attributes, self.plan.existing)
            .with_remark(ORIGIN, self.plan.origin()?);
        let mut own = calculator.self_influences(&self.plan.train);
        let compute = &config.compute;
        if let Some(points) = compute.train_chunk {
            own = own.with_chunks(points)?;
        }
        if let Some(memory) = compute.memory {
            own = own
                .with_memory(memory.bytes())
                .with_memory_taken(memory::taken());
        }
        self.session.write_own(own, &config.output.path, &options)
    }
}

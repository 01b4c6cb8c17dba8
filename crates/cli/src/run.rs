//! `influence run`: parse, plan, run.

use std::{io::Write, num::NonZero, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use burn::tensor::Tensor;
use influence_backend_burn::{Classification, Fit, Influence, Regression, Stack, Task};
use influence_calculators::{
    Calculator, Parallel, Sequential as SequentialCalculator, SolveSummary, ZarrOptions,
};
use influence_core::solver::{ConjugateGradient, Direct, Jacobi};

use serde_json::{Map, Value};

use crate::{
    args::RunArguments,
    config::{Config, Loss, Method, MethodName, PreconditionerName, Strategy},
    error::complain,
    model::Sequential,
    plan::Plan,
    progress::Progress,
    report::{self, Summary},
};

/// Probes of the preconditioner's estimate of the diagonal.
const JACOBI_PROBES: usize = 32;

/// Computes what a configuration describes, and prints a summary.
///
/// # Errors
/// Whatever is wrong with the configuration or the files, before anything is written; afterwards what the computation reports.
pub fn run(arguments: &RunArguments, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let plan = Plan::new(
        Config::load(&arguments.config, &arguments.set)?,
        arguments.overwrite,
    )?;
    let attributes = plan.attributes()?;
    let influence = fit(&plan)?;
    let dim = influence_core::InfluenceModel::dim(&influence);
    let calculator = calculator(&plan, influence)?;
    let solved = compute(&plan, &calculator, attributes)?;
    let summary = Summary {
        plan: &plan,
        dim,
        solved: &solved,
        seconds: started.elapsed().as_secs_f64(),
    };
    report::summary(&summary, out)
}

fn fit(plan: &Plan) -> Result<Influence> {
    match plan.config.model.loss {
        Loss::CrossEntropy => fit_task(
            plan,
            Classification::new(|model: &Sequential, x: Tensor<2>| model.forward(x)),
        ),
        Loss::Mse => fit_task(
            plan,
            Regression::new(|model: &Sequential, x: Tensor<2>| model.forward(x)),
        ),
    }
}

fn fit_task<T: Task<Module = Sequential>>(plan: &Plan, task: T) -> Result<Influence> {
    let Config {
        method,
        precision,
        compute,
        seed,
        ..
    } = &plan.config;
    let fit = Fit::new(task)
        .with_curvature(method.curvature.into())
        .with_damping(method.damping.structure())
        .with_blocks(method.blocks.clone().into())
        .with_precision((*precision).into())
        .with_batch_size(compute.train_chunk)
        .with_device(plan.device.clone());
    let fit = match method.name {
        MethodName::Direct => fit.with_solver(Direct),
        MethodName::Cg => fit.with_solver(conjugate_gradient(method, *seed)?),
    };
    let influence = fit
        .fit(&plan.model, plan.train.clone())
        .context("fitting the influence model")?;
    for parameter in influence.source().untapped() {
        complain(&format!(
            "warning: the gradient of `{parameter}` is computed sample by sample, which is slow"
        ));
    }
    Ok(influence)
}

fn conjugate_gradient(method: &Method, seed: u64) -> Result<ConjugateGradient<Stack>> {
    let mut solver = ConjugateGradient::new();
    if let Some(rtol) = method.rtol {
        solver = solver.with_rtol(rtol).context("method.rtol")?;
    }
    if let Some(iterations) = method.max_iterations {
        solver = solver
            .with_max_iterations(iterations)
            .context("method.max_iterations")?;
    }
    if method.preconditioner == Some(PreconditionerName::Jacobi) {
        solver = solver.with_preconditioner(Arc::new(Jacobi::new(JACOBI_PROBES, seed)?));
    }
    Ok(solver)
}

fn calculator(plan: &Plan, influence: Influence) -> Result<Box<dyn Calculator<Model = Influence>>> {
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
    attributes: Map<String, Value>,
) -> Result<SolveSummary> {
    let Config {
        compute, output, ..
    } = &plan.config;
    let options = zarr_options(attributes, plan.overwrite);
    let progress = Progress::new("influences");
    let influences = calculator
        .influences(&plan.test, &plan.train)
        .with_chunks(compute.test_chunk, compute.train_chunk)?;
    let solved = influences
        .with_observer(&progress)
        .to_zarr(&output.path, &options)?;
    progress.finish();
    progress.complain();
    Ok(solved)
}

/// How an output is written: with what it says about itself, and in place of an earlier one if that is wanted.
pub(crate) fn zarr_options(attributes: Map<String, Value>, overwrite: bool) -> ZarrOptions {
    let options = ZarrOptions::default().with_attributes(attributes);
    if overwrite {
        options.overwriting()
    } else {
        options
    }
}

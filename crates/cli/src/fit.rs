//! From a checked configuration to a fitted model, or to what it would take.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use burn::tensor::Tensor;
use influence_backend_burn::{Classification, Fit, Influence, Regression, Stack, Task};
use influence_core::{
    Footprint,
    solver::{ConjugateGradient, Direct, Identity, Jacobi},
};

use crate::{
    config::{Config, Loss, Method, MethodName, PreconditionerName},
    model::Sequential,
    plan::Plan,
    progress::Progress,
};

/// Probes of the preconditioner's estimate of the diagonal.
const JACOBI_PROBES: usize = 32;
/// Training points per batch of the fit. Curvatures are added up batch by batch, so their last bits depend on it: it is the same for all runs.
const BATCH: usize = 256;
/// The part of the memory that gradients kept for iterations may take.
const SHARE_OF_FIT: usize = 4;

/// Does something with the task of a configuration, whatever its type.
macro_rules! with_task {
    ($plan:expr, $function:ident) => {
        match $plan.config.model.loss {
            Loss::CrossEntropy => $function(
                $plan,
                Classification::new(|model: &Sequential, x: Tensor<2>| model.forward(x)),
            ),
            Loss::Mse => $function(
                $plan,
                Regression::new(|model: &Sequential, x: Tensor<2>| model.forward(x)),
            ),
        }
    };
}

/// Fits the influence model.
///
/// # Errors
/// Whatever the backend reports; when the method cannot work within the memory.
pub fn fit(plan: &Plan, progress: &Progress) -> Result<Influence> {
    let influence = with_task!(plan, fitted)?;
    for parameter in influence.source().untapped() {
        progress.warn(&format!(
            "the gradient of `{parameter}` is computed sample by sample, which is slow"
        ));
    }
    Ok(influence)
}

/// What the fitted model will take per sample; nothing is fitted.
///
/// # Errors
/// As [`fit`].
pub fn footprint(plan: &Plan) -> Result<Footprint> {
    with_task!(plan, estimated)
}

fn fitted<T: Task<Module = Sequential>>(plan: &Plan, task: T) -> Result<Influence> {
    check_memory(plan)?;
    settings(plan, task)?
        .fit(&plan.model, plan.train.clone())
        .context("fitting the influence model")
}

fn estimated<T: Task<Module = Sequential>>(plan: &Plan, task: T) -> Result<Footprint> {
    check_memory(plan)?;
    settings(plan, task)?
        .footprint(&plan.model, plan.train.clone())
        .context("looking at the gradients of a few training points")
}

/// The bytes that the fit of a method needs beyond gradients: four dense matrices for the direct one.
pub fn fit_bytes(name: MethodName, dim: usize) -> usize {
    match name {
        MethodName::Direct => dim.saturating_mul(dim).saturating_mul(4 * size_of::<f64>()),
        MethodName::Cg | MethodName::Identity => 0,
    }
}

fn check_memory(plan: &Plan) -> Result<()> {
    let (name, dim) = (plan.config.method.name, plan.dim);
    let needed = fit_bytes(name, dim);
    if let Some(memory) = plan.config.compute.memory {
        ensure!(
            needed <= memory.bytes(),
            "compute.memory: the method {} needs {needed} bytes for {dim} parameters, {} are granted; grant more, use smaller blocks, or the method cg",
            name.as_str(),
            memory.bytes()
        );
    }
    Ok(())
}

fn settings<T: Task<Module = Sequential>>(plan: &Plan, task: T) -> Result<Fit<T>> {
    let Config {
        method,
        precision,
        compute,
        seed,
        ..
    } = &plan.config;
    let mut fit = Fit::new(task)
        .with_curvature(method.curvature.into())
        .with_damping(method.damping())
        .with_blocks(method.blocks.clone().into())
        .with_precision((*precision).into())
        .with_batch_size(BATCH)
        .with_device(plan.device.clone());
    if let Some(memory) = compute.memory {
        fit = fit.with_gradient_memory(memory.bytes() / SHARE_OF_FIT);
    }
    Ok(match method.name {
        MethodName::Direct => fit.with_solver(Direct),
        MethodName::Cg => fit.with_solver(conjugate_gradient(method, *seed)?),
        MethodName::Identity => fit.with_solver(Identity),
    })
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

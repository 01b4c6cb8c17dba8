//! From a checked configuration to a fitted model, or to what it would take.

mod solver;

use std::{io::Write, num::NonZero, path::Path};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::{Batch, Fit, Influence, Kronecker, Task};
use influence_core::{
    BlockInfluence, ByBlock, Dataset, FactorForm, Footprint, GradientSource, InfluenceModel,
    Perturbation, Sweep, ThreadSafe, Trajectory,
    solver::{Direct, Identity, InverseHarmonicMean},
};

use crate::{
    args::FitArguments,
    assessment::Assessment,
    config::{Config, MethodName, Mode},
    memory::{self, Taker},
    output::check_file,
    plan::Plan,
    progress::{Progress, Stage},
    session::Session,
    subject::{FitSource, Models, Subject},
    summary::{REHEARSED, timings},
};
use solver::{arnoldi, conjugate_gradient, lissa, nystroem};

/// Training points per batch of the fit. Curvatures are added up batch by batch, so their last bits depend on it: it is the same for all runs.
const BATCH: usize = 256;
/// The part of the memory that gradients kept for iterations may take.
const SHARE_OF_FIT: usize = 4;

/// Something to be done with a model, whatever its type.
pub trait Consumer {
    /// What comes of it.
    type Output;

    /// Does it.
    ///
    /// # Errors
    /// Whatever it reports.
    fn consume<M>(self, model: M) -> Result<Self::Output>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static;
}

/// Fits the model of a configuration, or takes it from a file, and hands what is to be computed of it to a consumer.
///
/// # Errors
/// Whatever the backend reports; when the method cannot work within the memory.
pub fn consume<C: Consumer>(
    plan: &Plan,
    fitted: Option<&Path>,
    progress: &Progress,
    consumer: C,
) -> Result<C::Output> {
    let outcome = fitted_and_consumed(plan, fitted, progress, consumer);
    outcome.map_err(|error| plan.config.places.located(error))
}

fn fitted_and_consumed<C: Consumer>(
    plan: &Plan,
    fitted: Option<&Path>,
    progress: &Progress,
    consumer: C,
) -> Result<C::Output> {
    let Config {
        method, compute, ..
    } = &plan.config;
    ensure!(
        fitted.is_none() || method.name.has_curvature(),
        "--fitted: {} fits nothing that could be kept",
        method.name.as_str()
    );
    if !plan.checkpoints.is_empty() {
        let checkpoints = plan.checkpoints.iter().map(|(rate, subject)| {
            let influence = of_subject(plan, &**subject, FitSource::Fit, progress)?;
            Ok((*rate, influence))
        });
        let trajectory = Trajectory::new(checkpoints.collect::<Result<_>>()?)?;
        return match compute.mode {
            Mode::Up => consumer.consume(trajectory),
            Mode::Perturbation => consumer.consume(Perturbation::new(trajectory)),
            Mode::ByBlock => bail!("compute.mode: tracin has no blocks; use up or perturbation"),
        };
    }
    let source = fitted.map_or(FitSource::Fit, FitSource::Load);
    let influence = of_subject(plan, &*plan.subject, source, progress)?;
    if method.name == MethodName::Cosine {
        return in_mode(plan, influence.with_unit_gradients(), consumer);
    }
    in_mode(plan, influence, consumer)
}

/// Hands what the mode computes of an influence model to a consumer.
fn in_mode<G, C>(plan: &Plan, influence: BlockInfluence<G>, consumer: C) -> Result<C::Output>
where
    G: GradientSource<Batch = Batch> + ThreadSafe + Clone + 'static,
    C: Consumer,
{
    let Config {
        method, compute, ..
    } = &plan.config;
    match (method.dampings(), compute.mode) {
        (Some(dampings), Mode::Up) => {
            consumer.consume(Sweep::new(&influence, dampings).context("method.sweep")?)
        }
        (Some(_), _) => bail!("compute.mode: a sweep over dampings computes influences; use up"),
        (None, Mode::Up) => consumer.consume(influence),
        (None, Mode::ByBlock) => consumer.consume(ByBlock::new(influence)),
        (None, Mode::Perturbation) => consumer.consume(Perturbation::new(influence)),
    }
}

/// `influence fit`: fits the model of a configuration, and keeps in a file what is expensive of it.
///
/// # Errors
/// As [`consume`]; when the method fits nothing, or the file cannot be written.
pub fn run(
    arguments: &FitArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = Config::load(&arguments.config, &arguments.set)?;
    let (memory, threads) = (arguments.memory, arguments.threads.count);
    let config = Config {
        compute: config.compute.granted(memory, threads),
        ..config
    };
    let mut plan = Plan::of_inputs(config, models)?;
    plan.observer = Some(session.observer());
    session.remark(&plan.remarks);
    let method = plan.config.method.name;
    ensure!(
        method.has_curvature(),
        "method.name: {} fits nothing that could be kept",
        method.as_str()
    );
    let path = &arguments.fitted;
    check_file(path).context("--fitted")?;
    check_memory(&plan)?;
    let assessment = Assessment::of_plan(&plan)?;
    assessment.tell(session.progress());
    if arguments.dry_run {
        footprint(&plan)?;
        writeln!(
            out,
            "to fit          {}, {} parameters",
            method.as_str(),
            plan.dim
        )?;
        writeln!(out, "to be kept in   {}", path.display())?;
        assessment.print(out)?;
        return Ok(writeln!(out, "{REHEARSED}")?);
    }
    session.progress().stage(Stage::Fit);
    of_subject(
        &plan,
        &*plan.subject,
        FitSource::FitAndSave(path),
        session.progress(),
    )?;
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        writeln!(
            out,
            "fitted          {}, {} parameters",
            method.as_str(),
            plan.dim
        )?;
        assessment.print(out)?;
        writeln!(out, "seconds         {seconds}")?;
        Ok(writeln!(out, "kept in         {}", path.display())?)
    })
}

fn of_subject(
    plan: &Plan,
    subject: &dyn Subject,
    source: FitSource<'_>,
    progress: &Progress,
) -> Result<Influence> {
    let influence = subject.influence(plan, source).map_err(advised)?;
    for parameter in influence.source().untapped() {
        progress.warn(&format!(
            "the gradient of `{parameter}` is computed sample by sample, which is slow"
        ));
    }
    warn_of_estimates(&influence, progress);
    Ok(influence)
}

/// An error, with what to do where it is about numbers that overflowed in a fit.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let overflowed = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<influence_core::Error>();
        matches!(cause, Some(influence_core::Error::NotFinite { .. }))
    });
    if overflowed {
        error.context("numbers overflowed; compute in 64 bits (precision = \"f64\"), or bring the inputs to a common scale (data.scale = \"standard\")")
    } else {
        error
    }
}

/// Warns of dampings that are relative to a mean eigenvalue known to a per cent at best.
fn warn_of_estimates(influence: &Influence, progress: &Progress) {
    const NOTABLE: f64 = 0.01;
    for (block, mean) in influence.mean_eigenvalues() {
        let Some(mean) = mean else { continue };
        if mean.standard_error > NOTABLE * mean.value.abs() {
            progress.warn(&format!(
                "the damping of block `{}` is relative to a mean eigenvalue estimated from random probes, {:.2e} with a standard error of {:.1e}; a number in \
                 place of {{ relative = … }} is exact",
                block.name(),
                mean.value,
                mean.standard_error
            ));
        }
    }
}

/// What the model will take per sample, and of how many numbers its scores are made; nothing is fitted.
///
/// # Errors
/// As [`consume`].
pub fn footprint(plan: &Plan) -> Result<(Footprint, usize)> {
    check_memory(plan)?;
    let Config {
        method,
        compute,
        precision,
        ..
    } = &plan.config;
    let one = if method.name.has_curvature() {
        plan.subject.footprint(plan)
    } else {
        let influence = plan.subject.influence(plan, FitSource::Fit)?;
        let head = plan.train.batch(0..1)?;
        Ok(influence.footprint(&head, FactorForm::Solved)?)
    }
    .context("looking at the gradients of a few training points")?;
    let one = one.of_checkpoints(plan.checkpoints.len().max(1));
    Ok(match (compute.mode, &method.sweep) {
        (Mode::Up, None) => (one, 1),
        (Mode::Up, Some(dampings)) => (one.of_dampings(dampings.len()), dampings.len()),
        (Mode::ByBlock, _) => (one.with_numbers(plan.blocks.len()), plan.blocks.len()),
        (Mode::Perturbation, _) => {
            let numbers = plan.sample_shape.iter().product();
            (one.of_perturbations(numbers, (*precision).into()), numbers)
        }
    })
}

/// The bytes that the fit of a method takes beyond gradients that are kept, an estimate from above.
///
/// # Errors
/// As [`consume`].
pub fn fit_bytes(plan: &Plan) -> Result<usize> {
    if !plan.config.method.name.has_curvature() {
        return Ok(0);
    }
    let bytes = plan.subject.fit_bytes(plan);
    bytes.context("looking at the gradients of a few training points")
}

/// Refuses a fit that there is not enough memory for, before any is taken; gives the bytes that it takes.
///
/// # Errors
/// When there is not enough memory; as [`consume`].
pub fn check_memory(plan: &Plan) -> Result<usize> {
    let checked = memory_checked(plan);
    checked.map_err(|error| plan.config.places.located(error))
}

fn memory_checked(plan: &Plan) -> Result<usize> {
    let (method, needed) = (plan.config.method.name, fit_bytes(plan)?);
    let what = format!("the fit by {} of {} parameters", method.as_str(), plan.dim);
    let advice = match method {
        MethodName::Direct => {
            "take the method ekfac, or cg with the curvature gauss-newton, or smaller method.blocks"
        }
        MethodName::Kfac | MethodName::Ekfac => {
            "take the method cg with the curvature gauss-newton, which keeps no factors"
        }
        _ => "take a smaller method.rank, or the method cg without a preconditioner",
    };
    let taker = Taker {
        key: "method.name",
        what: &what,
        advice,
    };
    memory::check(&plan.config.compute, taker, needed)?;
    Ok(needed)
}

/// A fit with the settings of a plan.
///
/// # Errors
/// When a setting of the method is out of its domain.
pub(crate) fn settings<T: Task>(plan: &Plan, fit: Fit<T>) -> Result<Fit<T>> {
    let Config {
        method,
        precision,
        compute,
        seed,
        ..
    } = &plan.config;
    let mut fit = fit
        .with_curvature(method.curvature(*seed))
        .with_damping(method.damping())
        .with_blocks(method.blocks())
        .with_precision((*precision).into())
        .with_batch_size(BATCH)
        .with_device(plan.device.clone());
    fit = fit.with_gradient_memory(memory::share(compute, SHARE_OF_FIT));
    if let Some(threads) = NonZero::new(compute.threads()) {
        fit = fit.with_threads(threads);
    }
    if let Some(observer) = &plan.observer {
        fit = fit.with_observer(observer.clone());
    }
    if !compute.check_gradient {
        fit = fit.trusting_the_recording();
    }
    if let (MethodName::Kfac | MethodName::Ekfac, Some(tolerance)) = (method.name, method.tolerance)
    {
        fit = fit.with_tolerance(tolerance);
    }
    Ok(match method.name {
        MethodName::Direct => fit.with_solver(Direct),
        MethodName::Cg => fit.with_solver(conjugate_gradient(method, *seed)?),
        MethodName::Lissa => fit.with_solver(lissa(method, *seed)?),
        MethodName::Arnoldi => fit.with_solver(arnoldi(method, *seed)?),
        MethodName::Nystroem => fit.with_solver(nystroem(method, *seed)?),
        MethodName::InverseHarmonicMean => fit.with_solver(InverseHarmonicMean),
        MethodName::Kfac => fit.with_kronecker(Kronecker::Kfac),
        MethodName::Ekfac => fit.with_kronecker(Kronecker::Ekfac),
        MethodName::Identity | MethodName::Cosine | MethodName::Tracin => fit.with_solver(Identity),
    })
}

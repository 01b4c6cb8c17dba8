//! From a checked configuration to a fitted influence model, or to its memory and cost.

mod followed;
mod share;
mod warnings;

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::{Batch, Influence, LeverageCorrected, Unrolled};
use influence_core::{
    BlockInfluence, ByBlock, Dataset, ErasedModel, FactorForm, Footprint, GradientSource,
    InfluenceModel, Perturbation, RelativeInfluence, Sweep, ThreadSafe, Trajectory, erase,
    summation::{Alone, Summation},
};
use influence_data::key::{AtKey, KeyError};

use crate::{
    config::{Config, Method, Mode, SourceSettings, Training},
    fit_settings::FitSettings,
    job::Job,
    memory::{self, Taker},
    models::{FitSource, TaskModel, rule},
    watch::{Stage, Watch},
};
use followed::followed;
pub use share::Waiting;
use warnings::warn_of_untapped;

/// Why a fit of an ensemble is not kept.
const OF_ONE: &str = "a fit that is kept is that of one model, and model.weights lists several; name one of them, or fit in the run itself";

/// A job whose fit there is memory for.
#[derive(Debug, Clone, Copy)]
pub struct Affordable<'a> {
    job: &'a Job,
    bytes: usize,
}

impl<'a> Affordable<'a> {
    /// Estimates what the fit of a job takes, and refuses one that there is not enough memory for,
    /// before any is taken.
    ///
    /// # Errors
    /// When there is not enough memory; when the gradients of a few training points cannot be
    /// computed.
    pub fn new(job: &'a Job) -> Result<Self> {
        let bytes = memory_checked(job).map_err(|error| job.config.places.located(error))?;
        Ok(Self { job, bytes })
    }

    /// The job.
    pub fn job(&self) -> &'a Job {
        self.job
    }

    /// The bytes that the fit takes beyond gradients that are kept, an estimate from above.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fits the model, or takes a fit that is kept in a file or at a URL: in the mode of the job,
    /// as one type whatever the method.
    ///
    /// # Errors
    /// Whatever the backend reports.
    pub fn model(&self, fitted: Option<&Path>, watch: &dyn Watch) -> Result<ErasedModel<Batch>> {
        self.model_summed_by(Arc::new(Alone), fitted, watch)
    }

    /// As [`model`](Self::model), with sums over the training data added up by this.
    pub(crate) fn model_summed_by(
        &self,
        summation: Arc<dyn Summation>,
        fitted: Option<&Path>,
        watch: &dyn Watch,
    ) -> Result<ErasedModel<Batch>> {
        let settings = self
            .job
            .fit_settings()
            .map(|it| it.with_summation(summation));
        let outcome =
            settings.and_then(|settings| fitted_model(self.job, &settings, fitted, watch));
        outcome.map_err(|error| self.job.config.places.located(error))
    }

    /// Fits the model, and keeps its expensive parts in a file, or at a URL.
    ///
    /// # Errors
    /// As [`model`](Self::model); when the fit cannot be written.
    pub fn fit_and_save(&self, path: &Path, watch: &dyn Watch) -> Result<()> {
        watch.stage(Stage::Fit);
        let source = FitSource::FitAndSave(path);
        of_model(self.job, &*self.job.model, source, watch).map(drop)
    }
}

fn fitted_model(
    job: &Job,
    settings: &FitSettings,
    fitted: Option<&Path>,
    watch: &dyn Watch,
) -> Result<ErasedModel<Batch>> {
    let method = job.config.method()?;
    ensure!(
        fitted.is_none() || method.curved().is_some(),
        "--fitted: {} has no fitted state to read",
        method.name().as_str()
    );
    if !job.checkpoints.is_empty() {
        let checkpoints = job.checkpoints.iter().map(|(rate, model)| {
            let influence = with_settings(settings, job, &**model, FitSource::Fit, watch)?;
            Ok((*rate, influence))
        });
        let trajectory = Trajectory::new(checkpoints.collect::<Result<_>>()?)?;
        return match job.config.compute.mode {
            Mode::Up => Ok(erase(trajectory)),
            Mode::Perturbation => Ok(erase(Perturbation::new(trajectory))),
            Mode::ByBlock => bail!(KeyError::new(
                "compute.mode",
                "tracin has no blocks; use up or perturbation"
            )),
        };
    }
    let source = fitted.map_or(FitSource::Fit, FitSource::Load);
    if job.others.is_empty() {
        return of_member(job, 0, settings, source, watch);
    }
    ensure!(fitted.is_none(), "--fitted: {OF_ONE}");
    let weight = 1.0 / job.members() as f64;
    let members = (0..job.members()).map(|member| {
        let model = of_member(job, member, settings, source, watch)?;
        Ok((weight, model))
    });
    Ok(erase(Trajectory::new(members.collect::<Result<_>>()?)?))
}

/// A model of an ensemble, or the only one, in the mode of a job.
fn of_member(
    job: &Job,
    member: usize,
    settings: &FitSettings,
    source: FitSource<'_>,
    watch: &dyn Watch,
) -> Result<ErasedModel<Batch>> {
    let method = job.config.method()?;
    if method.unrolls() {
        return followed(job, member, settings, watch);
    }
    let influence = with_settings(settings, job, job.member(member), source, watch)?;
    if let Some(to) = method.relative() {
        return Ok(erase(RelativeInfluence::new(influence, to)));
    }
    match method {
        Method::Cosine => in_mode(job, influence.with_unit_gradients()),
        _ if method.leverage() => {
            let samples = job.train.len();
            Ok(erase(LeverageCorrected::new(influence, samples)))
        }
        _ => in_mode(job, influence),
    }
}

/// What the mode of a job computes of an influence model.
fn in_mode<G>(job: &Job, influence: BlockInfluence<G>) -> Result<ErasedModel<Batch>>
where
    G: GradientSource<Batch = Batch> + ThreadSafe + Clone + 'static,
{
    let Config { compute, .. } = &job.config;
    Ok(match (job.config.method()?.sweep(), compute.mode) {
        (Some(dampings), Mode::Up) => {
            erase(Sweep::new(&influence, dampings).at_key("method.sweep")?)
        }
        (Some(_), _) => bail!(KeyError::new(
            "compute.mode",
            "a sweep over dampings computes influences; use up"
        )),
        (None, Mode::Up) => erase(influence),
        (None, Mode::ByBlock) => erase(ByBlock::new(influence)),
        (None, Mode::Perturbation) => erase(Perturbation::new(influence)),
    })
}

/// Refuses a method that has no fitted state to save.
///
/// # Errors
/// When the method of the configuration is such a one.
pub fn check_savable(config: &Config) -> Result<()> {
    let method = config.method()?;
    ensure!(
        method.curved().is_some(),
        KeyError::new(
            "method.name",
            format_args!("{} has no fitted state to save", method.name().as_str())
        )
    );
    ensure!(
        config.model.members().len() == 1,
        KeyError::new("model.weights", OF_ONE)
    );
    Ok(())
}

fn of_model(
    job: &Job,
    model: &dyn TaskModel,
    source: FitSource<'_>,
    watch: &dyn Watch,
) -> Result<Influence> {
    with_settings(&job.fit_settings()?, job, model, source, watch)
}

fn with_settings(
    settings: &FitSettings,
    job: &Job,
    model: &dyn TaskModel,
    source: FitSource<'_>,
    watch: &dyn Watch,
) -> Result<Influence> {
    let influence = model
        .influence(settings, &job.train, source)
        .map_err(advised)?;
    warn_of_untapped(influence.source().untapped(), watch);
    warn_of_estimates(&influence, watch);
    Ok(influence)
}

/// An error, with advice where numbers overflowed in a fit.
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
fn warn_of_estimates(influence: &Influence, watch: &dyn Watch) {
    const NOTABLE: f64 = 0.01;
    for (block, mean) in influence.mean_eigenvalues() {
        let Some(mean) = mean else { continue };
        if mean.standard_error > NOTABLE * mean.value.abs() {
            watch.warn(&format!(
                "the damping of block `{}` is relative to a mean eigenvalue estimated from random probes, {:.2e} with a standard error of {:.1e}; a number in \
                 place of {{ relative = … }} is exact",
                block.name(),
                mean.value,
                mean.standard_error
            ));
        }
    }
}

/// What the model will take per sample, and of how many numbers its scores are made; nothing is
/// fitted.
///
/// # Errors
/// As [`Affordable::model`].
pub fn footprint(job: &Job) -> Result<(Footprint, usize)> {
    let Config {
        compute, precision, ..
    } = &job.config;
    let settings = job.fit_settings()?;
    let curved = job.config.method()?.curved();
    let segments = job.config.method()?.segments();
    let one = if segments.is_some() {
        job.model.footprint(&settings, &job.train)
    } else if job.config.method()?.unrolls() {
        let samples = (job.train.len(), &job.train.batch(0..1)?);
        let size = (job.dim, *precision);
        Ok(Unrolled::footprint_of(
            size,
            samples,
            rule(&job.config.train),
        ))
    } else if curved.is_some() {
        job.model.footprint(&settings, &job.train)
    } else {
        let influence = job.model.influence(&settings, &job.train, FitSource::Fit)?;
        let head = job.train.batch(0..1)?;
        let form = match &job.test_groups {
            Some(_) => FactorForm::Stored,
            None => FactorForm::Solved,
        };
        Ok(influence.footprint(&head, form)?)
    }
    .context("looking at the gradients of a few training points")?;
    let checkpoints = segments.map_or(job.checkpoints.len(), SourceSettings::checkpoints);
    let one = one.of_checkpoints(checkpoints.max(1));
    let one = match outputs_corrected(job)? {
        Some(outputs) => one.with_leverage(outputs),
        None if job.config.method()?.relative().is_some() => one.with_solved_gradients(1),
        None => one,
    };
    let sweep = curved.and_then(|curved| curved.damping.sweep());
    let (whole, numbers) = match (compute.mode, sweep) {
        (Mode::Up, None) => (one, 1),
        (Mode::Up, Some(dampings)) => (one.of_dampings(dampings.len()), dampings.len()),
        (Mode::ByBlock, _) => (one.with_numbers(job.blocks.len()), job.blocks.len()),
        (Mode::Perturbation, _) => {
            let numbers = job.sample_shape.iter().product();
            (one.of_perturbations(numbers, *precision), numbers)
        }
    };
    Ok((whole.of_checkpoints(job.members()), numbers))
}

/// The number of outputs of a point, if gradients are corrected along them.
fn outputs_corrected(job: &Job) -> Result<Option<usize>> {
    if !job.config.method()?.leverage() {
        return Ok(None);
    }
    let outputs = job.model.outputs(&job.train.batch(0..1)?)?;
    Ok(outputs.map(|outputs| outputs.values.ncols()))
}

/// The bytes that the fit of a method takes beyond gradients that are kept, an estimate from above.
fn fit_bytes(job: &Job) -> Result<usize> {
    let method = job.config.method()?;
    if let Some(source) = method.segments() {
        let factors = job.model.fit_bytes(&job.fit_settings()?, &job.train);
        let factors = factors.context("looking at the gradients of a few training points")?;
        let vector = job.dim.saturating_mul(job.config.precision.bytes());
        let bytes = source.segments.saturating_mul(factors);
        let bytes = bytes.saturating_add(source.checkpoints().saturating_mul(vector));
        return Ok(bytes.saturating_mul(job.members()));
    }
    if method.unrolls() {
        let Training { epochs, batch, .. } = job.config.train;
        let steps = epochs.saturating_mul(job.train.len().div_ceil(batch));
        let size = (job.dim, job.config.precision);
        let memory = job.fit_settings()?.memory();
        let bytes = Unrolled::fit_bytes(size, rule(&job.config.train), steps, memory);
        return Ok(bytes.saturating_mul(job.members()));
    }
    if method.curved().is_none() {
        return Ok(0);
    }
    let bytes = job.model.fit_bytes(&job.fit_settings()?, &job.train);
    let bytes = bytes.context("looking at the gradients of a few training points")?;
    Ok(bytes.saturating_mul(job.members()))
}

/// Refuses a fit that there is not enough memory for; gives the bytes that it takes.
fn memory_checked(job: &Job) -> Result<usize> {
    let (method, needed) = (job.config.method()?, fit_bytes(job)?);
    let name = method.name().as_str();
    let what = format!("the fit by {name} of {} parameters", job.dim);
    let advice = match method {
        Method::Direct(_) => {
            "take the method ekfac, or cg with the curvature gauss-newton, or smaller method.blocks"
        }
        Method::Kfac(_) | Method::Ekfac(_) => {
            "take the method cg with the curvature gauss-newton, which keeps no factors"
        }
        Method::Magic => "take fewer train.epochs, or larger batches",
        Method::Source(_) => "take fewer method.segments",
        _ => "take a smaller method.rank, or the method cg without a preconditioner",
    };
    let taker = Taker {
        key: "method.name",
        what: &what,
        advice,
    };
    memory::check(&job.config.compute, taker, needed)?;
    Ok(needed)
}

//! How influence models are fitted: the settings of a configuration, for any model.

mod solver;

use std::{num::NonZero, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use influence_backend_burn::{Curvature, Fit, FitObserver, Kronecker, Segmentation, Stack, Task};
use influence_core::{
    Precision,
    solver::{
        Diagonal, Direct, Identity, InverseHarmonicMean, KnownDiagonal, PreconditionedSolver,
    },
    summation::{Alone, Summation},
};
use influence_data::key::KeyError;
use ndarray::Array1;

use crate::{
    config::{
        Config, Method,
        method::{Preconditioner, Residual},
    },
    memory,
};
use solver::{arnoldi, conjugate_gradient, lissa, nystroem};

/// Training points per batch of the fit. Curvatures are added up batch by batch, and eight batches
/// are a leaf of their sums, so their last bits depend on it: it is the same for all runs.
const BATCH: usize = 256;
/// The gradients that are kept for iterations may take one part in this many of the memory.
const SHARE_OF_FIT: usize = 4;

/// All that a fit takes besides the model and the data.
#[derive(Debug, Clone)]
pub struct FitSettings {
    method: Method,
    seed: u64,
    precision: Precision,
    device: Device,
    /// The bytes that gradients kept for iterations may take.
    gradient_memory: usize,
    threads: usize,
    check_gradient: bool,
    observer: Option<Arc<dyn FitObserver>>,
    summation: Arc<dyn Summation>,
    second_moments: Option<Arc<Array1<f64>>>,
}

impl FitSettings {
    /// The settings of a configuration, on a device, watched by an observer.
    ///
    /// # Errors
    /// When the configuration has no method.
    pub fn new(
        config: &Config,
        device: &Device,
        observer: Option<Arc<dyn FitObserver>>,
    ) -> Result<Self> {
        let compute = &config.compute;
        Ok(Self {
            method: config.method()?.clone(),
            seed: config.seed,
            precision: config.precision,
            device: device.clone(),
            gradient_memory: memory::share(compute, SHARE_OF_FIT),
            threads: compute.threads(),
            check_gradient: compute.check_gradient,
            observer,
            summation: Arc::new(Alone),
            second_moments: None,
        })
    }

    /// With second moments of the gradients in the training, one for each parameter.
    #[must_use]
    pub fn with_second_moments(self, second_moments: Option<Arc<Array1<f64>>>) -> Self {
        Self {
            second_moments,
            ..self
        }
    }

    /// With sums over the training data added up by this, in place of [`Alone`].
    #[must_use]
    pub fn with_summation(self, summation: Arc<dyn Summation>) -> Self {
        Self { summation, ..self }
    }

    /// In this precision, in place of that of the configuration.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// By this method, in place of that of the configuration.
    #[must_use]
    pub(crate) fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// How many dampings influences are computed for.
    pub fn dampings(&self) -> usize {
        self.method
            .curved()
            .map_or(1, |curved| curved.damping.count())
    }

    /// The name of the method.
    pub(crate) fn method_name(&self) -> &'static str {
        self.method.name().as_str()
    }

    /// How the method cuts a training of this many steps into segments.
    ///
    /// # Errors
    /// For a method that does not, or wants more checkpoints than there are steps.
    pub(crate) fn segmentation(&self, steps: usize) -> Result<Segmentation> {
        let source = self.method.segments();
        let source = source.with_context(|| format!("{} has no segments", self.method_name()))?;
        ensure!(
            source.checkpoints() <= steps,
            KeyError::sentence(
                "method.segments",
                format!(
                    "is {}, each with {} checkpoints, and the training has {steps} steps; it can have a checkpoint at each of them and no more",
                    source.segments, source.checkpoints_per_segment
                )
            )
        );
        Ok(Segmentation {
            segments: source.segments,
            checkpoints: source.checkpoints_per_segment,
        })
    }

    /// The bytes that gradients kept for iterations, or the states of a training, may take.
    pub(crate) fn memory(&self) -> usize {
        self.gradient_memory
    }

    /// A fit with these settings.
    ///
    /// # Errors
    /// When a setting of the method is out of its domain.
    pub(crate) fn apply<T: Task>(&self, fit: Fit<T>) -> Result<Fit<T>> {
        let mut fit = fit
            .with_blocks(self.method.blocks())
            .with_precision(self.precision)
            .with_batch_size(BATCH)
            .with_device(self.device.clone())
            .with_gradient_memory(self.gradient_memory)
            .with_summation(self.summation.clone());
        if let Some(threads) = NonZero::new(self.threads) {
            fit = fit.with_threads(threads);
        }
        if let Some(observer) = &self.observer {
            fit = fit.with_observer(observer.clone());
        }
        if !self.check_gradient {
            fit = fit.trusting_the_recording();
        }
        self.with_solver(self.with_curvature(fit))
    }

    /// With the curvature of the method and its damping, the first one of a sweep.
    fn with_curvature<T: Task>(&self, fit: Fit<T>) -> Fit<T> {
        match (
            self.method.curved(),
            self.method.dampings().into_iter().next(),
        ) {
            (Some(curved), Some(damping)) => {
                let curvature = curved.curvature.with_seed(self.seed);
                let mut fit = fit.with_curvature(curvature).with_damping(damping);
                if let Some(cut_off) = self.method.cut_off() {
                    fit = fit.with_cut_off(cut_off);
                }
                match curved.residual {
                    Residual::Own => fit,
                    Residual::Exact => fit.with_exact_residuals(),
                }
            }
            // The damping that a fit has is not used where its method has none.
            _ if self.method.segments().is_some() => {
                fit.with_curvature(Curvature::GaussNewton).with_damping(0.0)
            }
            // A fit has a curvature even where its solver ignores it; of this one nothing is
            // computed ahead.
            _ => fit
                .with_curvature(Curvature::EmpiricalFisher)
                .with_damping(match &self.method {
                    Method::Adam(adam) => adam.epsilon,
                    _ => 0.0,
                }),
        }
    }

    /// With the solver of the method.
    fn with_solver<T: Task>(&self, fit: Fit<T>) -> Result<Fit<T>> {
        let seed = self.seed;
        Ok(match &self.method {
            Method::Direct(_) => fit.with_solver(Direct),
            Method::Cg(settings) => {
                let solver = conjugate_gradient(settings, seed)?;
                iterative(fit, solver, settings.preconditioner)
            }
            Method::Lissa(settings) => {
                iterative(fit, lissa(settings, seed)?, settings.preconditioner)
            }
            Method::Arnoldi(settings) => fit.with_solver(arnoldi(settings, seed)?),
            Method::Nystroem(settings) => fit.with_solver(nystroem(settings, seed)?),
            Method::InverseHarmonicMean(_) => fit.with_solver(InverseHarmonicMean),
            Method::Diagonal(_) => fit.with_solver(Diagonal),
            Method::Kfac(factors) => kronecker(fit, Kronecker::Kfac, factors.tolerance),
            Method::Ekfac(factors) => kronecker(fit, Kronecker::Ekfac, factors.tolerance),
            Method::Source(_) => fit.with_kronecker(Kronecker::Ekfac),
            Method::Adam(_) => {
                let moments = self.second_moments.as_ref();
                let moments = moments.context("adam: the second moments were not read")?;
                fit.with_solver(KnownDiagonal::new(Arc::new(moments.mapv(f64::sqrt))))
            }
            Method::Auto(_) => bail!("the method is still to be chosen, which a job does"),
            Method::Identity | Method::Cosine | Method::Tracin(_) | Method::Magic => {
                fit.with_solver(Identity)
            }
        })
    }
}

/// With a solver that iterates, and Kronecker factors if these are its preconditioner.
fn iterative<T: Task>(
    fit: Fit<T>,
    solver: impl PreconditionedSolver<Stack> + 'static,
    preconditioner: Option<Preconditioner>,
) -> Fit<T> {
    match preconditioner.and_then(Preconditioner::kronecker) {
        Some(factors) => fit.with_preconditioned_solver(solver, factors),
        None => fit.with_solver(solver),
    }
}

/// With Kronecker factors, and the relative error that influences may have, where it is given.
fn kronecker<T: Task>(fit: Fit<T>, kind: Kronecker, tolerance: Option<f64>) -> Fit<T> {
    let fit = fit.with_kronecker(kind);
    match tolerance {
        Some(tolerance) => fit.with_tolerance(tolerance),
        None => fit,
    }
}

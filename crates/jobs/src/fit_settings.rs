//! How influence models are fitted: the settings of a configuration, for any model.

mod solver;

use std::{num::NonZero, sync::Arc};

use anyhow::Result;
use burn::tensor::Device;
use influence_backend_burn::{Fit, FitObserver, Kronecker, Task};
use influence_core::{
    Precision,
    solver::{Direct, Identity, InverseHarmonicMean},
};

use crate::{
    config::{Config, Method, MethodName},
    memory,
};
use solver::{arnoldi, conjugate_gradient, lissa, nystroem};

/// Training points per batch of the fit. Curvatures are added up batch by batch, so their last bits
/// depend on it: it is the same for all runs.
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
}

impl FitSettings {
    /// The settings of a configuration, on a device, watched by an observer.
    pub fn new(config: &Config, device: &Device, observer: Option<Arc<dyn FitObserver>>) -> Self {
        let compute = &config.compute;
        Self {
            method: config.method.clone(),
            seed: config.seed,
            precision: config.precision,
            device: device.clone(),
            gradient_memory: memory::share(compute, SHARE_OF_FIT),
            threads: compute.threads(),
            check_gradient: compute.check_gradient,
            observer,
        }
    }

    /// How many dampings influences are computed for.
    pub fn dampings(&self) -> usize {
        self.method.sweep.as_ref().map_or(1, Vec::len)
    }

    /// A fit with these settings.
    ///
    /// # Errors
    /// When a setting of the method is out of its domain.
    pub(crate) fn apply<T: Task>(&self, fit: Fit<T>) -> Result<Fit<T>> {
        let method = &self.method;
        let mut fit = fit
            .with_curvature(method.curvature(self.seed))
            .with_damping(method.damping())
            .with_blocks(method.blocks())
            .with_precision(self.precision)
            .with_batch_size(BATCH)
            .with_device(self.device.clone())
            .with_gradient_memory(self.gradient_memory);
        if let Some(threads) = NonZero::new(self.threads) {
            fit = fit.with_threads(threads);
        }
        if let Some(observer) = &self.observer {
            fit = fit.with_observer(observer.clone());
        }
        if !self.check_gradient {
            fit = fit.trusting_the_recording();
        }
        if let (MethodName::Kfac | MethodName::Ekfac, Some(tolerance)) =
            (method.name, method.tolerance)
        {
            fit = fit.with_tolerance(tolerance);
        }
        self.with_solver(fit)
    }

    /// With the solver of the method.
    fn with_solver<T: Task>(&self, fit: Fit<T>) -> Result<Fit<T>> {
        let (method, seed) = (&self.method, self.seed);
        Ok(match method.name {
            MethodName::Direct => fit.with_solver(Direct),
            MethodName::Cg => fit.with_solver(conjugate_gradient(method, seed)?),
            MethodName::Lissa => fit.with_solver(lissa(method, seed)?),
            MethodName::Arnoldi => fit.with_solver(arnoldi(method, seed)?),
            MethodName::Nystroem => fit.with_solver(nystroem(method, seed)?),
            MethodName::InverseHarmonicMean => fit.with_solver(InverseHarmonicMean),
            MethodName::Kfac => fit.with_kronecker(Kronecker::Kfac),
            MethodName::Ekfac => fit.with_kronecker(Kronecker::Ekfac),
            MethodName::Identity | MethodName::Cosine | MethodName::Tracin => {
                fit.with_solver(Identity)
            }
        })
    }
}

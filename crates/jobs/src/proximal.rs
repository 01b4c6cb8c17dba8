//! Proximal Bregman responses of the model of a job: the truth that influences approximate, without
//! retraining.

use std::num::NonZero;

use anyhow::{Context, Result, ensure};
use burn::tensor::DType;
use influence_backend_burn::{Curvature, ProximalBregman};
use influence_core::{Dataset, Precision};
use influence_data::key::KeyError;
use ndarray::Array2;

use crate::{
    config::Method,
    fit::Affordable,
    job::Job,
    models::FitSource,
    watch::{Stage, Watch},
};

/// The gradient that may be left of a response, relative to the first one, without a warning.
const LEFT: f64 = 1e-3;

/// How much the measurement of each test point rises when one training point is unlearnt, by the
/// proximal Bregman objective at the weights of the model: `(points, k)`, a row for each of some
/// training points.
///
/// The λ of the objective is that of the method, the first one of a sweep. Everything is computed
/// in 64 bits where the device has them. A warning says where a minimum was not reached.
///
/// # Errors
/// When the method has no damped curvature that is positive semi-definite, there is not enough
/// memory for its fit, the task declares no outputs, or a point is out of range.
pub fn proximal_responses(job: &Job, points: &[usize], watch: &dyn Watch) -> Result<Array2<f64>> {
    check(job.config.method()?)?;
    let fit = Affordable::new(job)?;
    watch.stage(Stage::Fit);
    let precision = if job.device.supports_dtype(DType::F64) {
        Precision::F64
    } else {
        job.config.precision
    };
    let settings = fit.job().fit_settings()?.with_precision(precision);
    let influence = job.model.influence(&settings, &job.train, FitSource::Fit)?;
    let threads = NonZero::new(job.config.compute.threads()).unwrap_or(NonZero::<usize>::MIN);
    let objective = ProximalBregman::new(&influence, &*job.train)?.with_threads(threads);
    let responses = objective.responses(points, &*job.test);
    let responses = responses.context("minimising the proximal Bregman objective")?;
    let far = responses.iter().filter(|it| it.gradient > LEFT).count();
    if far > 0 {
        let worst = responses.iter().map(|it| it.gradient).fold(0.0, f64::max);
        watch.warn(&format!(
            "{far} of {} proximal responses are not at their minimum: a gradient of up to {worst:.1e} of the first one is left",
            responses.len()
        ));
    }
    let mut changes = Array2::zeros((points.len(), job.test.len()));
    for (mut row, response) in changes.outer_iter_mut().zip(&responses) {
        row.assign(&response.changes);
    }
    Ok(changes)
}

/// Refuses methods without a λ, and an inverse that may point uphill.
fn check(method: &Method) -> Result<()> {
    let curved = method.curved();
    let definite = curved.is_some_and(|it| it.curvature.name() != Curvature::Hessian.name());
    ensure!(
        definite,
        KeyError::new(
            "method.curvature",
            "proximal responses need a method with a damped curvature that is not negative; use gauss-newton"
        )
    );
    Ok(())
}

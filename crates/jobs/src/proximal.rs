//! Proximal Bregman responses of the model of a job: the truth that influences approximate, without
//! retraining.

use std::num::NonZero;

use anyhow::{Context, Result};
use influence_backend_burn::{Curvature, ProximalBregman};
use influence_core::Dataset;
use influence_data::key::KeyError;
use ndarray::Array2;

use crate::{
    config::Method,
    job::Job,
    models::FitSource,
    setup::highest_precision,
    watch::{Stage, Watch},
};

/// The gradient that may be left of a response, relative to the first one, without a warning.
const LEFT: f64 = 1e-3;
/// The residual of the solutions by which steps are found.
const ROUGHLY: f64 = 1e-2;

/// How much the measurement of each test point rises when one training point is unlearnt, by the
/// proximal Bregman objective at the weights of the model: `(points, k)`, a row for each of some
/// training points.
///
/// The λ of the objective is that of the method, the first one of a sweep. Everything is computed
/// in 64 bits where the device has them, with conjugate gradients whatever the method is. A warning
/// says where the gradient is not small at the end.
///
/// # Errors
/// When the method has no damping, or inverts the Hessian; when the task declares no outputs, or a
/// point is out of range.
pub fn proximal_responses(job: &Job, points: &[usize], watch: &dyn Watch) -> Result<Array2<f64>> {
    watch.stage(Stage::Fit);
    let settings = job.fit_settings()?;
    let settings = settings.with_precision(highest_precision(&job.device));
    let settings = settings.with_method(conjugate_gradients(job.config.method()?)?);
    let influence = job.model.influence(&settings, &job.train, FitSource::Fit)?;
    let threads = NonZero::new(job.config.compute.threads()).unwrap_or(NonZero::<usize>::MIN);
    let objective = ProximalBregman::new(&influence, &*job.train)?.with_threads(threads);
    let responses = objective.responses(points, &*job.test);
    let responses = responses.context("minimising the proximal Bregman objective")?;
    let far = responses.iter().filter(|it| it.gradient > LEFT).count();
    if far > 0 {
        let worst = responses.iter().map(|it| it.gradient).fold(0.0, f64::max);
        watch.warn(&format!(
            "{far} of {} proximal responses end with a gradient of more than {LEFT} of the first one, the worst {worst:.1e}: at kinks of the network, such as those of relu, or after too few steps",
            responses.len()
        ));
    }
    let mut changes = Array2::zeros((points.len(), job.test.len()));
    for (mut row, response) in changes.outer_iter_mut().zip(&responses) {
        row.assign(&response.changes);
    }
    Ok(changes)
}

/// The method by which steps are found: conjugate gradients with the damping of another method,
/// which are cheap where a solution need not be exact.
fn conjugate_gradients(method: &Method) -> Result<Method> {
    let curvature = method.curved().map(|curved| curved.curvature.name());
    let is_definite = curvature != Some(Curvature::Hessian.name());
    let by_products = method.by_conjugate_gradients(ROUGHLY);
    by_products.filter(|_| is_definite).ok_or_else(|| {
        let wrong =
            "proximal responses have the damping of a method with the curvature gauss-newton";
        KeyError::new("method.curvature", wrong).into()
    })
}

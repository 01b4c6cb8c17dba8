//! The scale of the series, from power iterations.

use crate::{
    Error, Result, Rows,
    operator::LinearOperator,
    random,
    solver::{
        Inverse,
        subspace::{gram_norms, orthonormal, precision},
    },
};

/// Vectors and steps of the power iteration that finds the scale.
pub(super) const POWER_VECTORS: usize = 4;
const POWER_STEPS: usize = 20;
/// Batches of which the largest eigenvalue is estimated.
const BATCHES_LOOKED_AT: usize = 8;

/// The largest eigenvalue, in magnitude, of the operator and, unless steps see the full batch, of
/// some of its batches.
pub(super) fn top_eigenvalue<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    seed: u64,
    full_batch: bool,
) -> Result<f64> {
    let whole = power_iteration(op, seed, |rows| op.apply_shared(rows))?;
    let share = op.parts() as f64;
    largest_of(op.parts(), full_batch, whole, |part| {
        let top = power_iteration(op, seed, |rows| op.apply_part(part, rows));
        Ok(share * top?)
    })
}

/// The largest eigenvalue of the preconditioned operator and, unless steps see the full batch, of
/// some of its preconditioned batches.
pub(super) fn preconditioned_top<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    near: &dyn Inverse<R>,
    seed: u64,
    full_batch: bool,
) -> Result<f64> {
    let whole = preconditioned_iteration(op, near, seed, |rows| op.apply(rows))?;
    let share = op.parts() as f64;
    largest_of(op.parts(), full_batch, whole, |part| {
        preconditioned_iteration(op, near, seed, |rows| {
            op.apply_part(part, rows)?.scaled(&vec![share; rows.len()])
        })
    })
}

/// The largest of a number and, unless steps see the full batch, those of some of the batches.
fn largest_of(
    parts: usize,
    full_batch: bool,
    whole: f64,
    of_part: impl Fn(usize) -> Result<f64>,
) -> Result<f64> {
    if full_batch || parts == 1 {
        return Ok(whole);
    }
    let mut looked_at = (0..parts).step_by(parts.div_ceil(BATCHES_LOOKED_AT));
    looked_at.try_fold(whole, |largest, part| Ok(largest.max(of_part(part)?)))
}

/// The largest eigenvalue of `M A`, where `M` is positive definite, from its vectors `u`:
///
/// ```text
/// ⟨A u, M A u⟩ / ⟨u, A u⟩
/// ```
///
/// `M A` is not symmetric, but it is in the inner product of `A`, whose Rayleigh quotient this is:
/// it is never above the largest eigenvalue of a definite `A`. The length of `M A u` may be far
/// above it.
fn preconditioned_iteration<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    near: &dyn Inverse<R>,
    seed: u64,
    apply: impl Fn(&R) -> Result<R>,
) -> Result<f64> {
    let mut top = 0.0_f64;
    iterated(op, seed, |unit| {
        let images = apply(unit)?;
        let improved = near.precondition(&images)?;
        let [across, along] = [images.gram(&improved)?, unit.gram(&images)?];
        check_finite(across.iter().chain(&along))?;
        let [across, along] = [across.diag(), along.diag()];
        let quotients = across
            .iter()
            .zip(&along)
            .map(|(across, along)| across / along);
        top = quotients
            .filter(|value| value.is_finite())
            .fold(top, f64::max);
        Ok(improved)
    })?;
    Ok(top)
}

fn power_iteration<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    seed: u64,
    apply: impl Fn(&R) -> Result<R>,
) -> Result<f64> {
    let mut top = 0.0;
    iterated(op, seed, |unit| {
        let images = apply(unit)?;
        let lengths = gram_norms(&images)?;
        check_finite(&lengths)?;
        top = lengths.into_iter().fold(0.0, f64::max);
        Ok(images)
    })?;
    Ok(top)
}

/// Steps of a power iteration from random vectors: each makes images of orthonormal vectors, which
/// the next begins with, made orthonormal.
fn iterated<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    seed: u64,
    mut step: impl FnMut(&R) -> Result<R>,
) -> Result<()> {
    let shape = (POWER_VECTORS.min(op.dim()), op.dim());
    let start = op.rows(random::normal(shape, seed).view())?;
    let precision = precision(&start)?;
    let mut vectors = orthonormal(&start, precision)?;
    for _ in 0..POWER_STEPS {
        let Some(unit) = vectors else { break };
        vectors = orthonormal(&step(&unit)?, precision)?;
    }
    Ok(())
}

fn check_finite<'a>(values: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    if values.into_iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::NotFinite {
        op: "lissa",
        what: "the product of the operator with a vector".into(),
    })
}

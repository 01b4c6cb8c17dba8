//! The scale of the series, from power iterations.

use crate::{
    Error, Result, Rows,
    operator::LinearOperator,
    random,
    solver::subspace::{gram_norms, orthonormal, precision},
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
    let parts = op.parts();
    if full_batch || parts == 1 {
        return Ok(whole);
    }
    let looked_at = (0..parts).step_by(parts.div_ceil(BATCHES_LOOKED_AT));
    let of_part = |part| {
        let share = parts as f64;
        let top = power_iteration(op, seed, |rows| op.apply_part(part, rows));
        Ok(share * top?)
    };
    looked_at
        .map(of_part)
        .try_fold(whole, |largest, top: Result<f64>| Ok(largest.max(top?)))
}

fn power_iteration<R: Rows>(
    op: &dyn LinearOperator<Rows = R>,
    seed: u64,
    apply: impl Fn(&R) -> Result<R>,
) -> Result<f64> {
    let shape = (POWER_VECTORS.min(op.dim()), op.dim());
    let start = op.rows(random::normal(shape, seed).view())?;
    let precision = precision(&start)?;
    let (mut vectors, mut top) = (orthonormal(&start, precision)?, 0.0);
    for _ in 0..POWER_STEPS {
        let Some(unit) = vectors else { break };
        let images = apply(&unit)?;
        let lengths = gram_norms(&images)?;
        if lengths.iter().any(|length| !length.is_finite()) {
            return Err(Error::NotFinite {
                op: "lissa",
                what: "the product of the operator with a vector".into(),
            });
        }
        top = lengths.into_iter().fold(0.0, f64::max);
        vectors = orthonormal(&images, precision)?;
    }
    Ok(top)
}

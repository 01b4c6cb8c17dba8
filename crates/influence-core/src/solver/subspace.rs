//! Subspaces of parameter space, through small matrices on the host in `f64`.
//!
//! # Orthonormal rows from a Gram matrix
//! A backend offers inner products and combinations of rows, not Householder reflections or single
//! columns. These two are enough: with the Gram matrix `G = B Bᵀ`, `(k, k)`, of rows of unit length
//! and its eigendecomposition `G = U Σ Uᵀ`, the rows of
//!
//! ```text
//! Σ^(-1/2) Uᵀ B                            (p, dim), those with σ_i > ε k σ_max
//! ```
//!
//! are orthonormal and span what `B` spans to rounding. An eigenvalue below the threshold is a
//! dependent direction, which is dropped: Cholesky's factor of `G` would fail there.
//!
//! `G` has the squared condition of `B`, so after one pass the rows are orthonormal only up to
//! `ε σ_max / σ_min`. A second pass starts from nearly orthonormal rows and leaves rounding, as
//! with Cholesky-QR done twice (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, 2015).

use ndarray::{Array2, s};

use crate::{
    Result, Rows,
    linalg::{Eigen, eigen},
};

/// The rounding error of the backend's numbers, found by sending one third there and back.
pub(super) fn precision<R: Rows>(rows: &R) -> Result<f64> {
    let third = Array2::from_elem((1, rows.dim()), 1.0 / 3.0);
    let back = rows.like(third.view())?.to_host()?;
    // The binary expansion of 1/3 is rounded by a third of a unit in the last place, whatever the
    // number of digits.
    let error = back.first().map_or(0.0, |value| (3.0 * value - 1.0).abs());
    Ok((4.0 * error).max(f64::EPSILON))
}

/// The norms of the rows from the diagonal of their Gram matrix; not finite where the numbers are
/// not.
///
/// One product serves all rows, and its last bits are those of the other Gram matrices that an
/// iteration compares them with. [`Rows::norms`] goes row by row, or as the backend likes.
pub(super) fn gram_norms<R: Rows>(rows: &R) -> Result<Vec<f64>> {
    Ok(rows
        .gram(rows)?
        .diag()
        .iter()
        .map(|square| square.sqrt())
        .collect())
}

/// Orthonormal directions with the span of the rows, dependent ones dropped; nothing where no
/// direction is left.
///
/// Two passes, since the first magnifies rounding by the roots of small eigenvalues.
pub(super) fn orthonormal<R: Rows>(rows: &R, precision: f64) -> Result<Option<R>> {
    let Some(first) = combination(&rows.gram(rows)?, rows.dim(), precision)? else {
        return Ok(None);
    };
    let rows = rows.combine(first.view())?;
    let Some(second) = combination(&rows.gram(&rows)?, rows.dim(), precision)? else {
        return Ok(None);
    };
    Ok(Some(rows.combine(second.view())?))
}

/// The coefficients, `(p, k)`, that turn `k` rows with this Gram matrix into `p ≤ min(k, dim)`
/// orthonormal ones.
fn combination(gram: &Array2<f64>, dim: usize, precision: f64) -> Result<Option<Array2<f64>>> {
    // Rows of unit length: what counts is the angle to the others, not the size.
    let lengths = gram.diag().mapv(f64::sqrt);
    let inverse = lengths.mapv(|length| if length > 0.0 { 1.0 / length } else { 0.0 });
    let unit = Array2::from_shape_fn(gram.dim(), |(i, j)| gram[[i, j]] * inverse[i] * inverse[j]);
    if unit.iter().any(|value| !value.is_finite()) {
        return Ok(None);
    }
    let Eigen { values, vectors } = eigen(&unit)?;
    let k = values.len();
    let floor = values
        .last()
        .map_or(0.0, |largest| largest * precision * k as f64);
    let kept = values
        .iter()
        .filter(|&&value| value > floor)
        .count()
        .min(dim);
    if kept == 0 {
        return Ok(None);
    }
    let mut coefficients = vectors.slice(s![.., k - kept..]).t().to_owned();
    for (mut row, value) in coefficients
        .outer_iter_mut()
        .zip(values.slice(s![k - kept..]))
    {
        row.zip_mut_with(&inverse, |coefficient, inverse| {
            *coefficient *= inverse / value.sqrt();
        });
    }
    Ok(Some(coefficients))
}

/// The rows without their part in the span of an orthonormal basis; twice, as once leaves rounding
/// behind.
pub(super) fn without<R: Rows>(rows: &R, basis: &R) -> Result<R> {
    let mut rows = rows.clone();
    for _ in 0..2 {
        let along = rows.gram(basis)?;
        rows = rows.add_scaled(-1.0, &basis.combine(along.view())?)?;
    }
    Ok(rows)
}

/// Two stacks below each other.
pub(super) fn joined<R: Rows>(first: &R, second: &R) -> Result<R> {
    let (upper, lower) = (first.len(), second.len());
    let mut place = Array2::zeros((upper + lower, upper));
    place.slice_mut(s![..upper, ..]).assign(&Array2::eye(upper));
    let whole = first.combine(place.view())?;
    let mut place = Array2::zeros((upper + lower, lower));
    place.slice_mut(s![upper.., ..]).assign(&Array2::eye(lower));
    whole.add_scaled(1.0, &second.combine(place.view())?)
}

//! What the operator does along the directions of an iteration, on the host in `f64`.

use ndarray::Array2;

use crate::{
    Result,
    linalg::{Eigen, eigen},
};

/// What the operator does along the directions: the matrix `P A Pᵀ` judged by its smallest eigenvalue.
pub(super) enum Curvature {
    /// It curves upwards everywhere; the inverse of the matrix.
    Positive(Array2<f64>),
    /// It curves downwards somewhere.
    Negative,
    /// It is flat to rounding somewhere, or not finite.
    Flat,
}

/// Judges `P A Pᵀ`, and raises `scale`, the largest curvature met so far, against which rounding is measured.
pub(super) fn curvature(
    matrix: &Array2<f64>,
    scale: &mut f64,
    precision: f64,
) -> Result<Curvature> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return Ok(Curvature::Flat);
    }
    let symmetric = (matrix + &matrix.t()) * 0.5;
    let Eigen { values, vectors } = eigen(&symmetric)?;
    let (smallest, largest) = (
        values.first().copied().unwrap_or(0.0),
        values.last().copied().unwrap_or(0.0),
    );
    *scale = scale.max(largest.abs()).max(smallest.abs());
    let rounding = precision * *scale;
    Ok(if smallest < -rounding {
        Curvature::Negative
    } else if smallest <= rounding {
        Curvature::Flat
    } else {
        Curvature::Positive((&vectors / &values).dot(&vectors.t()))
    })
}

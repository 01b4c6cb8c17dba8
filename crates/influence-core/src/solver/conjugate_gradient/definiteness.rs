//! What the operator does along the directions of an iteration, on the host in `f64`.

use ndarray::{Array2, s};

use crate::{
    Result,
    linalg::{Eigen, eigen},
};

/// Products of the operator carry several roundings: a value is surely negative only this many
/// times below rounding.
const NOISE: f64 = 16.0;

/// What the operator does along the directions: the matrix `P A Pᵀ` judged by its eigenvalues.
pub(super) enum Definiteness {
    /// It curves upwards somewhere and downwards nowhere.
    Positive {
        /// The inverse of the matrix on the span of the eigenvectors along which it curves upwards,
        /// zero along the others.
        inverse: Array2<f64>,
        /// Whether there are others, flat to rounding.
        flat: bool,
    },
    /// It curves downwards somewhere.
    Negative,
    /// It is flat to rounding everywhere.
    Flat,
    /// It is not finite.
    NotFinite,
}

/// Judges `P A Pᵀ`, and raises `scale`, the largest curvature met so far, against which rounding is
/// measured.
pub(super) fn definiteness(
    matrix: &Array2<f64>,
    scale: &mut f64,
    precision: f64,
) -> Result<Definiteness> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return Ok(Definiteness::NotFinite);
    }
    let symmetric = (matrix + &matrix.t()) * 0.5;
    let Eigen { values, vectors } = eigen(&symmetric)?;
    let (smallest, largest) = (
        values.first().copied().unwrap_or(0.0),
        values.last().copied().unwrap_or(0.0),
    );
    *scale = scale.max(largest.abs()).max(smallest.abs());
    let rounding = precision * *scale;
    if smallest < -NOISE * rounding {
        return Ok(Definiteness::Negative);
    }
    let flat = values.iter().filter(|&&value| value <= rounding).count();
    if flat == values.len() {
        return Ok(Definiteness::Flat);
    }
    let (values, vectors) = (values.slice(s![flat..]), vectors.slice(s![.., flat..]));
    Ok(Definiteness::Positive {
        inverse: (&vectors / &values).dot(&vectors.t()),
        flat: flat > 0,
    })
}

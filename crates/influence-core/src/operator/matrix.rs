use ndarray::{Array2, ArrayView2};

use super::{Estimate, LinearOperator};
use crate::{Error, Result, linalg};

/// A symmetric matrix on the host: the reference operator, and the one that solvers are tested
/// with.
#[derive(Debug, Clone)]
pub struct Matrix {
    values: Array2<f64>,
}

impl Matrix {
    /// Takes a symmetric matrix.
    ///
    /// # Errors
    /// [`Error::Shape`] when it is not square, [`Error::NotFinite`] when a number in it is not,
    /// [`Error::Setting`] when it is not symmetric to rounding.
    pub fn new(values: Array2<f64>) -> Result<Self> {
        Error::check_size("matrix", "columns", values.nrows(), values.ncols())?;
        let (matrix, skew) = Self::symmetric_part_of(values)?;
        let scale = matrix
            .values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()));
        if skew <= 1e-12 * scale {
            Ok(matrix)
        } else {
            Err(Error::Setting {
                name: "matrix",
                requirement: "symmetric",
                got: format!("an asymmetry of {skew:e} at a scale of {scale:e}"),
            })
        }
    }

    /// The symmetric part of a square matrix, and by how much the matrix is not symmetric.
    pub(crate) fn symmetric_part_of(values: Array2<f64>) -> Result<(Self, f64)> {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                op: "matrix",
                what: "an entry".into(),
            });
        }
        let (values, skew) = linalg::symmetric_part(values);
        Ok((Self { values }, skew))
    }
}

impl LinearOperator for Matrix {
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        self.values.nrows()
    }

    fn apply(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
        Error::check_size("matrix product", "vector length", self.dim(), rows.ncols())?;
        Ok(linalg::product(rows, &self.values))
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(values.to_owned())
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        Ok(self.values.clone())
    }

    fn trace(&self) -> Result<Estimate> {
        Ok(self.values.diag().sum().into())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn matrices_that_are_not_symmetric_are_refused() {
        assert!(matches!(
            Matrix::new(array![[1.0, 2.0]]),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            Matrix::new(array![[1.0, 2.0], [3.0, 1.0]]),
            Err(Error::Setting { .. })
        ));
        assert!(matches!(
            Matrix::new(array![[1.0, f64::NAN], [f64::NAN, 1.0]]),
            Err(Error::NotFinite { .. })
        ));
        assert!(Matrix::new(array![[1.0, 2.0], [2.0, 1.0]]).is_ok());
    }
}

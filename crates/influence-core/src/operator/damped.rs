use ndarray::{Array2, ArrayView2};

use super::LinearOperator;
use crate::{Error, Result, Rows};

/// `Op + λI`: the only place in the workspace that adds damping.
///
/// λ is added to the **mean** curvature.
#[derive(Debug, Clone)]
pub struct Damped<Op> {
    op: Op,
    damping: f64,
}

impl<Op: LinearOperator> Damped<Op> {
    /// Adds `damping` to the diagonal of `op`.
    ///
    /// # Errors
    /// [`Error::Setting`] when `damping` is negative or not finite.
    pub fn new(op: Op, damping: f64) -> Result<Self> {
        if damping.is_finite() && damping >= 0.0 {
            Ok(Self { op, damping })
        } else {
            Err(Error::Setting {
                name: "damping",
                requirement: "finite and not negative",
                got: damping.to_string(),
            })
        }
    }

    /// The damping λ.
    pub fn damping(&self) -> f64 {
        self.damping
    }
}

impl<Op: LinearOperator> LinearOperator for Damped<Op> {
    type Rows = Op::Rows;

    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn apply(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        self.op.apply(rows)?.add_scaled(self.damping, rows)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows> {
        self.op.rows(values)
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        let mut dense = self.op.to_dense()?;
        dense.diag_mut().mapv_inplace(|value| value + self.damping);
        Ok(dense)
    }

    fn trace(&self) -> Result<f64> {
        Ok(self.op.trace()? + self.damping * self.dim() as f64)
    }

    fn parts(&self) -> usize {
        self.op.parts()
    }

    /// λ is shared out evenly among the parts.
    fn apply_part(&self, part: usize, rows: &Self::Rows) -> Result<Self::Rows> {
        self.op
            .apply_part(part, rows)?
            .add_scaled(self.damping / self.parts() as f64, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{operator::Matrix, testing};

    #[test]
    fn damping_moves_the_product_by_lambda() -> Result<()> {
        let matrix = testing::symmetric(&[3.0, 1.0, -0.5, 0.0], 1);
        let rows = testing::random((3, 4), 2);
        for damping in [0.0, 1e-3, 0.7, 50.0] {
            let op = Damped::new(Matrix::new(matrix.clone())?, damping)?;
            testing::operator(&op, 1e-13);
            let moved = op.apply(&rows)? - rows.dot(&matrix);
            testing::assert_close("damping", &moved, &(&rows * damping), 1e-13);
            assert!((op.damping() - damping).abs() <= 0.0);
        }
        Ok(())
    }

    /// Three times a third of a matrix.
    #[derive(Debug)]
    struct Thirds(Matrix);

    impl LinearOperator for Thirds {
        type Rows = Array2<f64>;

        fn dim(&self) -> usize {
            self.0.dim()
        }

        fn apply(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
            self.0.apply(rows)
        }

        fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
            self.0.rows(values)
        }

        fn to_dense(&self) -> Result<Array2<f64>> {
            self.0.to_dense()
        }

        fn parts(&self) -> usize {
            3
        }

        fn apply_part(&self, _part: usize, rows: &Array2<f64>) -> Result<Array2<f64>> {
            Ok(self.0.apply(rows)? / 3.0)
        }
    }

    #[test]
    fn the_parts_share_the_damping() -> Result<()> {
        let thirds = Thirds(Matrix::new(testing::symmetric(&[2.0, 1.0, 0.5], 3))?);
        testing::operator(&std::sync::Arc::new(Damped::new(thirds, 0.3)?), 1e-13);
        Ok(())
    }

    #[test]
    fn damping_that_is_negative_or_not_finite_is_refused() -> Result<()> {
        for damping in [-1e-9, f64::NAN, f64::INFINITY] {
            let op = Matrix::new(testing::symmetric(&[1.0, 2.0], 1))?;
            assert!(matches!(
                Damped::new(op, damping),
                Err(Error::Setting { .. })
            ));
        }
        Ok(())
    }
}

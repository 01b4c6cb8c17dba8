use ndarray::{Array1, Array2, ArrayView2};

use super::{Estimate, LinearOperator, Shift};
use crate::Result;

/// `Op + λI`, or `Op + diag(λ)` with a λ for each parameter.
///
/// Solvers that know an operator only through its products add damping here and nowhere else. Those
/// that hold its eigenvalues or its diagonal add λ to these.
///
/// λ is added to the **mean** curvature.
#[derive(Debug, Clone)]
pub struct Damped<Op> {
    op: Op,
    shift: Shift,
}

impl<Op: LinearOperator> Damped<Op> {
    /// Adds λ, a number or a [`Shift`], to the diagonal of `op`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) when a λ is negative or not finite,
    /// [`Error::Shape`](crate::Error::Shape) when a shift is one of other columns.
    pub fn new(op: Op, shift: impl Into<Shift>) -> Result<Self> {
        let shift = shift.into();
        shift.check(op.dim())?;
        Ok(Self { op, shift })
    }

    /// What is added to the diagonal.
    pub fn shift(&self) -> &Shift {
        &self.shift
    }
}

impl<Op: LinearOperator> LinearOperator for Damped<Op> {
    type Rows = Op::Rows;

    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn apply(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        self.shift.add_product(&self.op.apply(rows)?, 1.0, rows)
    }

    fn apply_shared(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        let product = self.op.apply_shared(rows)?;
        self.shift.add_product(&product, 1.0, rows)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows> {
        self.op.rows(values)
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        let mut dense = self.op.to_dense()?;
        let mut diagonal = dense.diag_mut();
        diagonal += &self.shift.values(self.op.dim());
        Ok(dense)
    }

    fn trace(&self) -> Result<Estimate> {
        let trace = self.op.trace()?;
        Ok(Estimate {
            value: trace.value + self.shift.values(self.dim()).sum(),
            ..trace
        })
    }

    fn diagonal(&self) -> Result<Array1<f64>> {
        Ok(self.op.diagonal()? + self.shift.values(self.dim()))
    }

    fn parts(&self) -> usize {
        self.op.parts()
    }

    /// λ is shared out evenly among the parts.
    fn apply_part(&self, part: usize, rows: &Self::Rows) -> Result<Self::Rows> {
        let share = 1.0 / self.parts() as f64;
        let product = self.op.apply_part(part, rows)?;
        self.shift.add_product(&product, share, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, operator::Matrix, testing};

    #[test]
    fn damping_moves_the_product_by_lambda() -> Result<()> {
        let matrix = testing::symmetric(&[3.0, 1.0, -0.5, 0.0], 1);
        let rows = testing::random((3, 4), 2);
        for damping in [0.0, 1e-3, 0.7, 50.0] {
            let op = Damped::new(Matrix::new(matrix.clone())?, damping)?;
            testing::operator(&op, 1e-13);
            let moved = op.apply(&rows)? - rows.dot(&matrix);
            testing::assert_close("damping", &moved, &(&rows * damping), 1e-13);
            assert_eq!(*op.shift(), Shift::from(damping));
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
    fn every_parameter_may_have_a_lambda_of_its_own() -> Result<()> {
        let matrix = testing::symmetric(&[3.0, 1.0, -0.5, 0.2, 0.0], 1);
        let shift = Shift::by_columns(vec![(0..2, 0.7), (2..3, 0.0), (3..5, 0.1)])?;
        let op = Damped::new(Matrix::new(matrix.clone())?, shift)?;
        testing::operator(&op, 1e-13);
        let diagonal = ndarray::array![0.7, 0.7, 0.0, 0.1, 0.1];
        let expected = &matrix + &Array2::from_diag(&diagonal);
        testing::assert_close("dense", &op.to_dense()?, &expected, 1e-15);
        assert!((op.trace()?.value - expected.diag().sum()).abs() < 1e-14);
        let parts = Damped::new(Thirds(Matrix::new(matrix)?), op.shift().clone())?;
        testing::operator(&parts, 1e-13);
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
            let by_columns = Shift::by_columns(vec![(0..1, 0.1), (1..2, damping)]);
            assert!(matches!(by_columns, Err(Error::Setting { .. })));
        }
        let other = Shift::by_columns(vec![(0..1, 0.1), (1..3, 0.2)])?;
        let op = Matrix::new(testing::symmetric(&[1.0, 2.0], 1))?;
        assert!(matches!(Damped::new(op, other), Err(Error::Shape { .. })));
        Ok(())
    }
}

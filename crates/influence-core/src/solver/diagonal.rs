use std::sync::Arc;

use ndarray::Array1;

use super::{Inverse, Prepared, Report, Solution, Solver, State, Status, product};
use crate::{
    Error, Precision, Result, Rows,
    operator::{Estimate, LinearOperator, Shift, check_damping},
};

/// Takes the curvature as its diagonal: each parameter is divided by its own `H_jj + λ`.
///
/// Correlations of parameters are left out, and with them most of what a curvature says; what
/// stays is the scale of each parameter. The diagonal is [exact](LinearOperator::diagonal), and
/// residuals refer to it.
///
/// # References
/// Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, 2017, where the
/// diagonal of the Fisher matrix stands for the whole.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Diagonal, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[3.0, 1.0], [1.0, 1.0]])?);
/// let inverse = Diagonal.invert(op, 1.0)?;
/// assert_eq!(inverse.solve(&array![[8.0, 8.0]])?.converged()?, array![[2.0, 4.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Diagonal;

// The name of the array in files of fitted states: it must not change.
const VALUES: &str = "diagonal";

impl Diagonal {
    /// The diagonal matrix with these values, prepared for any damping.
    pub fn of_values<R: Rows>(values: Array1<f64>) -> Box<dyn Prepared<R>> {
        Box::new(PreparedDiagonal { values })
    }

    /// The same from its state.
    ///
    /// # Errors
    /// [`Error::State`] when there is no such vector, [`Error::Shape`] when it has another length.
    pub fn of_state<R: Rows>(dim: usize, state: &State) -> Result<Box<dyn Prepared<R>>> {
        let values = state.vector(VALUES)?;
        Error::check_size("diagonal", "vector length", dim, values.len())?;
        Ok(Self::of_values(values))
    }
}

impl<R: Rows> Solver<R> for Diagonal {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let values = op.diagonal()?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                op: "diagonal",
                what: "an entry".into(),
            });
        }
        Ok(Self::of_values(values))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        Self::of_state(op.dim(), state)
    }

    fn stacks(&self) -> usize {
        2
    }

    fn is_immediate(&self) -> bool {
        true
    }

    /// The values, what they are read from, and each inverse.
    fn fit_bytes(&self, dim: usize, _precision: Precision, inverses: usize) -> usize {
        product([dim, inverses.saturating_add(3), size_of::<f64>()])
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        product([dim, size_of::<f64>()])
    }
}

/// Takes numbers that are known in place of the diagonal of the curvature, at which it does not
/// look: the second moments of an optimiser, for example.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{KnownDiagonal, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[3.0, 1.0], [1.0, 1.0]])?);
/// let inverse = KnownDiagonal::new(Arc::new(array![1.0, 4.0])).invert(op, 0.0)?;
/// assert_eq!(inverse.solve(&array![[8.0, 8.0]])?.converged()?, array![[8.0, 2.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDiagonal {
    values: Arc<Array1<f64>>,
}

impl KnownDiagonal {
    /// The diagonal matrix with these values.
    pub fn new(values: Arc<Array1<f64>>) -> Self {
        Self { values }
    }
}

impl<R: Rows> Solver<R> for KnownDiagonal {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        Error::check_size("diagonal", "vector length", op.dim(), self.values.len())?;
        Ok(Diagonal::of_values(self.values.to_vec().into()))
    }

    fn stacks(&self) -> usize {
        Solver::<R>::stacks(&Diagonal)
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn fit_bytes(&self, dim: usize, precision: Precision, inverses: usize) -> usize {
        Solver::<R>::fit_bytes(&Diagonal, dim, precision, inverses)
    }
}

/// The diagonal without damping.
#[derive(Debug)]
struct PreparedDiagonal {
    values: Array1<f64>,
}

impl<R: Rows> Prepared<R> for PreparedDiagonal {
    fn dim(&self) -> usize {
        self.values.len()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        <Self as Prepared<R>>::inverse_shifted(self, &damping.into())
    }

    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        let damping = shift.values(self.values.len());
        let damped = &self.values + &damping;
        let least = damping.iter().copied().fold(f64::INFINITY, f64::min);
        check_damping(
            least,
            damped.iter().all(|value| *value > 0.0),
            "finite, and above what the diagonal falls short of 0; positive where it is 0",
        )?;
        Ok(Box::new(DiagonalInverse {
            inverse: damped.mapv(f64::recip),
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.values.mean().unwrap_or(0.0).into())
    }

    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &R) -> Result<R> {
        rows.scaled_columns(&self.values.mapv(function))
    }

    fn state(&self) -> Result<State> {
        Ok(State::default().with(VALUES, self.values.clone()))
    }
}

#[derive(Debug)]
struct DiagonalInverse {
    inverse: Array1<f64>,
}

impl<R: Rows> Inverse<R> for DiagonalInverse {
    fn dim(&self) -> usize {
        self.inverse.len()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged,
        };
        Ok(Solution {
            rows: rhs.scaled_columns(&self.inverse)?,
            reports: vec![report; rhs.len()],
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::operator::Matrix;

    #[test]
    fn each_parameter_is_divided_by_its_own_entry() -> Result<()> {
        let matrix = array![[4.0, 1.0, 0.0], [1.0, 0.5, 0.2], [0.0, 0.2, 0.0]];
        let op = Arc::new(Matrix::new(matrix)?);
        let prepared: Box<dyn Prepared<Array2<f64>>> = Diagonal.prepare(op.clone())?;
        let rows = array![[1.0, 2.0, 3.0], [-1.0, 0.0, 0.5]];
        let solved = prepared.inverse(0.5)?.solve(&rows)?.converged()?;
        assert_eq!(solved, &rows / &array![4.5, 1.0, 0.5]);
        let by_parameter = Shift::by_columns(vec![(0..1, 0.0), (1..2, 0.5), (2..3, 2.0)])?;
        let solved = prepared.inverse_shifted(&by_parameter)?.solve(&rows)?;
        assert_eq!(solved.converged()?, &rows / &array![4.0, 1.0, 2.0]);
        // The last parameter has no curvature.
        assert!(matches!(prepared.inverse(0.0), Err(Error::Setting { .. })));
        let restored: Box<dyn Prepared<Array2<f64>>> = Diagonal.restore(op, &prepared.state()?)?;
        assert_eq!(restored.mean_eigenvalue()?, Estimate::from(1.5));
        assert!(prepared.inverse(0.5)?.solve(&array![[1.0]]).is_err());
        Ok(())
    }
}

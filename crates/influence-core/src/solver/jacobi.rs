use std::sync::Arc;

use ndarray::{Array1, Array2, Axis};

use super::{
    Inverse, Prepared, Report, Solution, Solver, State, Status, check_count, checked_host, product,
};
use crate::{
    Error, Precision, Result, Rows,
    linalg::norm,
    operator::{Damped, Estimate, LinearOperator, Shift},
    random,
};

/// The inverse of the diagonal, estimated with random signs: a preconditioner for
/// [`ConjugateGradient`](super::ConjugateGradient).
///
/// The estimate is the mean of `z ∘ A z` over probes `z` of random signs. It is exact for a
/// diagonal operator; otherwise the entries off the diagonal add noise that falls with the square
/// root of the number of probes. An entry is never taken below its own standard error, nor below
/// `1e-8` of the largest, so that the inverse stays positive.
///
/// Used as a solver, it is an approximation and says so: [`solve`](Inverse::solve) spends one
/// application of the operator on the true residual, and a row above `1e-6` reports
/// [`Status::IterationLimit`]. [`precondition`](Inverse::precondition) leaves the operator alone.
/// The scaling is done on the host.
///
/// # References
/// Bekas, Kokiopoulou and Saad, *An estimator for the diagonal of a matrix*, 2007, equation 2.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Jacobi, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 0.0], [0.0, 2.0]])?);
/// let inverse = Jacobi::new(1, 0)?.invert(op, 0.0)?;
/// assert_eq!(inverse.precondition(&array![[8.0, 8.0]])?, array![[2.0, 4.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jacobi {
    probes: usize,
    seed: u64,
}

const SMALLEST_FRACTION: f64 = 1e-8;
const LARGEST_RESIDUAL: f64 = 1e-6;

impl Jacobi {
    /// Estimates the diagonal with this many probes; the seed decides their signs.
    ///
    /// # Errors
    /// [`Error::Setting`] without any probe.
    pub fn new(probes: usize, seed: u64) -> Result<Self> {
        check_count("probes", probes)?;
        Ok(Self { probes, seed })
    }

    fn diagonal<R: Rows>(self, op: &dyn LinearOperator<Rows = R>) -> Result<Array1<f64>> {
        let signs = random::signs((self.probes, op.dim()), self.seed);
        let samples = op.apply_shared(&op.rows(signs.view())?)?.to_host()? * &signs;
        if samples.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                op: "diagonal estimate",
                what: "the product with a probe".into(),
            });
        }
        Ok(guarded(&samples))
    }
}

/// The mean of the samples, kept above its standard error and above a fraction of the largest.
fn guarded(samples: &Array2<f64>) -> Array1<f64> {
    let probes = samples.nrows() as f64;
    let mean = samples.sum_axis(Axis(0)) / probes;
    let error = samples.std_axis(Axis(0), 0.0) / (probes - 1.0).max(1.0).sqrt();
    let largest = mean
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest > 0.0 {
        let floor = SMALLEST_FRACTION * largest;
        ndarray::Zip::from(&mean)
            .and(&error)
            .map_collect(|mean, error| mean.max(*error).max(floor))
    } else {
        Array1::ones(mean.len())
    }
}

impl<R: Rows> Solver<R> for Jacobi {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let diagonal = self.diagonal(op.as_ref())?;
        Ok(Box::new(PreparedJacobi { op, diagonal }))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        let diagonal = state.vector(DIAGONAL)?;
        Error::check_size("jacobi", "vector length", op.dim(), diagonal.len())?;
        Ok(Box::new(PreparedJacobi { op, diagonal }))
    }

    fn stacks(&self) -> usize {
        7
    }

    /// The probes and their products, on the host and where they are multiplied.
    fn fit_bytes(&self, dim: usize, precision: Precision, _inverses: usize) -> usize {
        let each = 3 * size_of::<f64>() + 2 * precision.bytes();
        product([self.probes, dim, each])
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        product([self.probes, dim, size_of::<f64>()])
    }
}

const DIAGONAL: &str = "diagonal";

/// The diagonal without damping.
#[derive(Debug)]
struct PreparedJacobi<R: Rows> {
    op: Arc<dyn LinearOperator<Rows = R>>,
    diagonal: Array1<f64>,
}

impl<R: Rows> Prepared<R> for PreparedJacobi<R> {
    fn dim(&self) -> usize {
        self.diagonal.len()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        self.inverse_shifted(&damping.into())
    }

    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        Ok(Box::new(JacobiInverse {
            op: Damped::new(Arc::clone(&self.op), shift.clone())?,
            diagonal: &self.diagonal + &shift.values(self.diagonal.len()),
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.op.trace()?.over(self.op.dim() as f64))
    }

    fn state(&self) -> Result<State> {
        Ok(State::default().with(DIAGONAL, self.diagonal.clone()))
    }
}

#[derive(Debug)]
struct JacobiInverse<R: Rows> {
    op: Damped<Arc<dyn LinearOperator<Rows = R>>>,
    diagonal: Array1<f64>,
}

impl<R: Rows> Inverse<R> for JacobiInverse<R> {
    fn dim(&self) -> usize {
        self.diagonal.len()
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        let host = checked_host("jacobi", self.diagonal.len(), rhs)?;
        let rows = rhs.like((&host / &self.diagonal).view())?;
        let residual = &host - &self.op.apply(&rows)?.to_host()?;
        let reports = host
            .outer_iter()
            .zip(residual.outer_iter())
            .map(|(b, r)| report(norm(&b), norm(&r)))
            .collect();
        Ok(Solution { rows, reports })
    }

    fn precondition(&self, rhs: &R) -> Result<R> {
        Error::check_size("jacobi", "vector length", self.diagonal.len(), rhs.dim())?;
        rhs.like((&rhs.to_host()? / &self.diagonal).view())
    }
}

fn report(scale: f64, residual: f64) -> Report {
    let residual = if scale > 0.0 { residual / scale } else { 0.0 };
    let status = if residual <= LARGEST_RESIDUAL {
        Status::Converged
    } else {
        Status::IterationLimit
    };
    Report {
        iterations: 1,
        residual,
        status,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::operator::Matrix;

    #[test]
    fn a_diagonal_operator_is_inverted_exactly() -> Result<()> {
        let op = Arc::new(Matrix::new(Array2::from_diag(&array![4.0, 0.5, 1e-4]))?);
        let inverse = Jacobi::new(3, 7)?.invert(op, 0.0)?;
        assert_eq!(
            inverse.solve(&array![[8.0, 1.0, 1.0]])?.converged()?,
            array![[2.0, 2.0, 1e4]]
        );
        Ok(())
    }

    #[test]
    fn many_probes_come_near_the_diagonal() -> Result<()> {
        let matrix = Matrix::new(array![[3.0, 1.0, 0.5], [1.0, 2.0, -0.5], [0.5, -0.5, 1.0]])?;
        let diagonal = Jacobi::new(4000, 1)?.diagonal(&matrix)?;
        let distance = (&diagonal - &array![3.0, 2.0, 1.0])
            .iter()
            .fold(0.0_f64, |worst, value| worst.max(value.abs()));
        assert!(distance < 0.1, "{diagonal}");
        Ok(())
    }

    #[test]
    fn an_approximation_does_not_claim_to_have_converged() -> Result<()> {
        let op = Arc::new(Matrix::new(array![[2.0, 1.0], [1.0, 2.0]])?);
        let solution = Jacobi::new(8, 3)?
            .invert(op, 0.0)?
            .solve(&array![[1.0, 1.0], [0.0, 0.0]])?;
        assert_eq!(solution.reports[0].status, Status::IterationLimit);
        assert_eq!(
            solution.reports[1],
            Report {
                iterations: 1,
                residual: 0.0,
                status: Status::Converged
            }
        );
        Ok(())
    }

    #[test]
    fn negative_and_vanishing_entries_are_lifted() -> Result<()> {
        let op = Matrix::new(Array2::from_diag(&array![1.0, -2.0, 0.0]))?;
        assert_eq!(Jacobi::new(2, 0)?.diagonal(&op)?, array![1.0, 2e-8, 2e-8]);
        assert!(matches!(Jacobi::new(0, 0), Err(Error::Setting { .. })));
        Ok(())
    }
}

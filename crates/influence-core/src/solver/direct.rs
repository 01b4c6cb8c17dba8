use std::sync::{Arc, OnceLock};

use ndarray::{Array2, Zip, s};

use super::{Inverse, Prepared, Report, Solution, Solver, State, Status, checked_host, product};
use crate::{
    Error, Precision, Result, Rows,
    linalg::{Eigen, Factorisation, eigen, norm},
    operator::{Damped, Estimate, LinearOperator, Matrix, Shift},
};

/// Builds the dense matrix and factors it on the host, in `f64`.
///
/// Memory grows with `dim²`, time with `dim³`, so it is for small blocks; for those nothing is more
/// exact. Cholesky's factorisation comes first; when the matrix is not positive definite, that of
/// Bunch and Kaufman takes its place and every row that is solved reports [`Status::Indefinite`].
/// One step of iterative refinement follows where a residual is above rounding. Where the matrix is
/// singular to rounding, a row that has no part along such directions is solved without them,
/// through the eigenvectors: gradients of a softmax have none along a shift of all outputs, along
/// which biases without damping have no curvature. The residuals are those of the `f64` solution,
/// before it is rounded to the precision of the rows; a row whose residual is above `1e-6` is a
/// [`Status::Breakdown`].
///
/// # References
/// Bunch and Kaufman, *Some stable methods for calculating inertia and solving symmetric linear
/// systems*, 1977.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Direct;

/// Relative residuals above this are no solution; a well-posed system stays ten orders of magnitude
/// below.
const LARGEST_RESIDUAL: f64 = 1e-6;

/// Relative residuals up to this are rounding, which refinement does not make smaller by much.
const ROUNDING: f64 = 1e-14;

impl Direct {
    /// [`prepare`](Solver::prepare) for a matrix that is already there, a curvature without
    /// damping; its symmetric part counts.
    ///
    /// # Errors
    /// [`Error::Shape`] for a matrix that is not square.
    pub fn of_matrix<R: Rows>(matrix: &Array2<f64>) -> Result<Box<dyn Prepared<R>>> {
        Error::check_size("direct solver", "columns", matrix.nrows(), matrix.ncols())?;
        let (matrix, _) = Matrix::symmetric_part_of(matrix.clone())?;
        Ok(Box::new(Dense::new(matrix)))
    }

    /// [`restore`](Solver::restore) for vectors of a length.
    ///
    /// # Errors
    /// [`Error::State`] when the state is not one of this solver, [`Error::Shape`] when it is one
    /// for another length.
    pub fn of_state<R: Rows>(dim: usize, state: &State) -> Result<Box<dyn Prepared<R>>> {
        let dense = Dense::new(Matrix::new(state.matrix(MATRIX)?)?);
        Error::check_size("direct solver", "rows", dim, dense.matrix.dim())?;
        Ok(Box::new(dense))
    }
}

impl<R: Rows> Solver<R> for Direct {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let dense = op.to_dense()?;
        Error::check_size("direct solver", "rows", op.dim(), dense.nrows())?;
        Error::check_size("direct solver", "columns", op.dim(), dense.ncols())?;
        Self::of_matrix(&dense)
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        Self::of_state(op.dim(), state)
    }

    /// Six stacks in `f64` besides those of the rows.
    fn stacks(&self) -> usize {
        14
    }

    fn is_immediate(&self) -> bool {
        true
    }

    /// The matrix, the matrices it is made from, and the factors of each inverse; all of them in
    /// `f64`.
    fn fit_bytes(&self, dim: usize, _precision: Precision, inverses: usize) -> usize {
        let matrices = inverses.saturating_add(3);
        product([dim, dim, matrices, size_of::<f64>()])
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        product([dim, dim, size_of::<f64>()])
    }
}

const MATRIX: &str = "matrix";

/// The matrix without damping.
#[derive(Debug)]
struct Dense {
    matrix: Arc<Matrix>,
    /// If a function of the matrix was asked for.
    eigen: OnceLock<Eigen>,
}

impl Dense {
    fn new(matrix: Matrix) -> Self {
        Self {
            matrix: Arc::new(matrix),
            eigen: OnceLock::new(),
        }
    }

    fn eigen(&self) -> Result<&Eigen> {
        if let Some(found) = self.eigen.get() {
            return Ok(found);
        }
        let found = eigen(&self.matrix.to_dense()?)?;
        Ok(self.eigen.get_or_init(|| found))
    }
}

impl<R: Rows> Prepared<R> for Dense {
    fn dim(&self) -> usize {
        self.matrix.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        self.inverse_shifted(&damping.into())
    }

    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        let matrix = Damped::new(Arc::clone(&self.matrix), shift.clone())?;
        let factors = Factorisation::new(&matrix.to_dense()?)?;
        Ok(Box::new(DirectInverse {
            matrix,
            factors,
            eigen: OnceLock::new(),
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.matrix.trace()?.over(self.matrix.dim() as f64))
    }

    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &R) -> Result<R> {
        let host = checked_host("function of a matrix", self.matrix.dim(), rows)?;
        let Eigen { values, vectors } = self.eigen()?;
        let along = host.dot(vectors) * &values.mapv(function);
        rows.like(along.dot(&vectors.t()).view())
    }

    fn state(&self) -> Result<State> {
        Ok(State::default().with(MATRIX, self.matrix.to_dense()?))
    }
}

#[derive(Debug)]
struct DirectInverse {
    matrix: Damped<Arc<Matrix>>,
    factors: Factorisation,
    /// Of the matrix, if a row was met that the factors do not solve.
    eigen: OnceLock<Eigen>,
}

impl<R: Rows> Inverse<R> for DirectInverse {
    fn dim(&self) -> usize {
        self.matrix.dim()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        let host = checked_host("direct solver", self.matrix.dim(), rhs)?;
        let (mut solution, residual) = self.refined(&host)?;
        let rows = host.outer_iter().zip(residual.outer_iter());
        let mut reports: Vec<Report> = rows
            .map(|(b, r)| report(norm(&b), norm(&r), self.factors.negative()))
            .collect();
        for (row, found) in reports.iter_mut().enumerate() {
            if found.status == Status::Breakdown {
                let rhs = host.slice(s![row..=row, ..]).to_owned();
                if let Some((solved, better)) = self.within_range(&rhs)? {
                    solution.row_mut(row).assign(&solved.row(0));
                    *found = better;
                }
            }
        }
        Ok(Solution {
            rows: rhs.like(solution.view())?,
            reports,
        })
    }
}

impl DirectInverse {
    /// The solutions, if need be after one step of refinement, where that makes the residual
    /// smaller, and the residuals; zero where there is no solution.
    fn refined(&self, rhs: &Array2<f64>) -> Result<(Array2<f64>, Array2<f64>)> {
        let mut solution = self.factors.solve(rhs);
        let mut residual = self.residual(rhs, &solution)?;
        // A singular matrix gives infinities, which must not reach the rows.
        let pairs = Zip::from(solution.rows_mut())
            .and(residual.rows_mut())
            .and(rhs.rows());
        pairs.for_each(|mut x, mut r, b| {
            if !norm(&r.view()).is_finite() {
                x.fill(0.0);
                r.assign(&b);
            }
        });
        let lengths = Zip::from(residual.rows()).and(rhs.rows());
        if lengths.all(|r, b| norm(&r) <= ROUNDING * norm(&b)) {
            return Ok((solution, residual));
        }
        let candidate = &solution + &self.factors.solve(&residual);
        let after = self.residual(rhs, &candidate)?;
        let rows = Zip::from(solution.rows_mut())
            .and(residual.rows_mut())
            .and(candidate.rows())
            .and(after.rows());
        rows.for_each(|mut x, mut r, better, after| {
            if norm(&after) < norm(&r.view()) {
                x.assign(&better);
                r.assign(&after);
            }
        });
        Ok((solution, residual))
    }

    fn residual(&self, rhs: &Array2<f64>, solution: &Array2<f64>) -> Result<Array2<f64>> {
        Ok(rhs - self.matrix.apply(solution)?)
    }

    /// The solution of one row, `(1, dim)`, along the eigenvectors whose eigenvalues are not zero
    /// to rounding, if that solves it.
    fn within_range(&self, rhs: &Array2<f64>) -> Result<Option<(Array2<f64>, Report)>> {
        let Eigen { values, vectors } = if let Some(found) = self.eigen.get() {
            found
        } else {
            let found = eigen(&self.matrix.to_dense()?)?;
            self.eigen.get_or_init(|| found)
        };
        let largest = values
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        let rounding = f64::EPSILON * values.len() as f64 * largest;
        let inverse = values.mapv(|value| {
            if value.abs() > rounding {
                1.0 / value
            } else {
                0.0
            }
        });
        let solution = (rhs.dot(vectors) * &inverse).dot(&vectors.t());
        let residual = self.residual(rhs, &solution)?;
        let negative = values.iter().filter(|&&value| value < -rounding).count();
        let report = report(
            norm(&rhs.row(0)),
            norm(&residual.row(0)),
            (negative > 0).then_some(negative),
        );
        Ok(report.status.is_solved().then_some((solution, report)))
    }
}

/// The report on a row of this length with a residual of this length, of a matrix with this many
/// negative eigenvalues.
fn report(scale: f64, residual: f64, negative: Option<usize>) -> Report {
    let residual = if scale > 0.0 { residual / scale } else { 0.0 };
    let status = match negative {
        _ if residual.is_nan() || residual > LARGEST_RESIDUAL => Status::Breakdown,
        Some(negative) => Status::Indefinite { negative },
        None => Status::Converged,
    };
    Report {
        iterations: 0,
        residual,
        status,
    }
}

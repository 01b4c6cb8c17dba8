//! Solvers: from settings and an operator to a prepared inverse.

mod arnoldi;
mod block_diagonal;
mod conjugate_gradient;
mod cut_off;
mod diagonal;
mod direct;
mod harmonic_mean;
mod identity;
mod jacobi;
mod lissa;
mod low_rank;
mod nystroem;
mod state;
mod subspace;
#[cfg(test)]
mod tests;

use std::{fmt::Debug, sync::Arc};

use ndarray::Array2;

use crate::{
    Error, Precision, Result, Rows,
    operator::{Estimate, LinearOperator, Shift},
};

pub use crate::report::{Report, Status};
pub use arnoldi::Arnoldi;
pub use block_diagonal::BlockDiagonal;
pub use conjugate_gradient::ConjugateGradient;
pub use cut_off::CutOff;
pub use diagonal::{Diagonal, KnownDiagonal};
pub use direct::Direct;
pub use harmonic_mean::InverseHarmonicMean;
pub use identity::Identity;
pub use jacobi::Jacobi;
pub use lissa::Lissa;
pub use nystroem::Nystroem;
pub use state::State;

/// Settings of a method that inverts operators.
///
/// A solver is plain settings. [`prepare`](Self::prepare) does the work that no damping enters,
/// [`Prepared::inverse`] adds the damping, and [`Inverse::solve`] takes right-hand sides: the
/// expensive part is done once for all dampings.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Direct, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[1.0, 0.0], [0.0, 16.0]])?);
/// let prepared = Direct.prepare(op)?;
/// let solution = prepared.inverse(0.0)?.solve(&array![[2.0, 64.0]])?.converged()?;
/// assert_eq!(solution, array![[2.0, 4.0]]);
/// let damped = prepared.inverse(48.0)?.solve(&array![[49.0, 128.0]])?.converged()?;
/// assert_eq!(damped, array![[1.0, 2.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
pub trait Solver<R: Rows>: Debug + Send + Sync {
    /// Prepares the inversion of `op`, a curvature without damping.
    ///
    /// # Errors
    /// Whatever the operator reports, or [`Error::Factorisation`].
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>>;

    /// Restores an earlier preparation on the same operator from its [`Prepared::state`].
    ///
    /// # Errors
    /// [`Error::State`] when the state is not one of this solver on such an operator, otherwise as
    /// [`prepare`](Self::prepare).
    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        _state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        self.prepare(op)
    }

    /// [`prepare`](Self::prepare) for a single damping.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`Prepared::inverse`].
    fn invert(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        damping: f64,
    ) -> Result<Box<dyn Inverse<R>>> {
        self.prepare(op)?.inverse(damping)
    }

    /// How many stacks of the size of its right-hand sides an inverse holds while it solves, these
    /// and the solutions included; for planning how many to solve together.
    fn stacks(&self) -> usize {
        8
    }

    /// Whether the inverses of this solver are [immediate](Inverse::is_immediate); known before
    /// anything is prepared.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Bytes that [`prepare`](Self::prepare) and a number of `inverses` made of it take, an upper
    /// estimate: matrices and bases of this dimension, of rows in this precision. The memory of the
    /// operator itself is not counted.
    fn fit_bytes(&self, _dim: usize, _precision: Precision, _inverses: usize) -> usize {
        0
    }

    /// Bytes of the largest sum over data that [`prepare`](Self::prepare) asks the operator for, in
    /// `f64` on the host. An operator that [adds](crate::summation) more than one leaf holds
    /// several.
    fn sum_bytes(&self, _dim: usize) -> usize {
        0
    }
}

impl<R: Rows, S: Solver<R> + ?Sized> Solver<R> for Arc<S> {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        (**self).prepare(op)
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        (**self).restore(op, state)
    }

    fn stacks(&self) -> usize {
        (**self).stacks()
    }

    fn is_immediate(&self) -> bool {
        (**self).is_immediate()
    }

    fn fit_bytes(&self, dim: usize, precision: Precision, inverses: usize) -> usize {
        (**self).fit_bytes(dim, precision, inverses)
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        (**self).sum_bytes(dim)
    }
}

/// A solver that iterates, which an approximate inverse makes faster.
pub trait PreconditionedSolver<R: Rows>: Solver<R> {
    /// The same settings with a preconditioner, which takes the place of another one.
    fn preconditioned_by(&self, near: Arc<dyn Solver<R>>) -> Arc<dyn Solver<R>>;
}

/// The part of an inversion that does not depend on damping, done once; it never changes.
pub trait Prepared<R: Rows>: Debug + Send + Sync {
    /// The length of the vectors.
    fn dim(&self) -> usize;

    /// The inverse of the operator plus `damping` times the identity.
    ///
    /// # Errors
    /// [`Error::Setting`] for a damping out of the domain of the method, otherwise as
    /// [`Solver::prepare`].
    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>>;

    /// The inverse of the operator plus a diagonal that has a λ for each of several groups of
    /// columns.
    ///
    /// # Errors
    /// As [`inverse`](Self::inverse); [`Error::Unsupported`] for a method that needs the same λ
    /// everywhere, if there are several.
    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        match shift.uniform() {
            Some(damping) => self.inverse(damping),
            None => Err(Error::Unsupported {
                what: "a damping of its own for some parameters",
                by: "this method; direct, cg and lissa have it",
            }),
        }
    }

    /// The mean eigenvalue of the operator, `trace / dim`, to which a relative damping refers.
    ///
    /// # Errors
    /// Whatever the operator reports.
    fn mean_eigenvalue(&self) -> Result<Estimate>;

    /// The rows `b` times a function of the operator, `f(A) b`: the matrix with the eigenvectors of
    /// `A` and the eigenvalues `f(σ)` in place of `σ`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a method that does not know all eigenvectors, [`Error::Shape`]
    /// when the rows do not have length `dim`.
    fn times_function(&self, _function: &dyn Fn(f64) -> f64, _rows: &R) -> Result<R> {
        Err(Error::Unsupported {
            what: "a function of the curvature",
            by: "this method; direct, kfac and ekfac have it",
        })
    }

    /// The expensive part as named arrays, for [`Solver::restore`]; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Backend`] when the transfer fails.
    fn state(&self) -> Result<State> {
        Ok(State::default())
    }
}

/// A prepared inverse of one operator; it never changes.
pub trait Inverse<R: Rows>: Debug + Send + Sync {
    /// The length of the vectors.
    fn dim(&self) -> usize;

    /// Solves `A x = b` for each row `b`, `(k, dim)` → `(k, dim)`, `k` of any size.
    ///
    /// A row that could not be solved is no error: its [`Report`] says so.
    ///
    /// # Errors
    /// [`Error::Shape`] when the rows do not have length `dim`, otherwise whatever the operator
    /// reports.
    fn solve(&self, rhs: &R) -> Result<Solution<R>>;

    /// As [`solve`](Self::solve), starting from a guess; methods that do not iterate ignore it.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); [`Error::Shape`] when `start` is not shaped as `rhs`.
    fn solve_from(&self, rhs: &R, start: &R) -> Result<Solution<R>> {
        Error::check_size("warm start", "rows", rhs.len(), start.len())?;
        Error::check_size("warm start", "vector length", rhs.dim(), start.dim())?;
        self.solve(rhs)
    }

    /// Whether `solve` is cheap enough for a planner to call once: a few products with what was
    /// prepared, and none with the operator.
    fn is_immediate(&self) -> bool {
        false
    }

    /// The solutions without reports, and without the cost of these: for use as a preconditioner.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    fn precondition(&self, rhs: &R) -> Result<R> {
        Ok(self.solve(rhs)?.rows)
    }
}

/// Solved rows, with a report on each.
#[derive(Debug, Clone)]
pub struct Solution<R> {
    /// The solutions, `(k, dim)`.
    pub rows: R,
    /// One report per row.
    pub reports: Vec<Report>,
}

impl<R> Solution<R> {
    /// The rows, if all of them are solved.
    ///
    /// # Errors
    /// [`Error::Unsolved`] naming the rows that are not, and what to try.
    pub fn converged(self) -> Result<R> {
        let unsolved = self
            .reports
            .iter()
            .enumerate()
            .filter(|(_, report)| !report.status.is_solved());
        let rows: Vec<usize> = unsolved.clone().map(|(row, _)| row).collect();
        match unsolved
            .map(|(_, report)| *report)
            .max_by(|a, b| a.residual.total_cmp(&b.residual))
        {
            None => Ok(self.rows),
            Some(worst) => Err(Error::Unsolved {
                rows,
                total: self.reports.len(),
                worst,
            }),
        }
    }
}

/// The inverse of a preconditioner, which need only be close: one that needs the same λ everywhere
/// gets the mean.
fn near_inverse<R: Rows>(near: &dyn Prepared<R>, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
    match near.inverse_shifted(shift) {
        Err(Error::Unsupported { .. }) => near.inverse(shift.mean(near.dim())),
        outcome => outcome,
    }
}

/// A product of sizes, the largest number there is where it would be larger.
fn product<const N: usize>(sizes: [usize; N]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}

/// Checks a number of things that must be there.
fn check_count(name: &'static str, count: usize) -> Result<()> {
    if count > 0 {
        return Ok(());
    }
    Err(Error::Setting {
        name,
        requirement: "at least 1",
        got: "0".into(),
    })
}

/// Checks a tolerance.
fn check_fraction(name: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::Setting {
        name,
        requirement: "between 0 and 1",
        got: value.to_string(),
    })
}

/// The right-hand sides on the host, checked: of length `dim`, and finite, since one such row would
/// spoil the others.
fn checked_host<R: Rows>(op: &'static str, dim: usize, rhs: &R) -> Result<Array2<f64>> {
    Error::check_size(op, "vector length", dim, rhs.dim())?;
    let host = rhs.to_host()?;
    match host
        .outer_iter()
        .position(|row| row.iter().any(|value| !value.is_finite()))
    {
        Some(row) => Err(Error::NotFinite {
            op,
            what: format!("right-hand side {row}"),
        }),
        None => Ok(host),
    }
}

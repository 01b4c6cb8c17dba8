mod block;
mod definiteness;

use std::sync::Arc;

use ndarray::Array2;

use super::{
    Inverse, PreconditionedSolver, Prepared, Report, Solution, Solver, State, Status, check_count,
    check_fraction, checked_host, near_inverse,
};
use crate::{
    Error, Precision, Result, Rows,
    linalg::norm,
    operator::{Damped, Estimate, LinearOperator, Shift},
};
use block::{BlockIteration, System};

/// Block preconditioned conjugate gradients: every right-hand side searches along the directions of
/// all.
///
/// One application of the operator serves all rows of an iteration, and `k` rows search a space
/// that grows by up to `k` dimensions at a time, so that the number of iterations falls with `k`.
/// The directions are orthonormalised through the eigendecomposition of their Gram matrix and
/// dependent ones are dropped, so duplicate rows, zero rows and more rows than dimensions are no
/// problem.
///
/// A row has [converged](super::Status::Converged) when its *true* relative residual, computed from
/// `b − A x`, is at most `rtol`; the recurrence only says when to look. Its solution is then left
/// alone, while its residual still gives directions to the other rows. Rows still active when the
/// operator is found to curve downwards keep what they have and report
/// [`Status::NegativeCurvature`](super::Status::NegativeCurvature). Where the residual no longer
/// falls, all rows restart from the true one. A row that this does not help either is
/// [`Status::Rounded`](super::Status::Rounded), which is solved, if its residual is what rounding
/// leaves and no more than the tolerance that is the default in its precision; else
/// [`Status::Stagnated`](super::Status::Stagnated), or
/// [`Status::Breakdown`](super::Status::Breakdown) where a direction was met along which the
/// operator is zero to rounding.
///
/// # References
/// O'Leary, *The block conjugate gradient algorithm and related methods*, 1980; Ji and Li, *A
/// breakdown-free block conjugate gradient method*, 2017, algorithm 2; Dubrulle, *Retooling the
/// method of block conjugate gradients*, 2001. We differ in that directions are dropped by
/// eigenvalue, finished rows move no more, and the residual is replaced by the true one now and
/// then (van der Vorst and Ye, 2000).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{ConjugateGradient, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 1.0], [1.0, 3.0]])?);
/// let inverse = ConjugateGradient::new().with_rtol(1e-10)?.invert(op, 0.0)?;
/// let solution = inverse.solve(&array![[5.0, 4.0]])?.converged()?;
/// assert!((solution[[0, 0]] - 1.0_f64).abs() < 1e-9);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConjugateGradient<R: Rows> {
    rtol: Option<f64>,
    max_iterations: Option<usize>,
    preconditioner: Option<Arc<dyn Solver<R>>>,
}

/// Exact arithmetic needs `dim` iterations at most; rounding makes it more, and there must be an
/// end.
const ITERATIONS_PER_DIMENSION: usize = 10;
const DEFAULT_ITERATION_CAP: usize = 1000;

impl<R: Rows> Default for ConjugateGradient<R> {
    fn default() -> Self {
        Self {
            rtol: None,
            max_iterations: None,
            preconditioner: None,
        }
    }
}

impl<R: Rows> ConjugateGradient<R> {
    /// A relative tolerance of `1e-6` for rows in 64-bit and `1e-4` for rows in 32-bit floats, at
    /// most `10 · dim` iterations but no more than 1000, no preconditioner.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest relative residual `‖b − A x‖ / ‖b‖` at which a row counts as solved.
    ///
    /// A residual is not an error: the relative error of a row is at most the residual times the
    /// condition number, which is `(μ + λ) / λ` with `μ` the largest eigenvalue of the curvature
    /// and λ the damping. The error of an influence is at most the residual times
    /// `‖g_test‖ ‖g_train‖ / λ`.
    ///
    /// # Errors
    /// [`Error::Setting`] outside the open interval from 0 to 1.
    pub fn with_rtol(self, rtol: f64) -> Result<Self> {
        check_fraction("rtol", rtol)?;
        Ok(Self {
            rtol: Some(rtol),
            ..self
        })
    }

    /// The number of iterations at which to give up.
    ///
    /// # Errors
    /// [`Error::Setting`] for 0.
    pub fn with_max_iterations(self, max_iterations: usize) -> Result<Self> {
        check_count("max_iterations", max_iterations)?;
        Ok(Self {
            max_iterations: Some(max_iterations),
            ..self
        })
    }

    /// Searches along directions improved by an approximate inverse, prepared on the same operator.
    #[must_use]
    pub fn with_preconditioner(self, preconditioner: Arc<dyn Solver<R>>) -> Self {
        Self {
            preconditioner: Some(preconditioner),
            ..self
        }
    }
}

impl<R: Rows> PreconditionedSolver<R> for ConjugateGradient<R> {
    fn preconditioned_by(&self, near: Arc<dyn Solver<R>>) -> Arc<dyn Solver<R>> {
        Arc::new(self.clone().with_preconditioner(near))
    }
}

impl<R: Rows> Solver<R> for ConjugateGradient<R> {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let preconditioner = self.preconditioner.as_ref();
        let preconditioner = preconditioner.map(|solver| solver.prepare(Arc::clone(&op)));
        Ok(self.prepared(op, preconditioner.transpose()?))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        let preconditioner = self.preconditioner.as_ref();
        let preconditioner = preconditioner.map(|solver| solver.restore(Arc::clone(&op), state));
        Ok(self.prepared(op, preconditioner.transpose()?))
    }

    fn stacks(&self) -> usize {
        13 + self.preconditioner.as_ref().map_or(0, Solver::stacks)
    }

    /// What the preconditioner takes.
    fn fit_bytes(&self, dim: usize, precision: Precision, inverses: usize) -> usize {
        let preconditioner = self.preconditioner.as_ref();
        preconditioner.map_or(0, |solver| solver.fit_bytes(dim, precision, inverses))
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        let preconditioner = self.preconditioner.as_ref();
        preconditioner.map_or(0, |solver| solver.sum_bytes(dim))
    }
}

impl<R: Rows> ConjugateGradient<R> {
    fn prepared(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        preconditioner: Option<Box<dyn Prepared<R>>>,
    ) -> Box<dyn Prepared<R>> {
        let default = op
            .dim()
            .saturating_mul(ITERATIONS_PER_DIMENSION)
            .clamp(1, DEFAULT_ITERATION_CAP);
        Box::new(PreparedConjugateGradient {
            op,
            preconditioner,
            rtol: self.rtol,
            max_iterations: self.max_iterations.unwrap_or(default),
        })
    }
}

#[derive(Debug)]
struct PreparedConjugateGradient<R: Rows> {
    op: Arc<dyn LinearOperator<Rows = R>>,
    preconditioner: Option<Box<dyn Prepared<R>>>,
    rtol: Option<f64>,
    max_iterations: usize,
}

impl<R: Rows> Prepared<R> for PreparedConjugateGradient<R> {
    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        self.inverse_shifted(&damping.into())
    }

    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        let preconditioner = self.preconditioner.as_deref();
        let preconditioner = preconditioner.map(|prepared| near_inverse(prepared, shift));
        Ok(Box::new(ConjugateGradientInverse(System {
            op: Damped::new(Arc::clone(&self.op), shift.clone())?,
            preconditioner: preconditioner.transpose()?,
            rtol: self.rtol,
            max_iterations: self.max_iterations,
        })))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.op.trace()?.over(self.op.dim() as f64))
    }

    fn state(&self) -> Result<State> {
        let preconditioner = self.preconditioner.as_ref();
        preconditioner.map_or_else(|| Ok(State::default()), |prepared| prepared.state())
    }
}

#[derive(Debug)]
struct ConjugateGradientInverse<R: Rows>(System<R>);

impl<R: Rows> Inverse<R> for ConjugateGradientInverse<R> {
    fn dim(&self) -> usize {
        self.0.op.dim()
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        self.run(rhs, None)
    }

    fn solve_from(&self, rhs: &R, start: &R) -> Result<Solution<R>> {
        Error::check_size("warm start", "rows", rhs.len(), start.len())?;
        Error::check_size("warm start", "vector length", rhs.dim(), start.dim())?;
        self.run(
            rhs,
            Some(&checked_host("warm start", self.0.op.dim(), start)?),
        )
    }
}

impl<R: Rows> ConjugateGradientInverse<R> {
    /// Solves for the rows that are not zero, scaled to unit length; the others are solved by zero.
    fn run(&self, rhs: &R, start: Option<&Array2<f64>>) -> Result<Solution<R>> {
        let host = checked_host("conjugate gradients", self.0.op.dim(), rhs)?;
        let mut reports = vec![
            Report {
                iterations: 0,
                residual: 0.0,
                status: Status::Converged
            };
            host.nrows()
        ];
        let norms: Vec<f64> = host.outer_iter().map(|row| norm(&row)).collect();
        let rows: Vec<usize> = (0..norms.len()).filter(|&row| norms[row] > 0.0).collect();
        if rows.is_empty() {
            return Ok(Solution {
                rows: rhs.like(Array2::zeros(host.raw_dim()).view())?,
                reports,
            });
        }
        let scaled = |values: &Array2<f64>| {
            let shape = (rows.len(), values.ncols());
            rhs.like(
                Array2::from_shape_fn(shape, |(i, j)| values[[rows[i], j]] / norms[rows[i]]).view(),
            )
        };
        let mut block =
            BlockIteration::new(&self.0, scaled(&host)?, start.map(scaled).transpose()?)?;
        while block.iterate()? {}
        let solved = block.into_solution()?;
        let mut scales = Array2::zeros((norms.len(), rows.len()));
        for (position, (&row, report)) in rows.iter().zip(solved.reports).enumerate() {
            scales[[row, position]] = norms[row];
            reports[row] = report;
        }
        Ok(Solution {
            rows: solved.rows.combine(scales.view())?,
            reports,
        })
    }
}

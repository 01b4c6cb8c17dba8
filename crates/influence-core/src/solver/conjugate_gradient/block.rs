//! The state of a block of right-hand sides that are solved together.
//!
//! # The iteration
//! `k` right-hand sides are the rows of `B`, `(k, dim)`; `A` is symmetric and positive definite,
//! `M` the preconditioner. With `X` and `R = B − X A` of the shape of `B`, and `p ≤ k` directions
//! that are the rows of `P`, `(p, dim)`, an iteration is
//!
//! ```text
//! Γ = P A Pᵀ                     (p, p)
//! α = R Pᵀ Γ⁻¹                   (k, p)
//! X ← X + α P,    R ← R − α P A
//! β = (R M) (P A)ᵀ Γ⁻¹           (k, p)
//! P ← orthonormal(R M − β P)
//! ```
//!
//! `α` makes the error of every row as small as it can be along `P` in the norm of `A`, `β` makes
//! the new directions conjugate to the old ones, so that what has been reached is kept. This is the
//! block method of O'Leary (1980). One application of `A` to `p` vectors, a pass over the data,
//! serves all rows, and each row searches a space that grows by `p` dimensions at a time: with many
//! rows there are far fewer passes than with one row at a time.
//!
//! # Deflation
//! The rows of a block become dependent: two right-hand sides are nearly equal, there are more rows
//! than dimensions, or one row is nearly solved. In O'Leary's method `R Rᵀ` is then singular, and
//! the iteration breaks down however well-conditioned `A` is. Dubrulle (2001) keeps the directions
//! orthonormal instead; Ji and Li (2017, algorithm 2) drop those that depend on the others. Here
//! they are dropped by the eigenvalues of their Gram matrix: `p` shrinks, `α` and `β` become
//! rectangular, and nothing else changes. Directions along which `A` is zero to rounding are
//! dropped from `Γ⁻¹` in the same way.
//!
//! # True residuals
//! The residual of an iteration drifts from the true one. When that is looked at, and what follows
//! from it, is in `residuals`.

mod residuals;

use std::sync::Arc;

use ndarray::{Array2, Axis};

use super::definiteness::{Definiteness, definiteness};
use crate::{
    Result, Rows,
    operator::{Damped, LinearOperator},
    solver::{
        Inverse, Report, Solution, Status,
        subspace::{gram_norms, orthonormal, precision},
    },
};
use residuals::{Standing, default_rtol};

/// The damped operator with a preconditioner, and when to stop.
#[derive(Debug)]
pub(super) struct System<R: Rows> {
    pub(super) op: Damped<Arc<dyn LinearOperator<Rows = R>>>,
    pub(super) preconditioner: Option<Box<dyn Inverse<R>>>,
    pub(super) rtol: Option<f64>,
    pub(super) max_iterations: usize,
}

/// The true residuals are computed after every this many iterations, so that a drift of the
/// recurrence is noticed.
const CHECK_PERIOD: usize = 50;

/// The rows that are not zero, in units of their norms: a residual norm is then a relative one, and
/// squares of small gradients do not underflow.
///
/// A row that has finished keeps its solution, but its residual still gives directions to the
/// others until the next restart. Without it the new directions would not be conjugate to the old
/// ones, and the rows that remain would need many times the iterations.
pub(super) struct BlockIteration<'a, R: Rows> {
    system: &'a System<R>,
    rtol: f64,
    rhs: R,
    solution: R,
    residual: R,
    /// Orthonormal; `None` when no direction is left to search.
    directions: Option<R>,
    active: Vec<usize>,
    reports: Vec<Report>,
    standings: Vec<Standing>,
    precision: f64,
    iterations: usize,
    largest_curvature: f64,
    /// Whether a direction was met along which the operator is flat to rounding.
    flat: bool,
}

impl<'a, R: Rows> BlockIteration<'a, R> {
    /// `rhs` and `start` are in units of the norms of the right-hand sides.
    pub(super) fn new(system: &'a System<R>, rhs: R, start: Option<R>) -> Result<Self> {
        let k = rhs.len();
        let warm = start.is_some();
        let zeros = || rhs.like(Array2::zeros((k, rhs.dim())).view());
        let precision = precision(&rhs)?;
        let begun = Report {
            iterations: 0,
            residual: 1.0,
            status: Status::IterationLimit,
        };
        let mut block = Self {
            system,
            rtol: system.rtol.unwrap_or(default_rtol(precision)),
            solution: start.map_or_else(zeros, Ok)?,
            residual: rhs.clone(),
            rhs,
            directions: None,
            active: (0..k).collect(),
            reports: vec![begun; k],
            standings: vec![Standing::default(); k],
            precision,
            iterations: 0,
            largest_curvature: 0.0,
            flat: false,
        };
        if warm {
            block.check(&(0..k).collect::<Vec<_>>())?;
        }
        if !block.active.is_empty() && (warm || system.preconditioner.is_some()) {
            // Directions begin where the top eigenvectors are not, and would never show how large
            // the operator is.
            block.largest_curvature = block.top_eigenvalue()?;
        }
        block.search()?;
        Ok(block)
    }

    /// An estimate from below of the norm of the operator: a few steps of the power iteration from
    /// right-hand sides, which are gradients and therefore long along its top eigenvectors.
    fn top_eigenvalue(&self) -> Result<f64> {
        const VECTORS: usize = 4;
        const STEPS: usize = 3;
        let some: Vec<usize> = (0..self.rhs.len().min(VECTORS)).collect();
        let (mut vectors, mut top) = (self.rhs.select(&some)?, 0.0);
        for _ in 0..STEPS {
            let images = self.system.op.apply(&vectors)?;
            let lengths = gram_norms(&images)?;
            let sound = |length: &f64| length.is_finite() && *length > 0.0;
            top = lengths.iter().copied().filter(sound).fold(top, f64::max);
            let inverse = lengths
                .iter()
                .map(|length| if sound(length) { 1.0 / length } else { 0.0 });
            vectors = images.scaled(&inverse.collect::<Vec<_>>())?;
        }
        Ok(top)
    }

    /// One step of every active row; whether there is more to do.
    pub(super) fn iterate(&mut self) -> Result<bool> {
        if self.active.is_empty() {
            return Ok(false);
        }
        if self.iterations == self.system.max_iterations {
            return self.conclude(Status::IterationLimit);
        }
        let Some(directions) = self.directions.take() else {
            return self.restart();
        };
        let images = self.system.op.apply(&directions)?;
        self.iterations += 1;
        for &row in &self.active {
            self.reports[row].iterations += 1;
        }
        let along = directions.gram(&images)?;
        match definiteness(&along, &mut self.largest_curvature, self.precision)? {
            Definiteness::Negative => self.conclude(Status::NegativeCurvature),
            Definiteness::NotFinite => self.restart(),
            Definiteness::Flat => {
                self.flat = true;
                self.restart()
            }
            Definiteness::Positive { inverse, flat } => {
                self.flat |= flat;
                self.advance(&directions, &images, &inverse)
            }
        }
    }

    /// Moves to where the error is smallest in the norm of the operator, and finds the next
    /// directions.
    fn advance(&mut self, directions: &R, images: &R, inverse: &Array2<f64>) -> Result<bool> {
        let steps = inverse
            .dot(&directions.gram(&self.residual)?)
            .reversed_axes();
        let residual = self
            .residual
            .add_scaled(-1.0, &images.combine(steps.view())?)?;
        let claimed = gram_norms(&residual)?;
        if steps.iter().chain(&claimed).any(|value| !value.is_finite()) {
            return self.restart();
        }
        // The residuals of rows that have finished go on being updated: their steps are taken out
        // of the solution only, so that all residuals stay orthogonal to the directions so far.
        self.residual = residual;
        self.solution = self
            .solution
            .add_scaled(1.0, &directions.combine(self.of_active(&steps).view())?)?;
        let due = self.iterations.is_multiple_of(CHECK_PERIOD);
        let suspects = self
            .active
            .iter()
            .copied()
            .filter(|&row| due || claimed[row] <= self.rtol);
        if self.check(&suspects.collect::<Vec<_>>())? {
            return self.restart();
        }
        if self.active.is_empty() {
            return Ok(false);
        }
        // β takes the old directions out of the new ones. In exact arithmetic those before the last
        // are conjugate already, so two blocks of directions are enough.
        let improved = self.preconditioned()?;
        let conjugate = inverse.dot(&images.gram(&improved)?).reversed_axes();
        let next = improved.add_scaled(-1.0, &directions.combine(conjugate.view())?)?;
        self.directions = orthonormal(&next, self.precision)?;
        Ok(true)
    }

    /// The steps, with none for rows that have finished.
    fn of_active(&self, steps: &Array2<f64>) -> Array2<f64> {
        let mut taken = Array2::zeros(steps.raw_dim());
        for &row in &self.active {
            taken.index_axis_mut(Axis(0), row).assign(&steps.row(row));
        }
        taken
    }

    /// Directions from the residuals alone, conjugate to none before.
    fn search(&mut self) -> Result<()> {
        if !self.active.is_empty() {
            self.directions = orthonormal(&self.preconditioned()?, self.precision)?;
        }
        Ok(())
    }

    fn preconditioned(&self) -> Result<R> {
        match &self.system.preconditioner {
            None => Ok(self.residual.clone()),
            Some(inverse) => inverse.precondition(&self.residual),
        }
    }

    /// The solutions, in units of the norms; a row that overflowed is zero.
    pub(super) fn into_solution(mut self) -> Result<Solution<R>> {
        let spoilt = |report: &Report| !report.residual.is_finite();
        if self.reports.iter().any(spoilt) {
            let mut host = self.solution.to_host()?;
            for (mut row, report) in host.outer_iter_mut().zip(&mut self.reports) {
                if spoilt(report) {
                    row.fill(0.0);
                    report.residual = 1.0;
                    report.status = Status::NotFinite;
                }
            }
            self.solution = self.solution.like(host.view())?;
        }
        Ok(Solution {
            rows: self.solution,
            reports: self.reports,
        })
    }
}

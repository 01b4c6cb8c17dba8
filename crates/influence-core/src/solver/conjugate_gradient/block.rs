//! The state of a block of right-hand sides that are solved together.

use ndarray::{Array2, Axis};

use super::{
    ConjugateGradientInverse,
    directions::{Curvature, curvature},
};
use crate::{
    Result, Rows,
    operator::LinearOperator,
    solver::{
        Report, Solution, Status,
        subspace::{norms, orthonormal, precision},
    },
};

/// Every so many iterations the true residuals are looked at, lest the recurrence drift away unnoticed.
const CHECK_PERIOD: usize = 50;
/// A recurrence this far from the truth, relative to it, is replaced: doing so always would spoil conjugacy for nothing.
const TOLERATED_DRIFT: f64 = 0.1;
/// How many true residuals in a row may fail to fall, while the recurrence says so, before the precision counts as exhausted.
const PATIENCE: usize = 2;

/// The rows that are not zero, in units of their norms: a residual norm is then a relative one, and squares of small gradients do
/// not underflow.
///
/// A row that has finished keeps its solution, but its residual goes on lending directions to the others. Without it
/// the new directions would not be conjugate to the old ones, and the rows that remain would need many times the iterations.
pub(super) struct Block<'a, R: Rows> {
    settings: &'a ConjugateGradientInverse<R>,
    rhs: R,
    solution: R,
    residual: R,
    /// Orthonormal; nothing when no direction is left to search.
    directions: Option<R>,
    active: Vec<usize>,
    reports: Vec<Report>,
    /// The least true residual of each row so far, and how often in a row it failed to fall.
    checks: Vec<(f64, usize)>,
    precision: f64,
    iterations: usize,
    largest_curvature: f64,
}

impl<'a, R: Rows> Block<'a, R> {
    /// `rhs` and `start` are in units of the norms of the right-hand sides.
    pub(super) fn new(
        settings: &'a ConjugateGradientInverse<R>,
        rhs: R,
        start: Option<R>,
    ) -> Result<Self> {
        let k = rhs.len();
        let warm = start.is_some();
        let zeros = || rhs.like(Array2::zeros((k, rhs.dim())).view());
        let mut block = Self {
            settings,
            precision: precision(&rhs)?,
            solution: start.map_or_else(zeros, Ok)?,
            residual: rhs.clone(),
            rhs,
            directions: None,
            active: (0..k).collect(),
            reports: vec![
                Report {
                    iterations: 0,
                    residual: 1.0,
                    status: Status::IterationLimit
                };
                k
            ],
            checks: vec![(f64::INFINITY, 0); k],
            iterations: 0,
            largest_curvature: 0.0,
        };
        if warm {
            block.check(&(0..k).collect::<Vec<_>>())?;
        }
        if !block.active.is_empty() {
            block.directions = orthonormal(&block.preconditioned()?, block.precision)?;
        }
        Ok(block)
    }

    /// One step of every active row; whether there is more to do.
    pub(super) fn iterate(&mut self) -> Result<bool> {
        if self.active.is_empty() {
            return Ok(false);
        }
        if self.iterations == self.settings.max_iterations {
            return self.conclude(Status::IterationLimit);
        }
        let Some(directions) = self.directions.take() else {
            return self.conclude(Status::Breakdown);
        };
        let images = self.settings.op.apply(&directions)?;
        self.iterations += 1;
        for &row in &self.active {
            self.reports[row].iterations += 1;
        }
        match curvature(
            &directions.gram(&images)?,
            &mut self.largest_curvature,
            self.precision,
        )? {
            Curvature::Negative => self.conclude(Status::NegativeCurvature),
            Curvature::Flat => self.conclude(Status::Breakdown),
            Curvature::Positive(inverse) => self.advance(&directions, &images, &inverse),
        }
    }

    /// Moves to where the error is smallest in the norm of the operator, and finds the next directions.
    fn advance(&mut self, directions: &R, images: &R, inverse: &Array2<f64>) -> Result<bool> {
        let steps = inverse
            .dot(&directions.gram(&self.residual)?)
            .reversed_axes();
        let residual = self
            .residual
            .add_scaled(-1.0, &images.combine(steps.view())?)?;
        let claimed = norms(&residual)?;
        if steps.iter().chain(&claimed).any(|value| !value.is_finite()) {
            return self.conclude(Status::Breakdown);
        }
        self.residual = residual;
        self.solution = self
            .solution
            .add_scaled(1.0, &directions.combine(self.of_active(&steps).view())?)?;
        let due = self.iterations.is_multiple_of(CHECK_PERIOD);
        let suspects = self
            .active
            .iter()
            .copied()
            .filter(|&row| due || claimed[row] <= self.settings.rtol);
        self.check(&suspects.collect::<Vec<_>>())?;
        if self.active.is_empty() {
            return Ok(false);
        }
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

    fn preconditioned(&self) -> Result<R> {
        match &self.settings.preconditioner {
            None => Ok(self.residual.clone()),
            Some(inverse) => inverse.precondition(&self.residual),
        }
    }

    /// `b − A x` for these rows, at the price of one application.
    fn true_residual(&mut self, rows: &[usize]) -> Result<R> {
        for &row in rows {
            self.reports[row].iterations += 1;
        }
        let image = self.settings.op.apply(&self.solution.select(rows)?)?;
        self.rhs.select(rows)?.add_scaled(-1.0, &image)
    }

    /// Holds the recurrence of these active rows against their true residuals: rows that are done or can get no better finish, and a
    /// recurrence that has drifted is replaced by the truth.
    fn check(&mut self, rows: &[usize]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let truth = self.true_residual(rows)?;
        let drifts = norms(&truth.add_scaled(-1.0, &self.residual.select(rows)?)?)?;
        let mut kept = Array2::eye(self.rhs.len());
        let mut replaced = Array2::zeros((self.rhs.len(), rows.len()));
        for (index, (residual, drift)) in norms(&truth)?.into_iter().zip(drifts).enumerate() {
            let row = rows[index];
            if drift > TOLERATED_DRIFT * residual {
                kept[[row, row]] = 0.0;
                replaced[[row, index]] = 1.0;
            }
            if let Some(status) = self.ending(row, residual, drift) {
                self.finish(row, residual, status);
            }
        }
        self.residual = self
            .residual
            .combine(kept.view())?
            .add_scaled(1.0, &truth.combine(replaced.view())?)?;
        Ok(())
    }

    /// How a row ends given its true residual, if it does.
    fn ending(&mut self, row: usize, residual: f64, drift: f64) -> Option<Status> {
        let (least, stalls) = self.checks[row];
        let stalled = drift > 0.5 * residual && residual > 0.5 * least;
        let stalls = if stalled { stalls + 1 } else { 0 };
        self.checks[row] = (least.min(residual), stalls);
        if residual <= self.settings.rtol {
            Some(Status::Converged)
        } else {
            (stalls == PATIENCE).then_some(Status::Breakdown)
        }
    }

    fn finish(&mut self, row: usize, residual: f64, status: Status) {
        self.active.retain(|&active| active != row);
        self.reports[row] = Report {
            residual,
            status,
            ..self.reports[row]
        };
    }

    /// Ends every active row with `status`, save those whose true residual turns out to be small enough.
    fn conclude(&mut self, status: Status) -> Result<bool> {
        let rows = self.active.clone();
        let truth = norms(&self.true_residual(&rows)?)?;
        for (row, residual) in rows.into_iter().zip(truth) {
            let status = if residual <= self.settings.rtol {
                Status::Converged
            } else {
                status
            };
            self.finish(row, residual, status);
        }
        Ok(false)
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

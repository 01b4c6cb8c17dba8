//! The true residuals of a block of right-hand sides: which rows they end, and when they replace
//! those of the recurrence.
//!
//! The recurrence for `R` drifts away from `B − X A`, and the directions lose their conjugacy. When
//! a row seems solved, and every 50 iterations, the true residual is computed, and replaces `R`
//! where the two differ (van der Vorst and Ye, 2000); replacing it always would spoil conjugacy for
//! nothing. Where that does not help, or no direction is left, the block restarts from the true
//! residuals of all rows, as if they were new right-hand sides: a step of iterative refinement. A
//! row is given up only when a restart did not bring it nearer.
//!
//! The true residual itself carries rounding of about `ε ‖A‖ ‖x‖`. A row that has come down to it
//! solves exactly a system whose matrix differs from `A` by rounding (Rigal and Gaches, 1967): no
//! method does better in this precision, whatever tolerance was asked for.

use ndarray::Array2;

use super::BlockIteration;
use crate::{
    Result, Rows,
    operator::LinearOperator,
    solver::{Report, Status, subspace::gram_norms},
};

/// The tolerance where none is given: far above what rounding leaves of a residual in a precision
/// of this relative error.
pub(super) fn default_rtol(precision: f64) -> f64 {
    /// Between the precision of 32-bit and of 64-bit floats.
    const SINGLE: f64 = 1e-12;
    if precision > SINGLE { 1e-4 } else { 1e-6 }
}

/// A recurrence this far from the truth, relative to it, is replaced: doing so always would spoil
/// conjugacy for nothing.
const TOLERATED_DRIFT: f64 = 0.1;
/// How many true residuals in a row may fail to fall, while the recurrence says so, before the row
/// counts as stalled.
const PATIENCE: usize = 2;
/// A residual has fallen when it is below this part of its earlier value.
const PROGRESS: f64 = 0.5;

/// The true residuals of a row so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The least one since the last restart.
    least: f64,
    /// How often in a row it failed to fall.
    stalls: usize,
    /// That of the last restart.
    restarted: f64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            stalls: 0,
            restarted: f64::INFINITY,
        }
    }
}

/// What a look at the true residual says of a row.
enum RowOutcome {
    Ends(Status),
    Stalls,
    GoesOn,
}

impl<R: Rows> BlockIteration<'_, R> {
    /// `b − A x` for these rows, at the price of one application.
    fn true_residual(&mut self, rows: &[usize]) -> Result<R> {
        for &row in rows {
            self.reports[row].iterations += 1;
        }
        let image = self.system.op.apply(&self.solution.select(rows)?)?;
        self.rhs.select(rows)?.add_scaled(-1.0, &image)
    }

    /// Holds the recurrence of these active rows against their true residuals: rows that are done
    /// or can get no better finish, and a recurrence that has drifted is replaced by the truth.
    /// Whether the block should restart.
    pub(super) fn check(&mut self, rows: &[usize]) -> Result<bool> {
        if rows.is_empty() {
            return Ok(false);
        }
        let truth = self.true_residual(rows)?;
        let drifts = gram_norms(&truth.add_scaled(-1.0, &self.residual.select(rows)?)?)?;
        let limits = self.rounding(rows)?;
        let mut kept = Array2::eye(self.rhs.len());
        let mut replaced = Array2::zeros((self.rhs.len(), rows.len()));
        let mut stalled = false;
        for (index, (residual, drift)) in gram_norms(&truth)?.into_iter().zip(drifts).enumerate() {
            let row = rows[index];
            if drift > TOLERATED_DRIFT * residual {
                kept[[row, row]] = 0.0;
                replaced[[row, index]] = 1.0;
            }
            match self.outcome(row, residual, drift, limits[index]) {
                RowOutcome::Ends(status) => self.finish(row, residual, status),
                RowOutcome::Stalls => stalled = true,
                RowOutcome::GoesOn => {}
            }
        }
        self.residual = self
            .residual
            .combine(kept.view())?
            .add_scaled(1.0, &truth.combine(replaced.view())?)?;
        Ok(stalled)
    }

    /// How a row stands given its true residual, and the rounding of that.
    fn outcome(&mut self, row: usize, residual: f64, drift: f64, rounding: f64) -> RowOutcome {
        let standing = &mut self.standings[row];
        let stalled = drift > 0.5 * residual && residual > PROGRESS * standing.least;
        standing.stalls = if stalled { standing.stalls + 1 } else { 0 };
        standing.least = standing.least.min(residual);
        let exhausted = standing.stalls >= PATIENCE;
        if residual <= self.rtol {
            RowOutcome::Ends(Status::Converged)
        } else if exhausted && residual <= rounding {
            RowOutcome::Ends(Status::Rounded)
        } else if exhausted {
            RowOutcome::Stalls
        } else {
            RowOutcome::GoesOn
        }
    }

    /// What the rounding of the true residuals of these rows comes to, but no more than the
    /// tolerance that is the default in this precision: beyond it a row is no solution, however
    /// exact it may be.
    fn rounding(&self, rows: &[usize]) -> Result<Vec<f64>> {
        let lengths = gram_norms(&self.solution.select(rows)?)?.into_iter();
        let of_length = |length| self.precision * (1.0 + self.largest_curvature * length);
        let limit = default_rtol(self.precision);
        Ok(lengths.map(|length| limit.min(of_length(length))).collect())
    }

    /// Begins again from the true residuals; rows that have not come nearer since the last time
    /// end.
    pub(super) fn restart(&mut self) -> Result<bool> {
        let rows = self.active.clone();
        let truth = self.true_residual(&rows)?;
        let limits = self.rounding(&rows)?;
        let mut place = Array2::zeros((self.rhs.len(), rows.len()));
        for (index, residual) in gram_norms(&truth)?.into_iter().enumerate() {
            let row = rows[index];
            if residual <= self.rtol {
                self.finish(row, residual, Status::Converged);
            } else if residual < PROGRESS * self.standings[row].restarted {
                place[[row, index]] = 1.0;
                self.standings[row] = Standing {
                    least: residual,
                    stalls: 0,
                    restarted: residual,
                };
            } else if residual <= limits[index] {
                self.finish(row, residual, Status::Rounded);
            } else if self.flat {
                self.finish(row, residual, Status::Breakdown);
            } else {
                self.finish(row, residual, Status::Stagnated);
            }
        }
        self.residual = truth.combine(place.view())?;
        self.search()?;
        Ok(!self.active.is_empty())
    }

    fn finish(&mut self, row: usize, residual: f64, status: Status) {
        self.active.retain(|&active| active != row);
        self.reports[row] = Report {
            residual,
            status,
            ..self.reports[row]
        };
    }

    /// Ends every active row with `status`, except those whose true residual turns out to be small
    /// enough.
    pub(super) fn conclude(&mut self, status: Status) -> Result<bool> {
        let rows = self.active.clone();
        let truth = gram_norms(&self.true_residual(&rows)?)?;
        for (row, residual) in rows.into_iter().zip(truth) {
            let status = if residual <= self.rtol {
                Status::Converged
            } else {
                status
            };
            self.finish(row, residual, status);
        }
        Ok(false)
    }
}

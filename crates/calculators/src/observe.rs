//! Watching a computation.

use std::{collections::BTreeMap, ops::Range};

use influence_core::{
    Chunk,
    solver::{Report, Status},
};

use crate::{Phase, Plan};

/// Watches a computation: how far it is, and how the solver fares.
///
/// Except for [`planned`](Self::planned) and [`phase`](Self::phase), the methods are called from
/// the worker threads, several at once and in no particular order. An observer sees, it does not
/// decide; a panic in it ends the computation with an error.
pub trait Observer: Sync {
    /// The work was planned; called once, before the first number. An earlier run `finished` this
    /// many chunks.
    fn planned(&self, _plan: &Plan, _finished: usize) {}

    /// A phase begins; there may be several of each, one per panel.
    fn phase(&self, _phase: Phase) {}

    /// Test rows were solved, with one report each; called before unsolved rows are refused.
    fn solved(&self, _rows: &Range<usize>, _reports: &[Report]) {}

    /// A chunk was computed and delivered.
    fn chunk_done(&self, _chunk: &Chunk) {}
}

impl<O: Observer + ?Sized> Observer for &O {
    fn planned(&self, plan: &Plan, finished: usize) {
        (**self).planned(plan, finished);
    }

    fn phase(&self, phase: Phase) {
        (**self).phase(phase);
    }

    fn solved(&self, rows: &Range<usize>, reports: &[Report]) {
        (**self).solved(rows, reports);
    }

    fn chunk_done(&self, chunk: &Chunk) {
        (**self).chunk_done(chunk);
    }
}

/// How the solver fared over all rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SolveSummary {
    rows_by_status: BTreeMap<&'static str, usize>,
    worst_residual: f64,
}

impl SolveSummary {
    /// How many rows ended with each status, by the name of the status.
    pub fn rows_by_status(&self) -> &BTreeMap<&'static str, usize> {
        &self.rows_by_status
    }

    /// The largest relative residual; 0 where nothing was solved.
    pub fn worst_residual(&self) -> f64 {
        self.worst_residual
    }

    /// Counts a row whose status has this number.
    pub(crate) fn add_row(&mut self, status: u8, residual: f64) {
        let name = STATUSES.get(usize::from(status)).copied().unwrap_or(OTHER);
        *self.rows_by_status.entry(name).or_default() += 1;
        // Not `f64::max`, which would hide a residual that is not a number.
        if residual.total_cmp(&self.worst_residual).is_gt() {
            self.worst_residual = residual;
        }
    }
}

/// The names of statuses; their positions are their numbers.
pub(crate) const STATUSES: [&str; 11] = [
    "converged",
    "indefinite",
    "iteration_limit",
    "negative_curvature",
    "breakdown",
    "approximate",
    "diverged",
    OTHER,
    "rounded",
    "stagnated",
    "not_finite",
];
const OTHER: &str = "other";

/// The number of a status.
pub(crate) fn code(status: Status) -> u8 {
    match status {
        Status::Converged => 0,
        Status::Indefinite { .. } => 1,
        Status::IterationLimit => 2,
        Status::NegativeCurvature => 3,
        Status::Breakdown => 4,
        Status::Approximate => 5,
        Status::Diverged => 6,
        Status::Rounded => 8,
        Status::Stagnated => 9,
        Status::NotFinite => NOT_FINITE,
        _ => 7,
    }
}

/// The number of the status of rows whose numbers are not finite.
pub(crate) const NOT_FINITE: u8 = 10;

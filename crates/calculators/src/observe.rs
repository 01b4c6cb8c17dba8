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
        let name = Status::name_of(status);
        *self.rows_by_status.entry(name).or_default() += 1;
        // Not `f64::max`, which would hide a residual that is not a number.
        if residual.total_cmp(&self.worst_residual).is_gt() {
            self.worst_residual = residual;
        }
    }
}

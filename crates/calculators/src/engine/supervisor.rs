use std::{collections::BTreeSet, ops::Range, sync::Mutex};

use influence_core::solver::{Report, Status};

use super::guard::guarded;
use crate::{Cancellation, Error, Observer, Phase, Plan, Result, Step, sink::lock};

/// Who learns of the reports, and which of them end the computation.
#[derive(Default)]
pub(crate) struct Supervisor<'a> {
    pub(crate) observer: Option<Box<dyn Observer + 'a>>,
    pub(crate) accepts_unsolved: bool,
    pub(crate) cancellation: Cancellation,
    /// Rows known not to be finite, so that each is reported once.
    spoilt: Mutex<BTreeSet<usize>>,
}

impl Supervisor<'_> {
    pub(crate) fn planned(&self, plan: &Plan, finished: usize) -> Result<()> {
        self.tell(
            || Step::Planning,
            |observer| observer.planned(plan, finished),
        )
    }

    pub(super) fn phase(&self, phase: Phase) -> Result<()> {
        self.cancellation.check()?;
        self.tell(
            || Step::Beginning { phase },
            |observer| observer.phase(phase),
        )
    }

    fn tell(&self, step: impl Fn() -> Step, tell: impl FnOnce(&dyn Observer)) -> Result<()> {
        guarded(step, || {
            self.observer.as_deref().map(tell);
            Ok(())
        })
    }

    /// Passes the reports on and refuses unsolved rows unless they are accepted.
    pub(super) fn solved(&self, rows: &Range<usize>, reports: &[Report]) -> Result<()> {
        if let Some(observer) = &self.observer {
            observer.solved(rows, reports);
        }
        let unsolved = || {
            rows.clone()
                .zip(reports)
                .filter(|(_, report)| !report.status.is_solved())
        };
        let not_finite = unsolved().filter(|(_, report)| report.status == Status::NotFinite);
        lock(&self.spoilt).extend(not_finite.map(|(row, _)| row));
        // `total_cmp` puts NaN above every number: no row is worse.
        match unsolved().max_by(|(_, a), (_, b)| a.residual.total_cmp(&b.residual)) {
            Some((_, &worst)) if !self.accepts_unsolved => Err(Error::Unsolved {
                rows: unsolved().map(|(row, _)| row).collect(),
                chunk: rows.clone(),
                worst,
            }),
            _ => Ok(()),
        }
    }

    /// Passes on that numbers of some of these rows, which had been solved, are not finite, and
    /// refuses them unless unsolved rows are accepted.
    pub(super) fn spoilt(&self, chunk: &Range<usize>, rows: &[usize]) -> Result<()> {
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::NotFinite,
        };
        for &row in rows {
            let is_new = lock(&self.spoilt).insert(row);
            if let Some(observer) = self.observer.as_ref().filter(|_| is_new) {
                observer.solved(&(row..row + 1), &[report]);
            }
        }
        if self.accepts_unsolved {
            return Ok(());
        }
        Err(Error::Unsolved {
            rows: rows.to_vec(),
            chunk: chunk.clone(),
            worst: report,
        })
    }
}

//! A progress bar, and what the solver had to say.

use std::{
    mem::Discriminant,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};
use influence_calculators::{Observer, Plan};
use influence_core::{
    Chunk,
    solver::{Report, Status},
};

use crate::error::complain;

const TEMPLATE: &str = "{msg} {wide_bar} {pos}/{len} chunks, {eta} left";

/// Watches a computation: shows a bar on a terminal, and collects reports of rows that did not simply converge.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    notable: Mutex<Notable>,
}

/// How often each notable status came, with the worst report.
type Notable = Vec<(Discriminant<Status>, usize, Report)>;

impl Progress {
    /// A bar with a title; nothing is drawn where stderr is no terminal.
    pub fn new(title: &'static str) -> Self {
        let style =
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style).with_message(title);
        Self {
            bar,
            notable: Mutex::default(),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints the warnings.
    pub fn complain(&self) {
        for warning in self.warnings() {
            complain(&format!("warning: {warning}"));
        }
    }

    /// One line for each status that rows ended with other than converged.
    pub fn warnings(&self) -> Vec<String> {
        let notable = self.notable.lock().unwrap_or_else(PoisonError::into_inner);
        notable
            .iter()
            .map(|(_, rows, worst)| format!("{rows} rows: {worst}"))
            .collect()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Observer for Progress {
    fn planned(&self, plan: &Plan, finished: usize) {
        self.bar.set_length(plan.grid().len() as u64);
        self.bar.set_position(finished as u64);
    }

    fn solved(&self, _rows: &Range<usize>, reports: &[Report]) {
        let mut notable = self.notable.lock().unwrap_or_else(PoisonError::into_inner);
        for report in reports
            .iter()
            .filter(|report| report.status != Status::Converged)
        {
            note(&mut notable, *report);
        }
    }

    fn chunk_done(&self, _chunk: &Chunk) {
        self.bar.inc(1);
    }
}

fn note(notable: &mut Notable, report: Report) {
    let kind = std::mem::discriminant(&report.status);
    match notable.iter_mut().find(|(known, ..)| *known == kind) {
        None => notable.push((kind, 1, report)),
        Some((_, rows, worst)) => {
            *rows += 1;
            if report.residual.total_cmp(&worst.residual).is_gt() {
                *worst = report;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_count_rows_and_show_the_worst() {
        let progress = Progress::new("testing");
        let report = |residual, status| Report {
            iterations: 0,
            residual,
            status,
        };
        progress.solved(
            &(0..2),
            &[
                report(0.1, Status::Breakdown),
                report(0.0, Status::Converged),
            ],
        );
        progress.solved(&(2..3), &[report(0.5, Status::Breakdown)]);
        let warnings = progress.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("2 rows: relative residual 5.0e-1"),
            "{}",
            warnings[0]
        );
    }
}

use std::mem::Discriminant;

use influence_core::solver::{Report, Status};

/// How often each status other than converged came, with the worst report.
#[derive(Debug, Default)]
pub(super) struct Notable(Vec<(Discriminant<Status>, usize, Report)>);

impl Notable {
    /// Counts the reports of rows that did not converge.
    pub(super) fn add(&mut self, reports: &[Report]) {
        let notable = |report: &&Report| report.status != Status::Converged;
        for report in reports.iter().filter(notable) {
            self.note(*report);
        }
    }

    fn note(&mut self, report: Report) {
        let kind = std::mem::discriminant(&report.status);
        match self.0.iter_mut().find(|(known, ..)| *known == kind) {
            None => self.0.push((kind, 1, report)),
            Some((_, rows, worst)) => {
                *rows += 1;
                if report.residual.total_cmp(&worst.residual).is_gt() {
                    *worst = report;
                }
            }
        }
    }

    /// One line for each status.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(_, rows, worst)| format!("{rows} rows: {worst}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_rows_and_show_the_worst() {
        let report = |residual, status| Report {
            iterations: 0,
            residual,
            status,
        };
        let mut notable = Notable::default();
        notable.add(&[
            report(0.1, Status::Breakdown),
            report(0.0, Status::Converged),
        ]);
        notable.add(&[report(0.5, Status::Breakdown)]);
        let lines = notable.lines();
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("2 rows: relative residual 5.0e-1"),
            "{}",
            lines[0]
        );
    }
}

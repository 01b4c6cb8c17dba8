//! Summaries and tables.

use std::io::Write;

use anyhow::Result;
use comfy_table::{CellAlignment, Row, Table, presets::ASCII_MARKDOWN};
use influence_calculators::{Plan, Share, SolveSummary};
use influence_jobs::{
    assessment::Assessment,
    config::{SourceSettings, method::Residual},
    job::Job,
    memory,
    queries::Stored,
};

/// The last line of a dry run.
pub(crate) const REHEARSED: &str =
    "dry run         all is checked; nothing was computed or written";

/// The summary of a run.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The quantity that was computed, and of which points.
    pub what: String,
    /// The share that was computed, of several, with what it holds.
    pub share: Option<String>,
    /// The processes that computed it together, and their threads, if they were several.
    pub processes: Option<String>,
    /// What was run.
    pub job: &'a Job,
    /// How good the model is.
    pub assessment: &'a Assessment,
    /// How the solver fared.
    pub solved: &'a SolveSummary,
    /// The phases with the seconds that each took.
    pub phases: &'a [(&'static str, f64)],
}

/// Prints a summary, a line for each number.
///
/// # Errors
/// When the writer fails.
pub fn print(summary: &Summary<'_>, out: &mut impl Write) -> Result<()> {
    let method = summary.job.config.method()?;
    let statuses: Vec<String> = summary
        .solved
        .rows_by_status()
        .iter()
        .map(|(status, rows)| format!("{rows} {status}"))
        .collect();
    writeln!(out, "{}, {} parameters", summary.what, summary.job.dim)?;
    if let Some(share) = &summary.share {
        writeln!(out, "share           {share}")?;
    }
    if let Some(processes) = &summary.processes {
        writeln!(out, "processes       {processes}")?;
    }
    summary.assessment.print(out)?;
    let curvature = method
        .curved()
        .map(|curved| format!("{} curvature", curved.curvature.name()));
    let segments = method.segments().map(SourceSettings::described);
    let name = method.name().as_str().to_owned();
    let parts = [Some(name), curvature, segments].into_iter().flatten();
    writeln!(
        out,
        "method          {}",
        parts.collect::<Vec<_>>().join(", ")
    )?;
    writeln!(out, "rows solved     {}", statuses.join(", "))?;
    let exact = method.curved().map(|curved| curved.residual) == Some(Residual::Exact);
    writeln!(
        out,
        "worst residual  {:.1e}{}",
        summary.solved.worst_residual(),
        if exact { ", of the exact matrix" } else { "" }
    )?;
    if let Some(lambda) = method.lambda_of_residuals() {
        let bound = summary.solved.worst_residual() / lambda;
        writeln!(
            out,
            "error, at most  {bound:.1e} times the lengths of both gradients, for an influence"
        )?;
    }
    writeln!(out, "seconds         {}", timings(summary.phases))?;
    if let Some(bytes) = memory::peak() {
        writeln!(out, "peak memory     {} MiB", bytes >> 20)?;
    }
    writeln!(
        out,
        "output          {}",
        summary.job.config.output.path.display()
    )?;
    Ok(())
}

/// What the rows and the columns of an output are.
pub(crate) fn called(stored: &Stored) -> [&'static str; 2] {
    let [test, train] = stored.are_groups();
    [
        if test { "test group" } else { "test point" },
        if train {
            "training group"
        } else {
            "training point"
        },
    ]
}

/// What a share computes, of a plan of its own.
pub(crate) fn of_share(share: Share, plan: &Plan) -> String {
    let (chunks, all) = (plan.chunks(), plan.grid().len());
    match chunks {
        0 => format!("{share}: nothing to compute, at most {}", with_work(plan)),
        _ => format!("{share}: {chunks} of {all} chunks"),
    }
}

/// How many shares can have something to compute.
pub(crate) fn with_work(plan: &Plan) -> String {
    match plan.most_shares() {
        1 => "1 share has work".into(),
        most => format!("{most} shares have work"),
    }
}

/// The seconds of all phases together, and of each.
pub fn timings(phases: &[(&'static str, f64)]) -> String {
    let total: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
    let each: Vec<String> = phases
        .iter()
        .map(|(phase, seconds)| format!("{phase} {seconds:.2}"))
        .collect();
    format!("{total:.2}: {}", each.join(", "))
}

/// A table with a heading for each column; all but the first `left` columns are numbers, aligned on
/// the right.
pub fn table<R: Into<Row>>(
    headings: impl Into<Row>,
    left: usize,
    rows: impl IntoIterator<Item = R>,
) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(headings);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(left) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number to three digits, with its sign.
pub fn signed(value: f64) -> String {
    let magnitude = value.abs();
    let whole = match magnitude {
        _ if value == 0.0 => return "0".into(),
        1e-3..10.0 => magnitude.log10().floor(),
        10.0..1e5 => magnitude.log10().floor().min(2.0),
        _ => return format!("{value:+.2e}"),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 5"
    )]
    let decimals = (2.0 - whole) as usize;
    format!("{value:+.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_summed_and_told_apart() {
        let text = timings(&[("check", 0.125), ("fit", 1.5), ("scores", 2.0)]);
        assert_eq!(text, "3.62: check 0.12, fit 1.50, scores 2.00");
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let text = table(["name", "share"], 1, [["a", "1 %"], ["b", "100 %"]]).to_string();
        assert!(text.contains("| a    |   1 % |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (17.4321, "+17.4"),
            (-0.001_234, "-0.00123"),
            (-9.5, "-9.50"),
            (12_345.6, "+12346"),
            (1.5e-7, "+1.50e-7"),
            (-2e9, "-2.00e9"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(signed(value), text);
        }
    }
}

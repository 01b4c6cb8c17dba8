//! Evaluations as tables and as listings.

use std::io::Write;

use anyhow::Result;
use influence_jobs::evaluation::{Best, Evaluation};
use serde_json::json;

use crate::{
    listing::{Column, ColumnType, Listing},
    report::evaluation::table::{Cells, about, cells},
    summary::table,
};

/// Prints a table for each study, with what was done above it.
pub(super) fn print(
    found: &[Evaluation],
    best: Option<&Best<'_>>,
    out: &mut dyn Write,
) -> Result<()> {
    for (place, evaluation) in found.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{:<15} {}", "study", evaluation.study)?;
        for (name, text) in about(evaluation) {
            writeln!(out, "{name:<15} {text}")?;
        }
        if let Some(Cells { headings, rows }) = cells(evaluation) {
            writeln!(out, "{}", table(headings, 2, rows))?;
        }
    }
    let Some(best) = best else { return Ok(()) };
    let damping = best
        .damping
        .map_or_else(String::new, |damping| format!(", damping {damping}"));
    writeln!(
        out,
        "\n{:<15} {}{damping}: lds {:.3} ± {:.3}",
        "best", best.name, best.score, best.error
    )?;
    writeln!(
        out,
        "{:<15} {}",
        "as good",
        match best.flat.as_slice() {
            [] | [_] => "no other damping of it is within one standard error".to_owned(),
            several => format!("within one standard error: {}", several.join(", ")),
        }
    )?;
    Ok(())
}

/// A record for each number.
pub(super) fn listing(found: &[Evaluation]) -> Listing<10> {
    let columns: [Column; 10] = [
        ("study", ColumnType::Text),
        ("method", ColumnType::Text),
        ("damping", ColumnType::Text),
        ("is_baseline", ColumnType::Text),
        ("statistic", ColumnType::Text),
        ("value", ColumnType::Number),
        ("low", ColumnType::Number),
        ("high", ColumnType::Number),
        ("error_over_test_points", ColumnType::Number),
        ("error_over_retrainings", ColumnType::Number),
    ];
    let findings = found.iter().flat_map(|evaluation| {
        evaluation
            .findings
            .iter()
            .map(|finding| (evaluation.study, finding))
    });
    let records = findings.flat_map(|(study, finding)| {
        finding.statistics.iter().map(move |one| {
            [
                json!(study),
                json!(finding.name),
                json!(finding.damping),
                json!(finding.is_baseline),
                json!(one.name),
                json!(one.interval.value),
                json!(one.interval.low),
                json!(one.interval.high),
                json!(one.error_over_test_points),
                json!(one.error_over_retrainings),
            ]
        })
    });
    Listing::new(columns, records)
}

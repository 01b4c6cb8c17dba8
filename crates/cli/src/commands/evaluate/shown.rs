//! Evaluations as tables and as listings.

use std::io::Write;

use anyhow::Result;
use influence_jobs::evaluation::{Best, Evaluation, Finding, Statistic};
use serde_json::{Value, json};

use crate::{
    listing::{Column, ColumnType, Listing},
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
        // Which points of which method is for programs.
        let told = evaluation
            .about
            .iter()
            .filter(|(name, _)| *name != "smallest");
        for (name, value) in told {
            about(name, value, out)?;
        }
        write_table(evaluation, out)?;
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

/// A line for a setting or a number, several for those that belong together.
fn about(name: &str, value: &Value, out: &mut dyn Write) -> Result<()> {
    let words = name.replace('_', " ");
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (name, value) in entries {
                about(name, value, out)?;
            }
        }
        Value::String(text) => writeln!(out, "{words:<15} {text}")?,
        Value::Number(number) if number.is_f64() => {
            writeln!(
                out,
                "{words:<15} {:.3}",
                number.as_f64().unwrap_or(f64::NAN)
            )?;
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            writeln!(out, "{words:<15} {}", values.join(", "))?;
        }
        other => writeln!(out, "{words:<15} {other}")?,
    }
    Ok(())
}

fn write_table(evaluation: &Evaluation, out: &mut dyn Write) -> Result<()> {
    let widest = evaluation
        .findings
        .iter()
        .max_by_key(|finding| finding.statistics.len());
    let Some(widest) = widest else { return Ok(()) };
    let names: Vec<&str> = widest
        .statistics
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    // The errors of one mean have columns; of several only the intervals are shown.
    let with_errors =
        matches!(widest.statistics.as_slice(), [only] if only.error_over_test_points.is_some());
    let mut headings = vec!["method".to_owned(), "damping".to_owned()];
    headings.extend(names.iter().map(|name| name.replace('_', " ")));
    if with_errors {
        headings.extend(["s.e. test points", "s.e. retrainings"].map(str::to_owned));
    }
    let rows = evaluation.findings.iter().map(|finding| {
        let mut row = vec![
            finding.name.clone(),
            finding.damping.clone().unwrap_or_else(|| "-".into()),
        ];
        row.extend(
            names
                .iter()
                .map(|name| statistic(finding, name).map_or_else(|| "-".into(), with_interval)),
        );
        if with_errors {
            let error = |error: Option<f64>| {
                error.map_or_else(|| "-".into(), |error| format!("{error:.3}"))
            };
            let only = &finding.statistics[0];
            row.extend([only.error_over_test_points, only.error_over_retrainings].map(error));
        }
        row
    });
    Ok(writeln!(out, "{}", table(headings, 2, rows))?)
}

fn statistic<'a>(finding: &'a Finding, name: &str) -> Option<&'a Statistic> {
    finding.statistics.iter().find(|one| one.name == name)
}

/// A number with its interval, to three decimals.
fn with_interval(statistic: &Statistic) -> String {
    let interval = &statistic.interval;
    format!(
        "{} [{}, {}]",
        short(interval.value),
        short(interval.low),
        short(interval.high)
    )
}

/// Three decimals, four where a correlation is nearly 1.
fn short(value: f64) -> String {
    if (0.995..1.0).contains(&value.abs()) {
        return format!("{value:.4}");
    }
    format!("{value:.3}")
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

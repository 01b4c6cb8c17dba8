use influence_jobs::evaluation::{Evaluation, Statistic};
use serde_json::Value;

/// A table as text.
#[derive(Debug)]
pub struct Cells {
    /// A heading for each column.
    pub headings: Vec<String>,
    /// A row for each method.
    pub rows: Vec<Vec<String>>,
}

/// The numbers of a study with their intervals; nothing where nothing was rated.
pub fn cells(evaluation: &Evaluation) -> Option<Cells> {
    let widest = evaluation
        .findings
        .iter()
        .max_by_key(|finding| finding.statistics.len())?;
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
    let none = || "-".to_owned();
    let rows = evaluation.findings.iter().map(|finding| {
        let damping = finding.damping.clone();
        let mut row = vec![finding.name.clone(), damping.unwrap_or_else(none)];
        let statistics = names.iter().map(|name| finding.statistic(name));
        row.extend(statistics.map(|one| one.map_or_else(none, with_interval)));
        if with_errors {
            let error = |error: Option<f64>| error.map_or_else(none, |error| format!("{error:.3}"));
            let only = &finding.statistics[0];
            row.extend([only.error_over_test_points, only.error_over_retrainings].map(error));
        }
        row
    });
    Some(Cells {
        headings,
        rows: rows.collect(),
    })
}

/// What was done, a line for each setting and number.
pub fn about(evaluation: &Evaluation) -> Vec<(String, String)> {
    let all = evaluation.about.iter();
    // Which points of which method is for programs.
    let told = all.filter(|(name, _)| *name != "smallest");
    told.flat_map(|(name, value)| lines(name, value)).collect()
}

/// A line for a setting or a number, several for those that belong together.
fn lines(name: &str, value: &Value) -> Vec<(String, String)> {
    let text = match value {
        Value::Null => return Vec::new(),
        Value::Object(entries) => {
            let entries = entries.iter();
            return entries
                .flat_map(|(name, value)| lines(name, value))
                .collect();
        }
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.3}", number.as_f64().unwrap_or(f64::NAN))
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            values.join(", ")
        }
        other => other.to_string(),
    };
    vec![(name.replace('_', " "), text)]
}

/// A number with its interval, to three decimals.
pub(super) fn with_interval(statistic: &Statistic) -> String {
    let interval = &statistic.interval;
    let [value, low, high] = [interval.value, interval.low, interval.high].map(short);
    format!("{value} [{low}, {high}]")
}

/// Three decimals, four where a correlation is nearly 1.
pub(super) fn short(value: f64) -> String {
    if (0.995..1.0).contains(&value.abs()) {
        return format!("{value:.4}");
    }
    let text = format!("{value:.3}");
    if text == "-0.000" {
        return "0.000".into();
    }
    text
}

use anyhow::Result;
use bytesize::ByteSize;
use influence_jobs::record::Record;
use maud::html;
use serde_json::Value;

use super::{super::solved::Solved, Page, Section, pairs, text};

impl Page<'_> {
    /// How well the systems were solved, where there were any.
    pub(super) fn solver(&self) -> Result<Option<Section>> {
        let section = |solved: &Solved| -> Result<Section> {
            let residuals = html! {
                "The residual of each test row, relative to its right-hand side."
            };
            let iterations = html! { "How many steps each test row took." };
            let body = html! {
                @if solved.is_exact() {
                    p { "Exactly, but for rounding: the largest relative residual is " (format!("{:.1e}", solved.worst())) "." }
                }
                (self.chart("residuals", &residuals)?)
                (self.chart("iterations", &iterations)?)
                div.scroll {
                    table {
                        thead { tr { th scope="col" { "status" } th scope="col" { "test rows" } } }
                        tbody { @for (status, rows) in &solved.rows { tr { th scope="row" { (status) } td { (rows) } } } }
                    }
                }
            };
            Ok(Section {
                id: "solver",
                short: "Solver",
                title: "How well the systems were solved",
                body,
            })
        };
        self.solved.as_ref().map(section).transpose()
    }

    /// What the run took, where that was recorded.
    pub(super) fn timings(&self) -> Result<Option<Section>> {
        let section = |record: &Record| -> Result<Section> {
            let caption = html! {
                "Seconds by phase."
                @if record.resumed { " The run went on with what an earlier one had left, whose time is not counted." }
            };
            Ok(Section {
                id: "timings",
                short: "Timings",
                title: "What it took",
                body: html! { (self.chart("timings", &caption)?) (pairs(taken(record))) },
            })
        };
        self.record.as_ref().map(section).transpose()
    }

    /// What the output says of itself.
    pub(super) fn settings(&self) -> Section {
        let facts = self.facts.iter().filter(|(name, _)| name != "digests");
        let facts = facts.map(|(name, value)| (name.as_str(), fact(value)));
        let body = html! {
            (pairs(facts))
            @if let Some(digests) = self.fact("digests") {
                details {
                    summary { "Digests of the files that it was made from" }
                    (pairs(digest_rows("", digests).iter().map(|(file, digest)| (file.as_str(), digest.clone()))))
                }
            }
        };
        Section {
            id: "settings",
            short: "Settings",
            title: "How it was made",
            body,
        }
    }
}

fn taken(record: &Record) -> Vec<(&'static str, String)> {
    let memory = record
        .peak_memory
        .map(|bytes| ByteSize::b(bytes as u64).to_string());
    let mut rows = vec![
        ("started", record.started.clone()),
        ("seconds", format!("{:.2}", record.seconds)),
        ("threads", record.threads.to_string()),
        ("processor cores", record.cores.to_string()),
        ("device", record.device.clone()),
    ];
    rows.extend(memory.map(|memory| ("peak memory", memory)));
    rows
}

/// A fact as it is read: numbers to four digits.
fn fact(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() => {
            let magnitude = number.abs();
            if number == 0.0 || (1e-3..1e6).contains(&magnitude) {
                let text = format!("{number:.4}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                format!("{number:.3e}")
            }
        }
        _ => text(value),
    }
}

/// The digest of each file, by the dotted key that names the file.
fn digest_rows(key: &str, digests: &Value) -> Vec<(String, String)> {
    let inner = |name: &str| match key {
        "" => name.to_owned(),
        key => format!("{key}.{name}"),
    };
    match digests {
        Value::Object(entries) => {
            let rows = entries.iter();
            rows.flat_map(|(name, value)| digest_rows(&inner(name), value))
                .collect()
        }
        Value::Array(values) => {
            let rows = values.iter().enumerate();
            rows.flat_map(|(index, value)| digest_rows(&inner(&index.to_string()), value))
                .collect()
        }
        value => vec![(key.to_owned(), text(value))],
    }
}

use anyhow::Result;
use bytesize::ByteSize;
use maud::html;

use super::{
    super::{solved::Solved, text},
    Page, Section, pairs,
};
use crate::record::Record;

impl Page<'_> {
    /// How well the systems were solved, where there were any.
    pub(super) fn solver(&self) -> Result<Option<Section>> {
        let section = |solved: &Solved| -> Result<Section> {
            let residuals = html! {
                "The residual of each test row, relative to its right-hand side. Direct methods and factors are exact but for rounding."
            };
            let iterations = html! { "How many steps each test row took." };
            let body = html! {
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
        let facts = self.facts.iter();
        let facts = facts.map(|(name, value)| (name.as_str(), text(value)));
        Section {
            id: "settings",
            short: "Settings",
            title: "How it was made",
            body: pairs(facts),
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

use maud::{Markup, html};
use serde_json::Value;

use super::{super::frame::breakable, Page, text};

impl Page<'_> {
    /// The most important facts, as far as they are known.
    pub(super) fn summary(&self) -> Markup {
        let facts = [
            ("Model", self.model.clone()),
            ("Points", self.sizes()),
            ("Method", self.method()),
            ("Damping", self.fact("damping").map(damping)),
            ("Negative influences", self.negative()),
            ("Test rows solved", self.converged()),
        ];
        let facts = facts.into_iter();
        let known = facts.filter_map(|(name, value)| Some((name, value?)));
        html! {
            dl.summary { @for (name, value) in known { div { dt { (name) } dd { (breakable(&value)) } } } }
        }
    }

    fn sizes(&self) -> Option<String> {
        let shape = self.fact("shape")?;
        let [test, train] = [0, 1].map(|side| {
            if self.grouped[side] {
                format!("{} groups of {}", shape[side], self.points[side])
            } else {
                shape[side].to_string()
            }
        });
        Some(format!("{train} training, {test} test"))
    }

    fn method(&self) -> Option<String> {
        let method = text(self.fact("method")?);
        Some(match self.fact("curvature") {
            Some(curvature) => format!("{method}, {} curvature", text(curvature)),
            None => method,
        })
    }

    fn negative(&self) -> Option<String> {
        let share = self.fact("negative")?.as_f64()?;
        Some(format!("{:.1} % of all pairs", 100.0 * share))
    }

    fn converged(&self) -> Option<String> {
        let rows = &self.solved.as_ref()?.rows;
        let all: u64 = rows.iter().map(|(_, rows)| rows).sum();
        let converged = rows.iter().find(|(status, _)| status == "converged");
        let converged = converged.map_or(0, |(_, rows)| *rows);
        Some(format!("{converged} of {all} converged"))
    }
}

/// A damping in few words: one for each block would be many.
fn damping(value: &Value) -> String {
    match value {
        Value::Object(table) => match table.get("relative") {
            Some(Value::Number(relative)) => format!("{relative} × mean eigenvalue"),
            _ => "by block".into(),
        },
        other => text(other),
    }
}

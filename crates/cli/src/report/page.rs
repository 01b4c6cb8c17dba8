//! The page of an output: who helped and who harmed, and how it was computed.

mod making;
mod numbers;
mod points;
mod summary;

use std::time::Instant;

use anyhow::Result;
use influence_jobs::{
    queries::{About, Opinion, Suspicion},
    record::Record,
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    charts::Chart,
    frame::{Section, contents, figure, framed, pairs},
    layers::LayerShares,
    pictures::Pictures,
    solved::Solved,
};

/// All that a page tells.
pub(super) struct Page<'a> {
    pub(super) name: String,
    /// What the rows and the columns are called.
    pub(super) called: [&'static str; 2],
    /// Whether they are groups of points.
    pub(super) grouped: [bool; 2],
    /// How many test and training points there are, whatever their groups.
    pub(super) points: [usize; 2],
    /// What the model is, if that is known.
    pub(super) model: Option<String>,
    pub(super) facts: Vec<(String, Value)>,
    /// The pairs below and above what is drawn of the distribution.
    pub(super) outside: [u64; 2],
    pub(super) charts: Vec<Chart>,
    pub(super) about: Option<&'a About<'a>>,
    pub(super) opinions: Vec<Opinion>,
    pub(super) suspicions: Vec<Suspicion>,
    pub(super) suspects: Vec<Vec<usize>>,
    pub(super) truth: Option<Vec<usize>>,
    pub(super) layers: Option<LayerShares>,
    pub(super) solved: Option<Solved>,
    pub(super) record: Option<Record>,
    pub(super) pictures: Pictures,
}

impl Page<'_> {
    pub(super) fn render(&self, started: Instant) -> Result<String> {
        let sections = self.sections()?;
        let title = format!("Influences: {}", self.name);
        Ok(framed(&title, &self.header(&sections), &sections, started))
    }

    fn header(&self, sections: &[Section]) -> Markup {
        html! {
            header {
                h1 { "Which training points made this model say this?" }
                p.lead {
                    "Influences in " code { (self.name) } ". Numbers are changes of the loss on the " (self.called[0]) " if the " (self.called[1]) " is left out, in "
                    (self.unit()) ": " strong.helpful { "positive is helpful" } ", " strong.harmful { "negative is harmful" }
                    ". In grey below, the raw influence, larger by the number of training points."
                }
                (self.summary())
                (contents(sections))
            }
        }
    }

    /// The unit of the losses.
    fn unit(&self) -> &'static str {
        let about = self.about.map(|about| about.test.predictions.unit());
        about.unwrap_or("units of the loss")
    }

    fn sections(&self) -> Result<Vec<Section>> {
        let mut sections = vec![self.test_points()];
        sections.extend(self.suspects()?);
        sections.push(self.distribution()?);
        sections.extend(self.layers()?);
        sections.extend(self.solver()?);
        sections.extend(self.timings()?);
        sections.push(self.settings());
        Ok(sections)
    }

    /// A chart with its caption, or nothing if there is none of that name.
    fn chart(&self, name: &str, caption: &Markup) -> Result<Markup> {
        let chart = self.charts.iter().find(|chart| chart.name == name);
        let figure = chart.map(|chart| figure(chart, caption));
        Ok(figure.transpose()?.unwrap_or_default())
    }

    /// What the output says of itself under a name.
    fn fact(&self, name: &str) -> Option<&Value> {
        let mut facts = self.facts.iter();
        facts.find_map(|(known, value)| (known == name).then_some(value))
    }
}

/// The text of a fact.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

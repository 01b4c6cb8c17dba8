//! The page, as HTML that needs neither a script nor a network.

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
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{charts::Chart, layers::LayerShares, pictures::Pictures, solved::Solved};

/// What every page of this program has near its beginning: such a file may be replaced.
pub(super) const MARK: &str = "<meta name=\"generator\" content=\"influence\">";

const STYLE: &str = include_str!("page.css");

/// All that a page tells.
pub(super) struct Page<'a> {
    pub(super) name: String,
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

/// A part of the page, with a place in its list of contents.
struct Section {
    id: &'static str,
    /// What the list of contents says.
    short: &'static str,
    title: &'static str,
    body: Markup,
}

impl Page<'_> {
    pub(super) fn render(&self, started: Instant) -> Result<String> {
        let sections = self.sections()?;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    (PreEscaped(MARK))
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "Influences: " (self.name) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.header(&sections))
                    main id="main" {
                        @for section in &sections { (section.render()) }
                    }
                    footer {
                        p { "Made by influence " (env!("CARGO_PKG_VERSION")) " in " (format!("{:.1}", started.elapsed().as_secs_f64())) " s." }
                    }
                }
            }
        };
        Ok(page.into_string())
    }

    fn header(&self, sections: &[Section]) -> Markup {
        html! {
            header {
                h1 { "Which training points made this model say this?" }
                p.lead {
                    "Influences in " code { (self.name) } ". Numbers are changes of the loss on the test point if the training point is left out, in "
                    (self.unit()) ": " strong.helpful { "positive is helpful" } ", " strong.harmful { "negative is harmful" }
                    ". In grey below, the raw influence, larger by the number of training points."
                }
                (self.summary())
                nav aria-label="Sections" {
                    ul { @for section in sections { li { a href={ "#" (section.id) } { (section.short) } } } }
                }
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
        let Some(chart) = self.charts.iter().find(|chart| chart.name == name) else {
            return Ok(html! {});
        };
        Ok(html! {
            figure.chart {
                div role="img" aria-label=(chart.alt) { (PreEscaped(chart.svg()?)) }
                figcaption { (caption) }
            }
        })
    }

    /// What the output says of itself under a name.
    fn fact(&self, name: &str) -> Option<&Value> {
        let mut facts = self.facts.iter();
        facts.find_map(|(known, value)| (known == name).then_some(value))
    }
}

impl Section {
    fn render(&self) -> Markup {
        let title = format!("{}-title", self.id);
        html! {
            section id=(self.id) aria-labelledby=(title) {
                h2 id=(title) { (self.title) }
                (self.body)
            }
        }
    }
}

/// A table of names and values.
fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! {
        div.scroll {
            table.facts {
                tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
            }
        }
    }
}

/// The text of a fact.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

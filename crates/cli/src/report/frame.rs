//! What every page is made of: HTML that needs neither a script nor a network.

use std::{fs, path::Path, time::Instant};

use anyhow::{Result, ensure};
use influence_jobs::output::check_file;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::Chart;

/// What every page of this program has near its beginning: such a file may be replaced.
const MARK: &str = "<meta name=\"generator\" content=\"influence\">";

const STYLE: &str = include_str!("page.css");

/// A part of a page, with a place in its list of contents.
pub(super) struct Section {
    pub(super) id: &'static str,
    /// What the list of contents says.
    pub(super) short: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
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

/// A whole page: its header and its sections.
pub(super) fn framed(
    title: &str,
    header: &Markup,
    sections: &[Section],
    started: Instant,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped(MARK))
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (header)
                main id="main" {
                    @for section in sections { (section.render()) }
                }
                footer {
                    p { "Made by influence " (env!("CARGO_PKG_VERSION")) " in " (format!("{:.1}", started.elapsed().as_secs_f64())) " s." }
                }
            }
        }
    };
    page.into_string()
}

/// The list of the sections.
pub(super) fn contents(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Sections" {
            ul { @for section in sections { li { a href={ "#" (section.id) } { (section.short) } } } }
        }
    }
}

/// A chart with its caption.
pub(super) fn figure(chart: &Chart, caption: &Markup) -> Result<Markup> {
    Ok(html! {
        figure.chart {
            div role="img" aria-label=(chart.alt) { (PreEscaped(chart.svg()?)) }
            figcaption { (caption) }
        }
    })
}

/// A table of names and values.
pub(super) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! {
        div.scroll {
            table.facts {
                tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
            }
        }
    }
}

/// A text that may break before the ending of a file.
pub(super) fn breakable(text: &str) -> Markup {
    let ending = text
        .find('.')
        .filter(|dot| text[dot + 1..].starts_with(|letter: char| letter.is_ascii_alphabetic()));
    let (name, ending) = text.split_at(ending.unwrap_or(text.len()));
    html! { (name) @if !ending.is_empty() { wbr; (ending) } }
}

/// Refuses a path at which no page can be written, or where there is a file that is not one of this
/// program.
pub(super) fn check(path: &Path) -> Result<()> {
    if path.exists() {
        let text = fs::read(path).unwrap_or_default();
        let start = String::from_utf8_lossy(&text[..text.len().min(512)]).into_owned();
        ensure!(
            start.contains(MARK),
            "{} exists and is not a report of this program; remove it, or choose another path with --html",
            path.display()
        );
    }
    check_file(path)
}

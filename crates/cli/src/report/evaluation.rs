mod captions;
mod figures;
mod label;
/// Evaluations as tables.
pub mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use influence_jobs::{
    config::Config,
    evaluation::{Evaluation, Finding},
    output::{check_files, write_whole},
};
use maud::{Markup, html};

use super::{
    charts::Chart,
    frame::{self, Section, breakable, contents, figure, framed, pairs},
    plots,
};
use crate::{args::PageArguments, listing::check_free};
use captions::{left_out, terms, title, what_is_done};
use figures::{Figure, FigureKind, figures};
use label::{Configured, Measured, damping};

/// An evaluation, with what it is of.
#[derive(Debug)]
pub struct EvaluationPage<'a> {
    /// The configuration, with its own method.
    pub config: &'a Config,
    /// How many parameters the model has.
    pub parameters: usize,
    /// How many test points were looked at, and how many training points there are.
    pub shape: [usize; 2],
    /// What the studies found.
    pub found: &'a [Evaluation],
    /// When the command began.
    pub started: Instant,
}

/// Refuses, before anything is computed, places at which no page and no charts can be written.
///
/// # Errors
/// When another file is in the way, or nothing can be written.
pub fn check(arguments: &PageArguments, overwrite: bool) -> Result<()> {
    if let Some(path) = &arguments.html {
        frame::check(path).context("--html")?;
    }
    let Some(folder) = &arguments.plots else {
        return Ok(());
    };
    check_files(folder).context("--plots")?;
    for path in pictures_in(folder)? {
        check_free(&path, overwrite).context("--plots")?;
    }
    Ok(())
}

/// The files of a folder that may be charts.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    paths.retain(|path| {
        let ending = path.extension();
        ending.is_some_and(|ending| ending == "svg" || ending == "png")
    });
    paths.sort();
    Ok(paths)
}

impl EvaluationPage<'_> {
    /// Writes the page and the charts that are asked for; says what was written.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, arguments: &PageArguments) -> Result<Vec<String>> {
        let measured = Measured::of(&self.config.model);
        let configured = Configured::of(self.config)?;
        let drawn: Vec<Vec<Figure>> = self
            .found
            .iter()
            .map(|evaluation| figures(evaluation, &measured, &configured))
            .collect();
        let mut written = Vec::new();
        if let Some(path) = &arguments.html {
            write_whole(path, self.render(&drawn)?.as_bytes())?;
            written.push(format!("wrote {}: open it in a browser", path.display()));
        }
        if let Some(folder) = &arguments.plots {
            let charts: Vec<&Chart> = drawn.iter().flatten().map(|drawn| &drawn.chart).collect();
            plots::write(folder, charts.iter().copied(), arguments.png)?;
            let (count, folder) = (charts.len(), folder.display());
            written.push(format!("wrote {count} charts to {folder}"));
        }
        Ok(written)
    }

    fn render(&self, drawn: &[Vec<Figure>]) -> Result<String> {
        let sections = self.found.iter().zip(drawn);
        let sections = sections.map(|(evaluation, figures)| section(evaluation, figures));
        let sections: Vec<Section> = sections.collect::<Result<_>>()?;
        let title = format!("Evaluation: {}", self.model());
        Ok(framed(
            &title,
            &self.header(&sections)?,
            &sections,
            self.started,
        ))
    }

    fn header(&self, sections: &[Section]) -> Result<Markup> {
        let [rows, points] = self.shape;
        let facts = [
            ("Model", Some(self.model())),
            ("Parameters", Some(self.parameters.to_string())),
            ("Points", Some(format!("{points} training, {rows} test"))),
            ("Method", Some(self.method()?)),
            (
                "Damping",
                Configured::of(self.config)?.damping.as_deref().map(damping),
            ),
            ("Seed", Some(self.config.seed.to_string())),
        ];
        let known = facts.into_iter();
        let known = known.filter_map(|(name, value)| Some((name, value?)));
        Ok(html! {
            header {
                h1 { "Do the influences predict what happens?" }
                p.lead {
                    "The claims of each method held against the model trained again, or changed as each study says. Every number has its 95 % interval. "
                    strong.helpful { "The best method is drawn in full colour" }
                    ", other methods in light colour, and what needs no influence in grey."
                }
                dl.summary { @for (name, value) in known { div { dt { (name) } dd { (breakable(&value)) } } } }
                @if let Some(left_out) = left_out(self.found) { p.note { (left_out) } }
                (contents(sections))
            }
        })
    }

    /// The file of the model, or how many there are.
    fn model(&self) -> String {
        let model = &self.config.model;
        let members = model.members();
        if members.len() > 1 {
            return format!("{} models", members.len());
        }
        let file = members
            .into_iter()
            .flatten()
            .next()
            .or(model.onnx.as_deref());
        let name = file.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn method(&self) -> Result<String> {
        let method = self.config.method()?;
        let name = method.name().as_str();
        Ok(match method.curved() {
            Some(curved) => format!("{name}, {} curvature", curved.curvature.name()),
            None => name.to_owned(),
        })
    }
}

/// A study: how the methods compare, predictions with what happened, curves, the table.
fn section(evaluation: &Evaluation, figures: &[Figure]) -> Result<Section> {
    let of = |kind: FigureKind| -> Result<Markup> {
        let drawn = figures.iter().filter(|drawn| drawn.kind == kind);
        let drawn: Vec<Markup> = drawn
            .map(|drawn| figure(&drawn.chart, &html! { (drawn.caption) }))
            .collect::<Result<_>>()?;
        Ok(html! { @for figure in &drawn { (figure) } })
    };
    let scatters = figures.iter();
    let scatters = scatters
        .filter(|drawn| drawn.kind == FigureKind::Scatter)
        .count();
    let facts = table::about(evaluation);
    let facts = facts.iter();
    let body = html! {
        p { (what_is_done(evaluation)) }
        p.note { (terms(evaluation)) }
        @if figures.is_empty() {
            p.note { "Nothing was rated, so that nothing is drawn." }
        }
        (of(FigureKind::Bars)?)
        (of(FigureKind::Curves)?)
        div class=[(scatters > 1).then_some("pictures")] { (of(FigureKind::Scatter)?) }
        (cells(evaluation))
        details {
            summary { "What was done" }
            (pairs(facts.map(|(name, value)| (name.as_str(), value.clone()))))
        }
    };
    let (short, title) = title(evaluation.study);
    Ok(Section {
        id: evaluation.study,
        short,
        title,
        body,
    })
}

/// The table of a study, with its best method in bold; no line ends within an interval.
fn cells(evaluation: &Evaluation) -> Markup {
    let Some(table::Cells { headings, rows }) = table::cells(evaluation) else {
        return html! {};
    };
    let best = evaluation.best().map(Finding::title);
    let rows = evaluation.findings.iter().zip(rows);
    let rows = rows.map(|(finding, row)| (Some(finding.title()) == best, row));
    html! {
        div.scroll {
            table.rated {
                thead { tr { @for heading in &headings { th scope="col" { (heading) } } } }
                tbody {
                    @for (is_best, row) in rows {
                        tr class=[is_best.then_some("best")] { @for cell in &row { td { (cell.replace(", ", ",\u{a0}")) } } }
                    }
                }
            }
        }
    }
}

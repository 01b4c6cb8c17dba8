//! `influence report`: one page that shows what was found, and opens without a network.

mod charts;
mod page;
mod picture;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use influence_calculators::ZarrField;
use influence_core::{
    FieldSource, Values,
    aggregate::{Histogram, Quantiles},
};
use serde_json::Value;

use super::{
    Stored,
    inspect::facts,
    mislabelled::{Suspicion, truth},
    points::{Points, select},
    top::{About, Opinion, opinions},
};
use crate::{args::ReportArguments, output::location, subject::Models};
use charts::Bins;
use page::Page;
use picture::Picture;

pub use picture::Size;

/// What every page of this program has near its beginning: such a file may be replaced.
const MARK: &str = "<meta name=\"generator\" content=\"influence\">";
/// Bins of a histogram.
const BINS: usize = 60;
/// Between these quantiles lie the bins.
const RANGE: [f64; 2] = [0.005, 0.995];
const ACCURACY: f64 = 1e-3;

/// Writes a page about an output.
///
/// # Errors
/// When the output is no plain matrix, is not complete, the data it was made from have changed, or another file is in the way.
pub fn run(arguments: &ReportArguments, models: &dyn Models, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let path = destination(arguments)?;
    let stored = Stored::open_plain(&arguments.output)?;
    stored.check_complete()?;
    let plan = stored.plan(&arguments.set, models)?;
    let about = plan.as_ref().map(About::read).transpose()?;
    let shown = match &about {
        Some(about) => about.predictions.by_loss(),
        None => (0..stored.influences.grid().shape()[0]).collect(),
    };
    let shown = select(&arguments.points, shown, arguments.show)?;
    let opinions = opinions(&stored, &shown, arguments.count)?;
    let own = arguments
        .own
        .as_deref()
        .map(own_influences)
        .transpose()
        .context("--self")?;
    let suspicions: Vec<Suspicion> = [Some(Suspicion::read(&stored)?), own]
        .into_iter()
        .flatten()
        .collect();
    let truth = arguments
        .truth
        .as_ref()
        .map(|path| truth(path, stored.influences.grid().shape()[1]))
        .transpose()
        .context("--truth")?;
    let suspects = suspicions.iter().map(|suspicion| {
        let mut order = suspicion.order();
        order.truncate(arguments.suspects);
        order
    });
    let suspects: Vec<Vec<usize>> = suspects.collect();
    let pictures = match (&about, plan.as_ref()) {
        (Some(about), Some(plan)) => {
            let size = Size::of(arguments.image, &plan.config.model, &plan.sample_shape)?;
            Pictures::draw(about, size, &opinions, &suspects)?
        }
        _ => Pictures::default(),
    };
    let page = Page {
        name: stored.shown(),
        facts: facts(&stored)?,
        distribution: distribution(&stored)?,
        residuals: residuals(&stored)?,
        about: about.as_ref(),
        opinions: &opinions,
        suspicions: &suspicions,
        suspects: &suspects,
        truth: truth.as_deref(),
        pictures,
    };
    let text = page.render(started)?;
    write(&path, &text)?;
    writeln!(out, "wrote {}: open it in a browser", path.display())?;
    Ok(())
}

fn own_influences(path: &Path) -> Result<Suspicion> {
    let stored = Stored::open(path)?;
    ensure!(
        stored.influences.array() == "self_influences",
        "{}: expected an output of `influence self`, got one of `{}`",
        stored.shown(),
        stored.influences.array()
    );
    Suspicion::read(&stored)
}

/// Where the page goes: beside the output, unless something else is said.
fn destination(arguments: &ReportArguments) -> Result<PathBuf> {
    let path = arguments
        .html
        .clone()
        .unwrap_or_else(|| arguments.output.with_extension("html"));
    if path.exists() {
        let text = fs::read(&path).unwrap_or_default();
        let start = String::from_utf8_lossy(&text[..text.len().min(512)]).into_owned();
        ensure!(
            start.contains(MARK),
            "{} exists and is no report of this program; remove it, or choose another path by --html",
            path.display()
        );
    }
    Ok(path)
}

/// Beside its place first, so that a page that was there stays whole.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("html.tmp");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| path.display().to_string())
}

/// How the influences are distributed, but for the tails.
fn distribution(stored: &Stored) -> Result<Bins> {
    let quantiles = stored
        .influences
        .compute(Quantiles::new(&RANGE, ACCURACY)?)?;
    let (lo, hi) = (quantiles[[0, 0]], quantiles[[0, 1]]);
    // Numbers that are all alike have a bin too.
    let margin = ((hi - lo) * 1e-3)
        .max(hi.abs().max(lo.abs()) * 1e-6)
        .max(f64::MIN_POSITIVE);
    let histogram = Histogram::uniform(lo - margin, hi + margin, BINS)?;
    let edges = histogram.edges().to_vec();
    let counts = stored.influences.compute(histogram)?;
    Ok(Bins {
        edges,
        counts: counts.bins.row(0).to_vec(),
        below: counts.below[0],
        above: counts.above[0],
    })
}

/// The relative residual with which each test row was solved, if rows were solved.
fn residuals(stored: &Stored) -> Result<Option<Vec<f64>>> {
    if stored.influences.attributes()["influence"]["factors"] != "solved" {
        return Ok(None);
    }
    let field = ZarrField::open(location(&stored.path)?, "solver_residual")?;
    match field.rows(0..field.shape()[0])? {
        Values::F64(values) => Ok(Some(values.into_iter().collect())),
        _ => Ok(None),
    }
}

/// The points that are shown, drawn where they are images.
#[derive(Debug, Default)]
struct Pictures {
    train: BTreeMap<usize, Picture>,
    test: BTreeMap<usize, Picture>,
}

impl Pictures {
    /// Draws every point that is shown, all in one scale of brightness.
    fn draw(
        about: &About<'_>,
        size: Option<Size>,
        opinions: &[Opinion],
        suspects: &[Vec<usize>],
    ) -> Result<Self> {
        let ranked = opinions
            .iter()
            .flat_map(|opinion| [&opinion.helpful, &opinion.harmful]);
        let ranked = ranked.flat_map(|ranking| &ranking.indices);
        let train = inputs(&about.train, ranked.chain(suspects.iter().flatten()))?;
        let test = inputs(&about.test, opinions.iter().map(|opinion| &opinion.test))?;
        let numbers = train.values().chain(test.values()).flatten();
        let range = numbers.fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], &value| {
            [lo.min(value), hi.max(value)]
        });
        let drawn = |inputs: BTreeMap<usize, Vec<f64>>| -> Result<BTreeMap<usize, Picture>> {
            let drawn = inputs
                .into_iter()
                .map(|(point, input)| Ok((point, Picture::new(&input, size, range)?)));
            drawn.collect()
        };
        Ok(Self {
            train: drawn(train)?,
            test: drawn(test)?,
        })
    }
}

fn inputs<'a>(
    points: &Points<'_>,
    wanted: impl Iterator<Item = &'a usize>,
) -> Result<BTreeMap<usize, Vec<f64>>> {
    let mut inputs = BTreeMap::new();
    for &point in wanted {
        if let Entry::Vacant(entry) = inputs.entry(point) {
            entry.insert(points.input(point)?);
        }
    }
    Ok(inputs)
}

/// The text of a fact.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

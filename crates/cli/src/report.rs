//! `influence report`: one page that shows what was found, and opens without a network.

mod charts;
/// The page of an evaluation.
pub mod evaluation;
mod frame;
mod layers;
mod page;
/// Inputs drawn as images.
pub mod picture;
mod pictures;
mod plots;
mod solved;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use influence_core::aggregate::{Histogram, Quantiles};
use influence_jobs::{
    job::Job,
    models::Models,
    output::{ORIGIN, write_whole},
    queries::{
        About, Evaluated, Stored, Suspicion, facts, opinions, select, self_influences, truth,
    },
    record::Record,
};

use crate::{args::ReportArguments, summary::called};
use charts::{Bins, Chart, edges};
use layers::LayerShares;
use page::Page;
use picture::Size;
use pictures::Pictures;
use solved::Solved;

/// Bins of a histogram.
const BINS: usize = 60;
/// Between these quantiles lie the bins.
const RANGE: [f64; 2] = [0.005, 0.995];
const ACCURACY: f64 = 1e-3;

/// Writes a page about an output, and on request its charts as files.
///
/// # Errors
/// When the output is no plain matrix, is not complete, the data it was made from have changed, or
/// another file is in the way.
pub fn run(arguments: &ReportArguments, models: &dyn Models, out: &mut impl Write) -> Result<()> {
    let started = Instant::now();
    let path = destination(arguments)?;
    plots::check(arguments)?;
    let stored = Stored::open_plain(&arguments.output)?;
    stored.check_complete()?;
    let job = stored.job(&arguments.set, models)?;
    let about = job.as_ref().map(About::read).transpose()?;
    let known = about.as_ref().zip(job.as_ref());
    let page = page(arguments, &stored, known)?;
    write_whole(&path, page.render(started)?.as_bytes())?;
    writeln!(out, "wrote {}: open it in a browser", path.display())?;
    if let (Some(job), None) = (&job, arguments.image)
        && Size::of(None, &job.config.model, &job.sample_shape)?.is_none()
        && let Some(size) = Size::guess(&job.sample_shape)
    {
        writeln!(out, "if inputs are images, --image {size} draws them")?;
    }
    if let Some(folder) = &arguments.plots {
        plots::write(folder, &page.charts, arguments.png)?;
        writeln!(
            out,
            "wrote {} charts to {}",
            page.charts.len(),
            folder.display()
        )?;
    }
    Ok(())
}

/// Reads and computes the contents of a page, with the points and the model if they are known.
fn page<'a>(
    arguments: &ReportArguments,
    stored: &Stored,
    known: Option<(&'a About<'a>, &Job)>,
) -> Result<Page<'a>> {
    let [k, n] = stored.influences.grid().shape();
    let about = known.map(|(about, _)| about);
    let shown = about.map_or_else(
        || (0..k).collect(),
        |about| about.test.predictions.by_loss(),
    );
    let test = about.map(|about| &about.test.points);
    let shown = select(&arguments.points, test, shown, arguments.show)?;
    let opinions = opinions(stored, &shown, arguments.count)?;
    let job = known.map(|(_, job)| job);
    let suspicions = suspicions(arguments, stored, job)?;
    let suspects = suspicions.iter();
    let suspects: Vec<Vec<usize>> = suspects
        .map(|suspicion| suspicion.first(arguments.suspects))
        .collect();
    let truth = arguments.truth.as_ref().map(|path| truth(path, n, job));
    let pictures = match known {
        Some((about, job)) => {
            let size = Size::of(arguments.image, &job.config.model, &job.sample_shape)?;
            Pictures::draw(about, size, &opinions, &suspects)?
        }
        None => Pictures::default(),
    };
    let layers = arguments.by_layer.as_ref();
    let layers = layers
        .map(|path| LayerShares::read(path, stored))
        .transpose();
    let bins = distribution(stored)?;
    let mut page = Page {
        name: stored.shown(),
        called: called(stored),
        grouped: stored.are_groups(),
        points: stored.points(),
        model: known.map(|(_, job)| model(stored, job)),
        facts: facts(stored)?,
        outside: [bins.below, bins.above],
        charts: Vec::new(),
        about,
        opinions,
        suspicions,
        suspects,
        truth: truth.transpose().context("--truth")?,
        layers: layers.context("--by-layer")?,
        solved: Solved::read(stored)?,
        record: Record::of(&stored.path),
        pictures,
    };
    page.charts = charts(bins, &page);
    Ok(page)
}

/// Every chart of a page.
fn charts(bins: Bins, page: &Page<'_>) -> Vec<Chart> {
    let mut charts: Vec<Chart> = page.suspicions.iter().map(plots::scores).collect();
    charts.push(plots::distribution(bins));
    charts.extend(page.layers.as_ref().map(plots::layers));
    charts.extend(page.solved.iter().flat_map(plots::solver));
    charts.extend(page.record.as_ref().map(plots::timings));
    charts
}

/// What the model is, in a few words.
fn model(stored: &Stored, job: &Job) -> String {
    let config = &stored.influences.attributes()[ORIGIN];
    // Of a network in a file, weights are what was put in its place.
    let model = &config["model"];
    let file = ["onnx", "weights"].map(|key| model[key].as_str());
    let file = file.into_iter().flatten().next().unwrap_or_default();
    let file = Path::new(file).file_name().unwrap_or_default();
    format!("{}, {} parameters", file.display(), job.dim)
}

/// Every ranking that is known: by loss, by the mean influence on the test points, by
/// self-influence.
fn suspicions(
    arguments: &ReportArguments,
    stored: &Stored,
    job: Option<&Job>,
) -> Result<Vec<Suspicion>> {
    // Groups of training points have no targets that could be wrong.
    let job = job.filter(|_| !stored.are_groups()[1]);
    let train = job.map(|job| Evaluated::read(&job.train, job));
    let losses = train.transpose()?;
    let losses = losses.map(|train| Suspicion::of_losses(&train.predictions.losses));
    let points = stored.influences.grid().shape()[1];
    let own = arguments.self_influences.as_deref();
    let own = own.map(|path| self_influences(path, points)).transpose();
    let all = [
        losses,
        own.context("--self")?,
        Some(Suspicion::read(stored)?),
    ];
    Ok(all.into_iter().flatten().collect())
}

/// Where the page goes: beside the output, unless something else is said.
fn destination(arguments: &ReportArguments) -> Result<PathBuf> {
    let path = arguments
        .html
        .clone()
        .unwrap_or_else(|| arguments.output.with_extension("html"));
    frame::check(&path).context("--html")?;
    Ok(path)
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
    let edges = edges(lo - margin, hi + margin, BINS);
    let counts = stored.influences.compute(Histogram::new(&edges)?)?;
    Ok(Bins {
        edges,
        counts: counts.bins.row(0).to_vec(),
        below: counts.below[0],
        above: counts.above[0],
    })
}

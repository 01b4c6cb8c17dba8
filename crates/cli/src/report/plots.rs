use std::{fs, path::Path};

use anyhow::{Context, Result};
use influence_jobs::{
    output::{check_files, write_whole},
    queries::{By, Suspicion},
    record::Record,
};

use super::{
    charts::{Bars, Bins, Chart, ChartKind, Dots, HistogramChart, NamedBar},
    layers::LayerShares,
    solved::Solved,
};
use crate::{args::ReportArguments, listing::check_free, summary::signed};

/// The names that charts may have.
const NAMES: [&str; 8] = [
    "distribution",
    "loss",
    "mean-influence",
    "self-influence",
    "layers",
    "residuals",
    "iterations",
    "timings",
];
/// Bins of the scores of training points.
const BINS: usize = 40;

/// The chart of all influences.
pub(super) fn distribution(bins: Bins) -> Chart {
    let ends = [bins.edges[0], bins.edges[bins.edges.len() - 1]].map(signed);
    let [lo, hi] = ends;
    Chart {
        name: "distribution".into(),
        alt: format!("Histogram of the influences between {lo} and {hi}"),
        kind: ChartKind::Histogram(HistogramChart {
            bins,
            axes: ["influence", "pairs"],
        }),
    }
}

/// The chart of a score of the training points.
pub(super) fn scores(suspicion: &Suspicion) -> Chart {
    let (name, what) = match suspicion.by {
        By::Loss => ("loss", "loss of a training point"),
        By::SelfInfluence => ("self-influence", "self-influence of a training point"),
        By::Mean => (
            "mean-influence",
            "mean influence of a training point on the test points",
        ),
    };
    let bins = Bins::of(&suspicion.scores.to_vec(), BINS);
    Chart {
        name: name.into(),
        alt: format!("Histogram of the {what}"),
        kind: ChartKind::Histogram(HistogramChart {
            bins,
            axes: [what, "points"],
        }),
    }
}

/// The charts of how rows were solved.
pub(super) fn solver(solved: &Solved) -> Vec<Chart> {
    let dots = |name: &str, values: &[f64], what, logarithmic| Chart {
        name: name.into(),
        alt: format!("The {what} of each test point"),
        kind: ChartKind::Dots(Dots {
            values: values.to_vec(),
            what,
            logarithmic,
        }),
    };
    let mut charts = Vec::new();
    if !solved.is_exact() {
        charts.push(dots(
            "residuals",
            &solved.residuals,
            "relative residual",
            true,
        ));
    }
    if solved.is_iterative() {
        charts.push(dots("iterations", &solved.iterations, "iterations", false));
    }
    charts
}

/// The chart of the share of each block.
pub(super) fn layers(layers: &LayerShares) -> Chart {
    let shares = layers.names.iter().cloned().zip(layers.shares());
    bars(
        "layers",
        shares.collect(),
        "share of all influence",
        percent,
    )
}

/// The chart of the time of each phase.
pub(super) fn timings(record: &Record) -> Chart {
    let phases = record.phases.iter();
    let phases = phases.map(|phase| (phase.phase.clone(), phase.seconds));
    bars("timings", phases.collect(), "seconds", |value| {
        format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    })
}

fn bars(name: &str, bars: Vec<(String, f64)>, what: &str, label: fn(f64) -> String) -> Chart {
    let told: Vec<String> = bars
        .iter()
        .map(|(name, value)| format!("{name} {}", label(*value)))
        .collect();
    let rows = bars
        .into_iter()
        .map(|(name, value)| NamedBar::plain(name, value));
    Chart {
        name: name.into(),
        alt: format!("Bars of the {what}: {}", told.join(", ")),
        kind: ChartKind::Bars(Bars {
            rows: rows.collect(),
            what: what.into(),
            label,
            line: None,
        }),
    }
}

/// A share as it is read.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = usize::from(percent < 10.0 && percent > 0.0);
    format!("{percent:.digits$} %")
}

/// Refuses a folder in which something is in the way of charts.
pub(super) fn check(arguments: &ReportArguments) -> Result<()> {
    let Some(folder) = &arguments.plots else {
        return Ok(());
    };
    check_files(folder).context("--plots")?;
    for name in NAMES {
        for ending in ["svg", "png"] {
            let path = folder.join(name).with_extension(ending);
            check_free(&path, arguments.overwrite).context("--plots")?;
        }
    }
    Ok(())
}

/// Writes every chart to its own file.
pub(super) fn write<'a>(
    folder: &Path,
    charts: impl IntoIterator<Item = &'a Chart>,
    png: bool,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for chart in charts {
        let path = folder.join(&chart.name);
        write_whole(&path.with_extension("svg"), chart.svg_file()?.as_bytes())?;
        if png {
            write_whole(&path.with_extension("png"), &chart.png()?)?;
        }
    }
    Ok(())
}

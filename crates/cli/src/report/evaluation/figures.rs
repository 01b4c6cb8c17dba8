//! The charts of a study, each with its caption.

use influence_jobs::evaluation::{Evaluation, Finding, Scatter, ScatterOf};

use super::{
    super::charts::{Bars, Chart, ChartKind, Curve, Curves, NamedBar, ScatterChart, Shade},
    captions::{axes_of_curve, axis, capitalised},
    label::{Configured, Measured, label, number, slug},
    table::{short, with_interval},
};

/// A chart with what is said below it.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) kind: FigureKind,
    pub(super) chart: Chart,
    pub(super) caption: String,
}

/// What a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FigureKind {
    /// How methods compare.
    Bars,
    /// Predictions with what happened.
    Scatter,
    /// What was found, over how much was done.
    Curves,
}

/// All charts of a study; none where nothing was rated.
pub(super) fn figures(
    evaluation: &Evaluation,
    measured: &Measured,
    configured: &Configured,
) -> Vec<Figure> {
    let mut figures: Vec<Figure> = bars(evaluation, configured).into_iter().collect();
    figures.extend(curves(evaluation, configured.name));
    figures.extend(scatters(evaluation, measured, configured.name));
    figures
}

/// The main statistic of all methods and baselines.
fn bars(evaluation: &Evaluation, configured: &Configured) -> Option<Figure> {
    let statistic = evaluation.main_statistic()?;
    let best = evaluation.best();
    let rows = named_bars(evaluation, statistic);
    let what = axis(evaluation.study, statistic);
    // Changes of losses may be small, scores are not.
    let written = match evaluation.study {
        "removal" | "tail-patch" => number,
        _ => short,
    };
    let told: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row.name, written(row.value)))
        .collect();
    let missing = rows.iter().filter(|row| !row.value.is_finite()).count();
    let ceiling = ceiling(evaluation);
    let caption = [
        best.map(|best| best_and_configured(best, evaluation, configured)),
        better_baselines(evaluation, statistic),
        Some("Thin lines are 95 % intervals.".into()),
        ceiling_caption(evaluation, ceiling),
        (missing > 0).then(|| format!("{missing} have no number, hence no bar.")),
    ];
    Some(Figure {
        kind: FigureKind::Bars,
        chart: Chart {
            name: evaluation.study.to_owned(),
            alt: format!("{}: {}", capitalised(&what), told.join(", ")),
            kind: ChartKind::Bars(Bars {
                rows,
                what,
                label: written,
                line: ceiling.map(|ceiling| (format!("ceiling {}", short(ceiling)), ceiling)),
            }),
        },
        caption: sentences(caption),
    })
}

/// A bar for each finding: the best method in full colour, baselines in grey.
fn named_bars(evaluation: &Evaluation, statistic: &str) -> Vec<NamedBar> {
    let best = evaluation.best();
    let bar = |finding: &Finding| {
        let interval = finding.statistic(statistic)?.interval;
        let is_best = best.is_some_and(|best| std::ptr::eq(best, finding));
        Some(NamedBar {
            name: label(finding),
            value: interval.value,
            interval: Some([interval.low, interval.high]),
            shade: if is_best {
                Shade::Strong
            } else if finding.is_baseline {
                Shade::Grey
            } else {
                Shade::Light
            },
        })
    };
    ordered(evaluation).into_iter().filter_map(bar).collect()
}

fn best_and_configured(best: &Finding, evaluation: &Evaluation, configured: &Configured) -> String {
    let mut findings = evaluation.findings.iter();
    let known = findings.find(|finding| configured.is(finding));
    match known {
        Some(known) if std::ptr::eq(known, best) => {
            format!("The best method is {}, as configured.", label(best))
        }
        Some(known) => format!(
            "The best method is {}; the configuration has {}.",
            label(best),
            label(known)
        ),
        None => format!("The best method is {}.", label(best)),
    }
}

/// Says which baselines beat the best method.
fn better_baselines(evaluation: &Evaluation, statistic: &str) -> Option<String> {
    let value = |finding: &Finding| Some(finding.statistic(statistic)?.interval.value);
    let best = value(evaluation.best()?)?;
    let better = evaluation
        .findings
        .iter()
        .filter(|it| it.is_baseline && value(it).is_some_and(|value| value > best));
    let names: Vec<&str> = better.map(|finding| finding.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("Baselines that are ahead of it: {}.", names.join("; ")))
}

/// Methods before baselines, and the dampings of a method beside each other.
fn ordered(evaluation: &Evaluation) -> Vec<&Finding> {
    let findings = &evaluation.findings;
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by_key(|finding| {
        let first = findings.iter().position(|other| other.name == finding.name);
        (finding.is_baseline, first)
    });
    ordered
}

/// What a perfect prediction can be expected to score, where seeds were compared.
fn ceiling(evaluation: &Evaluation) -> Option<f64> {
    evaluation.about.get("ceiling")?.get("ceiling")?.as_f64()
}

fn ceiling_caption(evaluation: &Evaluation, ceiling: Option<f64>) -> Option<String> {
    if !evaluation.about.contains_key("ceiling") {
        return None;
    }
    let said = match ceiling {
        Some(_) => {
            "The dashed line is the most that a perfect prediction can score, since trainings from other seeds differ."
        }
        None => "The ceiling is not known: it takes two seeds or more.",
    };
    Some(said.into())
}

/// Predictions of each method, of one damping, with what happened; where they are of single test
/// points, those of the best method alone.
fn scatters(evaluation: &Evaluation, measured: &Measured, first: &str) -> Vec<Figure> {
    let shown = match evaluation.study {
        "lds" => evaluation.best().into_iter().collect(),
        _ => evaluation.one_per_method(first),
    };
    let drawn = shown.into_iter().flat_map(|finding| {
        let scatters = finding.scatters.iter();
        scatters.map(move |scatter| scatter_chart(evaluation.study, finding, scatter, measured))
    });
    drawn.collect()
}

fn scatter_chart(study: &str, finding: &Finding, scatter: &Scatter, measured: &Measured) -> Figure {
    let (name, up, about) = match scatter.of {
        ScatterOf::Pooled => (
            format!("{study}-scatter-{}", slug(finding)),
            measured.axis("actual change of the"),
            format!("all test points by {}", label(finding)),
        ),
        ScatterOf::TestPoint { row, .. } => (
            format!("{study}-test-point-{row}"),
            measured.axis("actual"),
            format!("test point {row} by {}", label(finding)),
        ),
    };
    let (shown, all) = (scatter.pairs.len(), scatter.all);
    let is_finite = |pair: &&[f64; 2]| pair.iter().all(|value| value.is_finite());
    let missing = shown - scatter.pairs.iter().filter(is_finite).count();
    let caption = [
        Some(format!("{}.", capitalised(&about))),
        Some(agreement(finding, scatter)),
        (shown < all).then(|| format!("{shown} of {all} pairs, drawn at random.")),
        (missing > 0).then(|| format!("{missing} are not finite and have no dot.")),
        matches!(scatter.of, ScatterOf::Pooled)
            .then(|| "On the dashed line, predictions are right.".into()),
    ];
    Figure {
        kind: FigureKind::Scatter,
        chart: Chart {
            name,
            alt: format!("Predicted and actual {}, {about}", measured.name),
            kind: ChartKind::Scatter(ScatterChart {
                pairs: scatter.pairs.clone(),
                axes: [measured.axis("predicted change of the"), up],
                diagonal: scatter.of == ScatterOf::Pooled,
            }),
        },
        caption: sentences(caption),
    }
}

/// How well the pairs of a scatter agree.
fn agreement(finding: &Finding, scatter: &Scatter) -> String {
    if let ScatterOf::TestPoint { spearman, .. } = scatter.of {
        return format!("Spearman's correlation {spearman:.3}.");
    }
    let known = [("Pearson", "pooled_pearson"), ("slope", "pooled_slope")];
    let known = known.into_iter().filter_map(|(name, key)| {
        let statistic = finding.statistic(key)?;
        Some(format!("{name} {}", with_interval(statistic)))
    });
    format!("{}.", known.collect::<Vec<_>>().join(", "))
}

/// The curves of each method, of one damping, and of the baselines.
fn curves(evaluation: &Evaluation, first: &str) -> Option<Figure> {
    let baselines = evaluation.findings.iter().filter(|it| it.is_baseline);
    let shown = evaluation
        .one_per_method(first)
        .into_iter()
        .chain(baselines);
    let shown = shown.filter(|finding| !finding.curve.is_empty());
    let is_flip = evaluation.study == "flip";
    let curves: Vec<Curve> = shown.map(|finding| curve(finding, !is_flip)).collect();
    if curves.is_empty() {
        return None;
    }
    let axes = axes_of_curve(evaluation.study);
    let caption = [
        Some("Baselines are thin and dashed.".into()),
        Some(if is_flip {
            "The straight line is what a random order finds.".into()
        } else {
            "Bars are 95 % intervals, side by side at each number of points; those of baselines are in the table.".into()
        }),
    ];
    Some(Figure {
        kind: FigureKind::Curves,
        chart: Chart {
            name: format!("{}-curve", evaluation.study),
            alt: format!("{} by {}", capitalised(&axes[1]), axes[0]),
            kind: ChartKind::Curves(Curves {
                each: curves,
                axes,
                line: is_flip.then_some([[0.0, 0.0], [1.0, 1.0]]),
            }),
        },
        caption: sentences(caption),
    })
}

/// A curve; one of removals begins where nothing is removed and nothing changes.
fn curve(finding: &Finding, from_nothing: bool) -> Curve {
    let origin = from_nothing.then_some([0.0, 0.0]);
    let points = finding.curve.iter().map(|point| [point.at, point.value]);
    let intervals = finding.curve.iter().filter_map(|point| {
        let [low, high] = point.interval?;
        Some([point.at, low, high])
    });
    Curve {
        name: label(finding),
        points: origin.into_iter().chain(points).collect(),
        intervals: intervals.collect(),
        faint: finding.is_baseline,
    }
}

fn sentences<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;

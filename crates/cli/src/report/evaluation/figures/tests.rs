use influence_jobs::evaluation::{CurvePoint, Statistic, statistics::Interval};
use serde_json::{Map, json};

use super::*;

const MEASURED: Measured = Measured {
    name: "loss",
    unit: " (nats)",
};

fn finding(name: &str, damping: Option<&str>, value: f64) -> Finding {
    let interval = Interval {
        value,
        low: value - 0.125,
        high: value + 0.125,
    };
    Finding {
        name: name.into(),
        damping: damping.map(str::to_owned),
        is_baseline: damping.is_none(),
        statistics: vec![Statistic {
            name: "pooled_pearson".into(),
            interval,
            error_over_test_points: None,
            error_over_retrainings: None,
        }],
        curve: Vec::new(),
        scatters: vec![Scatter {
            of: ScatterOf::Pooled,
            pairs: vec![[0.5, 0.25], [f64::NAN, 1.0]],
            all: 9,
        }],
    }
}

fn evaluation(study: &'static str) -> Evaluation {
    Evaluation {
        study,
        about: Map::from_iter([("ceiling".to_owned(), json!(null))]),
        findings: vec![
            finding("kfac", Some("1"), f64::NAN),
            finding("cg", Some("1"), 0.5),
            finding("cg", Some("{ relative = 0.1 }"), 0.75),
            finding("same label", None, 0.875),
        ],
    }
}

fn configured() -> Configured {
    Configured {
        name: "cg",
        damping: Some("1".into()),
    }
}

#[test]
fn bars_have_the_numbers_and_captions_what_is_to_be_known_of_them() {
    let figures = figures(&evaluation("loo"), &MEASURED, &configured());
    let ChartKind::Bars(bars) = &figures[0].chart.kind else {
        panic!("bars first");
    };
    let rows: Vec<_> = bars.rows.iter().skip(1).collect();
    let got: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.value, row.shade))
        .collect();
    assert_eq!(
        got,
        [
            ("cg, λ = 1", 0.5, Shade::Light),
            ("cg, λ = 0.1 × mean", 0.75, Shade::Strong),
            ("same label", 0.875, Shade::Grey),
        ]
    );
    assert_eq!(rows[0].interval, Some([0.375, 0.625]));
    for part in [
        "The best method is cg, λ = 0.1 × mean; the configuration has cg, λ = 1.",
        "Baselines that are ahead of it: same label.",
        "The ceiling is not known",
        "1 have no number",
    ] {
        assert!(figures[0].caption.contains(part), "{}", figures[0].caption);
    }
}

#[test]
fn scatters_are_of_one_damping_and_the_configured_method_is_first() {
    let figures = figures(&evaluation("loo"), &MEASURED, &configured());
    let scatters: Vec<&Figure> = figures.iter().skip(1).collect();
    // Of the method without a number there is nothing to choose.
    assert_eq!(scatters.len(), 1);
    let ChartKind::Scatter(chart) = &scatters[0].chart.kind else {
        panic!("a scatter");
    };
    assert_eq!(chart.pairs[..1], [[0.5, 0.25]]);
    assert_eq!(chart.axes[0], "predicted change of the loss (nats)");
    for part in [
        "All test points by cg, λ = 0.1 × mean.",
        "Pearson 0.750 [0.625, 0.875].",
        "2 of 9 pairs, drawn at random.",
        "1 are not finite",
    ] {
        assert!(
            scatters[0].caption.contains(part),
            "{}",
            scatters[0].caption
        );
    }
}

#[test]
fn curves_of_removals_begin_at_nothing() {
    let mut evaluation = evaluation("removal");
    evaluation.findings[1].curve = vec![CurvePoint {
        at: 20.0,
        value: 0.25,
        interval: Some([0.125, 0.5]),
    }];
    evaluation.findings.truncate(2);
    let figures = figures(&evaluation, &MEASURED, &configured());
    let drawn = figures
        .iter()
        .find(|drawn| drawn.kind == FigureKind::Curves);
    let ChartKind::Curves(chart) = &drawn.expect("curves").chart.kind else {
        panic!("curves");
    };
    assert_eq!(chart.each[0].points, [[0.0, 0.0], [20.0, 0.25]]);
    assert_eq!(chart.each[0].intervals, [[20.0, 0.125, 0.5]]);
    assert!(chart.line.is_none());
}

#[test]
fn of_nothing_that_was_rated_nothing_is_drawn() {
    let nothing = Evaluation {
        findings: Vec::new(),
        ..evaluation("lds")
    };
    assert!(figures(&nothing, &MEASURED, &configured()).is_empty());
}

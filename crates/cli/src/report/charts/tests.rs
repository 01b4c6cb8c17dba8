use plotters::style::RGBColor;

use super::{
    drawing::{HELPFUL, around},
    *,
};

fn examples() -> Vec<Chart> {
    let chart = |name: &str, kind| Chart {
        name: name.into(),
        alt: format!("A chart: {name}"),
        kind,
    };
    let dots = |what, logarithmic| {
        ChartKind::Dots(Dots {
            values: vec![3.0, 0.5, f64::NAN, 0.0, 7.0],
            what,
            logarithmic,
        })
    };
    let bar = |name: &str, value, interval, shade| NamedBar {
        name: name.into(),
        value,
        interval: Some(interval),
        shade,
    };
    let curve = |name: &str, faint| Curve {
        name: name.into(),
        points: vec![[0.0, 0.0], [5.0, 0.5], [f64::NAN, 1.0], [10.0, 0.75]],
        intervals: vec![[5.0, 0.25, 0.625], [10.0, 0.5, f64::INFINITY]],
        faint,
    };
    vec![
        chart(
            "histogram",
            ChartKind::Histogram(HistogramChart {
                bins: Bins::of(&[-2.0, -1.0, 0.5, 3.0, 3.0], 10),
                axes: ["influence", "pairs"],
            }),
        ),
        chart("logarithmic", dots("relative residual", true)),
        chart("linear", dots("iterations", false)),
        chart(
            "bars",
            ChartKind::Bars(Bars {
                rows: vec![
                    bar("first", 0.75, [0.5, 1.0], Shade::Strong),
                    bar("second", -0.25, [-0.5, f64::NAN], Shade::Light),
                    bar("none", f64::NAN, [f64::NAN; 2], Shade::Grey),
                    NamedBar::plain(
                        "a name that is longer than there is any room for".into(),
                        0.25,
                    ),
                ],
                what: "share".into(),
                label: |value| format!("{value:.2}"),
                line: Some(("ceiling".into(), 0.875)),
            }),
        ),
        chart(
            "scatter",
            ChartKind::Scatter(ScatterChart {
                pairs: vec![[0.5, 0.25], [-1.0, f64::NAN], [-0.5, -0.75], [0.0, 0.0]],
                axes: ["predicted", "actual"].map(str::to_owned),
                diagonal: true,
            }),
        ),
        chart(
            "curves",
            ChartKind::Curves(Curves {
                each: vec![curve("direct", false), curve("random", true)],
                axes: ["removed", "rise"].map(str::to_owned),
                line: Some([[0.0, 0.0], [10.0, 1.0]]),
            }),
        ),
    ]
}

#[test]
fn files_of_either_kind_show_the_same() -> Result<()> {
    for chart in examples() {
        let image = image::load_from_memory(&chart.png()?)?.to_rgb8();
        let size = (FINE * WIDTH, FINE * (chart.height() + TITLE));
        assert_eq!(image.dimensions(), size, "{}", chart.name);
        let count = |wanted: RGBColor| {
            let pixels = image.pixels();
            pixels
                .filter(|pixel| pixel.0 == [wanted.0, wanted.1, wanted.2])
                .count()
        };
        // Dots of a scatter let others through.
        if chart.name != "scatter" {
            assert!(count(HELPFUL) > 50, "{}: {}", chart.name, count(HELPFUL));
        }
        assert!(count(WHITE) > image.pixels().len() / 4, "{}", chart.name);
        // The title lies above, text below: nothing else is drawn there.
        let head = image
            .enumerate_pixels()
            .filter(|(_, y, _)| *y < FINE * TITLE);
        let dark = head.filter(|(.., pixel)| pixel.0.iter().all(|&level| level < 110));
        assert!(dark.count() > 100, "{}: title", chart.name);
        let foot = image
            .enumerate_pixels()
            .filter(|(_, y, _)| *y > size.1 - FINE * 30);
        let dark = foot.filter(|(.., pixel)| pixel.0.iter().all(|&level| level < 110));
        assert!(dark.count() > 100, "{}: text of the axis", chart.name);
    }
    Ok(())
}

#[test]
fn svg_has_the_names_of_the_axes() -> Result<()> {
    let words = [
        ["influence", "pairs"],
        ["test point, by row", "relative residual"],
        ["test point, by row", "iterations"],
        ["share", "a name that is longer than there is any …"],
        ["predicted", "actual"],
        ["removed", "rise"],
    ];
    for (chart, words) in examples().iter().zip(words) {
        let (within, file) = (chart.svg()?, chart.svg_file()?);
        for word in words {
            assert!(within.contains(word) && file.contains(word), "{word}");
        }
        assert!(file.contains("A chart") && !within.contains("A chart"));
        assert!(
            !within.contains("NaN") && !within.contains("\"inf"),
            "{}",
            chart.name
        );
        // A page has paper of its own.
        assert!(file.contains("#FFFFFF") && !within.contains("#FFFFFF"));
    }
    Ok(())
}

#[test]
fn no_bin_has_numbers_of_either_sign() {
    let values = [-2.0, -0.01, 0.0, 0.01, 3.0, 3.0];
    let bins = Bins::of(&values, 7);
    assert!(bins.edges.contains(&0.0), "{:?}", bins.edges);
    let below = bins.edges.partition_point(|&edge| edge < 0.0);
    assert_eq!(bins.counts[..below].iter().sum::<u64>(), 2);
    assert_eq!(bins.counts.iter().sum::<u64>(), 6);
    assert!(bins.edges[0] <= -2.0 && bins.edges[bins.counts.len()] >= 3.0);
    assert!((7..=9).contains(&bins.counts.len()));
    let positive = Bins::of(&[1.0, 2.0], 4);
    assert_eq!(positive.edges, [1.0, 1.25, 1.5, 1.75, 2.0]);
    assert_eq!(positive.counts, [1, 0, 0, 1]);
}

#[test]
fn charts_of_nothing_much_can_be_drawn() -> Result<()> {
    let bars = |rows| {
        ChartKind::Bars(Bars {
            rows,
            what: String::new(),
            label: |value| value.to_string(),
            line: None,
        })
    };
    let axes = || [String::new(), String::new()];
    let scatter = |pairs| {
        ChartKind::Scatter(ScatterChart {
            pairs,
            axes: axes(),
            diagonal: true,
        })
    };
    let curves = |curves| {
        ChartKind::Curves(Curves {
            each: curves,
            axes: axes(),
            line: None,
        })
    };
    let kinds = [
        ChartKind::Histogram(HistogramChart {
            bins: Bins::of(&[0.0], 3),
            axes: ["", ""],
        }),
        ChartKind::Dots(Dots {
            values: vec![0.0],
            what: "",
            logarithmic: true,
        }),
        ChartKind::Dots(Dots {
            values: Vec::new(),
            what: "",
            logarithmic: false,
        }),
        bars(vec![NamedBar::plain("one".into(), 0.0)]),
        bars(vec![NamedBar::plain("one".into(), f64::NAN)]),
        bars(Vec::new()),
        scatter(vec![[3.0, 0.0]]),
        scatter(vec![[f64::NAN, f64::INFINITY]]),
        curves(vec![Curve {
            name: String::new(),
            points: vec![[1.0, 1.0]],
            intervals: Vec::new(),
            faint: true,
        }]),
        curves(Vec::new()),
    ];
    for kind in kinds {
        let chart = Chart {
            name: "chart".into(),
            alt: String::new(),
            kind,
        };
        chart.svg()?;
        chart.png()?;
    }
    Ok(())
}

/// Numbers `name="…"` of elements of SVG.
fn numbers(svg: &str, element: &str, name: &str) -> Vec<f64> {
    let elements = svg.split('<').filter(|text| text.starts_with(element));
    let values = elements.filter_map(|text| {
        let (_, rest) = text.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    });
    values.collect()
}

#[test]
fn bars_dots_and_lines_lie_where_their_numbers_are() -> Result<()> {
    let charts = examples();
    let find = |name| charts.iter().find(|chart| chart.name == name);
    let svg = |name| find(name).map_or_else(|| Ok(String::new()), Chart::svg);
    // Bars of 0.75, -0.25 and 0.25: their lengths are in that proportion, the one that is no number
    // is not there.
    let widths = numbers(&svg("bars")?, "rect", "width");
    let widths: Vec<f64> = widths.into_iter().filter(|&width| width > 4.0).collect();
    assert_eq!(widths.len(), 3, "{widths:?}");
    for width in &widths {
        let longest = widths.iter().copied().fold(0.0, f64::max);
        let third = width / longest * 3.0;
        assert!((third - third.round()).abs() < 0.05, "{widths:?}");
    }
    // Three pairs of four are finite, and differences across are the numbers' own.
    let across = numbers(&svg("scatter")?, "circle", "cx");
    assert_eq!(across.len(), 3);
    let [first, second, third] = [across[0], across[1], across[2]];
    assert!(
        ((first - third) / (third - second) - 1.0).abs() < 0.02,
        "{across:?}"
    );
    // One curve has points with intervals, without those that are not finite.
    assert_eq!(numbers(&svg("curves")?, "circle", "cx").len(), 3);
    Ok(())
}

#[test]
fn an_axis_of_positive_numbers_has_no_room_below_zero() {
    assert_eq!(around(&[0.0, 100.0, f64::NAN]), 0.0..104.0);
    assert_eq!(around(&[-100.0, -50.0]), -102.0..-48.0);
    assert_eq!(around(&[-100.0, 100.0]), -108.0..108.0);
}

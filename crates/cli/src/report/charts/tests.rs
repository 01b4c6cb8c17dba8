use plotters::style::RGBColor;

use super::{drawing::HELPFUL, *};

fn examples() -> Vec<Chart> {
    let chart = |name, kind| Chart {
        name,
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
    let bars = [
        ("first", 0.75),
        ("a name that is longer than there is room", 0.25),
    ];
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
                named: bars.map(|(name, value)| (name.to_owned(), value)).into(),
                what: "share",
                label: |value| format!("{value:.1}"),
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
        assert!(count(HELPFUL) > 50, "{}: {}", chart.name, count(HELPFUL));
        assert!(count(WHITE) > image.pixels().len() / 4, "{}", chart.name);
        // The title lies above, text of the axis below: nothing else is drawn there.
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
        ["share", "a name that is longer than t…"],
    ];
    for (chart, words) in examples().iter().zip(words) {
        let (within, file) = (chart.svg()?, chart.svg_file()?);
        for word in words {
            assert!(within.contains(word) && file.contains(word), "{word}");
        }
        assert!(file.contains("A chart") && !within.contains("A chart"));
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
        ChartKind::Bars(Bars {
            named: vec![("one".into(), 0.0)],
            what: "",
            label: |value| value.to_string(),
        }),
        ChartKind::Bars(Bars {
            named: Vec::new(),
            what: "",
            label: |value| value.to_string(),
        }),
    ];
    for kind in kinds {
        let chart = Chart {
            name: "chart",
            alt: String::new(),
            kind,
        };
        chart.svg()?;
        chart.png()?;
    }
    Ok(())
}

use std::ops::Range;

use anyhow::Result;
use plotters::{coord::Shift, prelude::*};

use crate::summary::signed;

const SIZE: (u32, u32) = (720, 240);
const FONT: (&str, u32) = ("sans-serif", 12);
const HARMFUL: RGBColor = RGBColor(192, 57, 43);
const HELPFUL: RGBColor = RGBColor(31, 119, 180);

/// How many numbers lie between which edges.
#[derive(Debug)]
pub(super) struct Bins {
    pub(super) edges: Vec<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) below: u64,
    pub(super) above: u64,
}

impl Bins {
    /// Of numbers in memory, from the least to the greatest.
    pub(super) fn of(values: &[f64], bins: usize) -> Self {
        let (lo, hi) = ends(values);
        let width = if hi > lo {
            (hi - lo) / bins as f64
        } else {
            1.0
        };
        let mut counts = vec![0; bins];
        for value in values {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a bin; what rounds beyond is put into the last"
            )]
            let bin = ((value - lo) / width) as usize;
            counts[bin.min(bins - 1)] += 1;
        }
        Self {
            edges: (0..=bins).map(|bin| lo + width * bin as f64).collect(),
            counts,
            below: 0,
            above: 0,
        }
    }
}

/// Bars, those of negative numbers in another colour; with what is counted, across and up.
pub(super) fn histogram(bins: &Bins, [across, up]: [&str; 2]) -> Result<String> {
    let (first, last) = (bins.edges[0], bins.edges[bins.edges.len() - 1]);
    let most = bins.counts.iter().max().copied().unwrap_or(0).max(1);
    drawn(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(first..last, 0..most + most / 20 + 1)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc(across)
            .y_desc(up)
            .label_style(FONT)
            .x_label_formatter(&|value| signed(*value))
            .draw()?;
        let bars = bins
            .edges
            .windows(2)
            .zip(&bins.counts)
            .map(|(edge, count)| {
                let colour = if edge[0] + edge[1] < 0.0 {
                    HARMFUL
                } else {
                    HELPFUL
                };
                Rectangle::new([(edge[0], 0), (edge[1], *count)], colour.filled())
            });
        chart.draw_series(bars)?;
        Ok(())
    })
}

/// A dot for each number, on a logarithmic scale; numbers that are zero or less are drawn at the foot.
pub(super) fn dots(values: &[f64], what: &str) -> Result<String> {
    let positive: Vec<f64> = values
        .iter()
        .copied()
        .filter(|&value| value > 0.0)
        .collect();
    let (lo, hi) = ends(&positive);
    let (lo, hi) = if positive.is_empty() {
        (1e-16, 1.0)
    } else {
        (lo / 2.0, hi * 2.0)
    };
    drawn(|area| {
        let range: Range<usize> = 0..values.len().max(2);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(range, (lo..hi).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("test point")
            .y_desc(what)
            .label_style(FONT)
            .y_label_formatter(&|value| format!("{value:.0e}"))
            .draw()?;
        let dots = values
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_nan());
        let dots =
            dots.map(|(index, &value)| Circle::new((index, value.max(lo)), 2, HELPFUL.filled()));
        chart.draw_series(dots)?;
        Ok(())
    })
}

fn ends(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &value| {
            (lo.min(value), hi.max(value))
        })
}

/// The text of an SVG element.
fn drawn(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(text)
}

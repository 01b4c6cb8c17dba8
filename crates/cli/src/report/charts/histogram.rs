use anyhow::Result;
use plotters::{
    chart::ChartBuilder,
    coord::Shift,
    element::Rectangle,
    prelude::{DrawingArea, DrawingBackend, IntoLogRange},
    style::Color,
};

use super::{
    drawing::{Drawing, HARMFUL, HELPFUL, ends},
    font::font,
    ticks::{TICKS, Ticks, grouped},
};

/// How many numbers lie between which edges.
#[derive(Debug)]
pub(crate) struct Bins {
    pub(crate) edges: Vec<f64>,
    pub(crate) counts: Vec<u64>,
    pub(crate) below: u64,
    pub(crate) above: u64,
}

impl Bins {
    /// Of numbers in memory, from the least to the greatest.
    pub(crate) fn of(values: &[f64], bins: usize) -> Self {
        let (lo, hi) = ends(values);
        let edges = edges(lo, hi, bins);
        let mut counts = vec![0; edges.len() - 1];
        let last = counts.len() - 1;
        for value in values {
            let bin = edges.partition_point(|edge| edge <= value);
            counts[bin.saturating_sub(1).min(last)] += 1;
        }
        Self {
            edges,
            counts,
            below: 0,
            above: 0,
        }
    }
}

/// The edges of about this many bins of one width; zero is one where it lies between, so that no
/// bin has numbers of either sign.
pub(crate) fn edges(lo: f64, hi: f64, bins: usize) -> Vec<f64> {
    if hi <= lo {
        return vec![lo, lo + 1.0];
    }
    let width = (hi - lo) / bins as f64;
    if lo >= 0.0 || hi <= 0.0 {
        return (0..=bins).map(|bin| lo + width * bin as f64).collect();
    }
    let (mut edge, mut edges) = ((lo / width).floor(), Vec::new());
    while edge < hi / width + 1.0 {
        edges.push(edge * width);
        edge += 1.0;
    }
    edges
}

/// Bars of numbers counted, on a logarithmic scale: most influences lie near zero, and those that
/// matter are few. Bars of negative numbers have another colour.
#[derive(Debug)]
pub(crate) struct HistogramChart {
    pub(crate) bins: Bins,
    /// What is counted, across and up.
    pub(crate) axes: [&'static str; 2],
}

/// Where the axis of counts begins, so that a bar of one number has a height.
const FOOT: f64 = 0.7;

impl Drawing for HistogramChart {
    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let Bins { edges, counts, .. } = &self.bins;
        let across = edges[0]..edges[edges.len() - 1];
        let ticks = Ticks::of(&across);
        let most = counts.iter().max().copied().unwrap_or(0).max(1) as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_right(28 * scale)
            .x_label_area_size(40 * scale)
            .y_label_area_size(64 * scale)
            .build_cartesian_2d(across, (FOOT..most * 1.4).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(1)
            .x_labels(TICKS)
            .y_labels(5)
            .x_desc(self.axes[0])
            .y_desc(self.axes[1])
            .label_style(font(scale))
            .x_label_formatter(&|value| ticks.label(*value))
            .y_label_formatter(&|count| grouped(&format!("{count:.0}")))
            .draw()?;
        let bars = edges
            .windows(2)
            .zip(counts)
            .filter(|(_, count)| **count > 0);
        let bars = bars.map(|(edge, &count)| {
            let negative = edge[0] + edge[1] < 0.0;
            let colour = if negative { HARMFUL } else { HELPFUL };
            Rectangle::new([(edge[0], FOOT), (edge[1], count as f64)], colour.filled())
        });
        chart.draw_series(bars)?;
        Ok(())
    }
}

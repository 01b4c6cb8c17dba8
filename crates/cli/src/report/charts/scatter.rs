use std::ops::Range;

use anyhow::Result;
use plotters::{
    coord::Shift,
    element::Circle,
    prelude::{DrawingArea, DrawingBackend},
    style::{BLACK, Color},
};

use super::drawing::{Drawing, HELPFUL, around, dashed, plane};

/// A dot for each pair of numbers; a pair with one that is not finite has none.
#[derive(Debug)]
pub(crate) struct ScatterChart {
    pub(crate) pairs: Vec<[f64; 2]>,
    /// What the numbers are, across and up.
    pub(crate) axes: [String; 2],
    /// Whether the line is drawn on which both numbers are equal.
    pub(crate) diagonal: bool,
}

impl ScatterChart {
    /// The axis of the first numbers, or of the second ones.
    fn axis(&self, side: usize) -> Range<f64> {
        around(&self.drawn().map(|pair| pair[side]).collect::<Vec<_>>())
    }

    fn drawn(&self) -> impl Iterator<Item = &[f64; 2]> {
        let pairs = self.pairs.iter();
        pairs.filter(|pair| pair.iter().all(|value| value.is_finite()))
    }
}

impl Drawing for ScatterChart {
    fn height(&self) -> u32 {
        400
    }

    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let [across, up] = [0, 1].map(|side| self.axis(side));
        let shared = across.start.max(up.start)..across.end.min(up.end);
        let mut chart = plane(area, [across, up], &self.axes, scale)?;
        let dots = self.drawn().map(|&[x, y]| {
            let style = HELPFUL.mix(0.55).filled();
            Circle::new((x, y), 2 * scale, style)
        });
        chart.draw_series(dots)?;
        if self.diagonal && shared.start < shared.end {
            let ends = [shared.start, shared.end].map(|end| (end, end));
            chart.draw_series([dashed(ends, BLACK.stroke_width(scale), scale)])?;
        }
        Ok(())
    }
}

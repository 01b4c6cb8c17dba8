use std::ops::Range;

use anyhow::Result;
use plotters::{
    chart::ChartBuilder,
    coord::{Shift, ranged1d::AsRangedCoord},
    element::Circle,
    prelude::{DrawingArea, DrawingBackend, IntoLogRange, Ranged},
    style::Color,
};

use super::{
    drawing::{Drawing, HELPFUL, ends},
    font::font,
    ticks::{TICKS, grouped},
};

/// A dot for each test point.
#[derive(Debug)]
pub(crate) struct Dots {
    pub(crate) values: Vec<f64>,
    /// What the values are.
    pub(crate) what: &'static str,
    /// On a logarithmic scale, where numbers that are zero or less are drawn at the foot.
    pub(crate) logarithmic: bool,
}

impl Drawing for Dots {
    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        if !self.logarithmic {
            let (_, hi) = ends(&self.values);
            let top = if hi > 0.0 { hi * 1.1 } else { 1.0 };
            return self.draw_on(area, scale, 0.0..top, 0.0, &|value| {
                grouped(&format!("{value:.0}"))
            });
        }
        let Range { start, end } = decades(&self.values);
        let axis = (start..end).log_scale();
        self.draw_on(area, scale, axis, start, &|value| format!("{value:.0e}"))
    }
}

/// Whole powers of ten around the positive numbers.
fn decades(values: &[f64]) -> Range<f64> {
    let positive = values.iter().copied().filter(|&value| value > 0.0);
    let (lo, hi) = ends(&positive.collect::<Vec<_>>());
    if hi < lo || hi.is_infinite() {
        return 1e-16..1.0;
    }
    let (first, last) = (lo.log10().floor(), hi.log10().ceil());
    // Two decades at least, so that there are ticks to read.
    10_f64.powf(first)..10_f64.powf(last.max(first + 2.0))
}

impl Dots {
    fn draw_on<B, Y>(
        &self,
        area: &DrawingArea<B, Shift>,
        scale: u32,
        up: Y,
        foot: f64,
        label: &dyn Fn(&f64) -> String,
    ) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_right(28 * scale)
            .x_label_area_size(40 * scale)
            .y_label_area_size(64 * scale)
            .build_cartesian_2d(0..self.values.len().max(2), up)?;
        chart
            .configure_mesh()
            .max_light_lines(1)
            .x_labels(TICKS)
            .y_labels(6)
            .x_desc("test point, by row")
            .y_desc(self.what)
            .label_style(font(scale))
            .x_label_formatter(&|row| grouped(&row.to_string()))
            .y_label_formatter(label)
            .draw()?;
        let dots = self.values.iter().enumerate();
        let dots = dots.filter(|(_, value)| !value.is_nan());
        let dots = dots.map(|(index, &value)| {
            Circle::new((index, value.max(foot)), 2 * scale, HELPFUL.filled())
        });
        chart.draw_series(dots)?;
        Ok(())
    }
}

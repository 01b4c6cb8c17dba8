use anyhow::Result;
use plotters::{
    chart::ChartBuilder,
    coord::Shift,
    element::Rectangle,
    prelude::{DrawingArea, DrawingBackend, IntoSegmentedCoord, SegmentValue},
    style::Color,
};

use super::{
    drawing::{Drawing, HELPFUL},
    font::font,
};

/// Characters of a name that are shown.
const NAME: usize = 28;
const ROW: u32 = 24;

/// A bar for each of some named numbers, the first at the top.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) named: Vec<(String, f64)>,
    /// What the numbers are.
    pub(crate) what: &'static str,
    pub(crate) label: fn(f64) -> String,
}

impl Bars {
    fn rows(&self) -> u32 {
        u32::try_from(self.named.len()).unwrap_or(u32::MAX / ROW / 2)
    }

    /// The name of a bar, counted from the foot.
    fn name(&self, from_below: usize) -> String {
        let bar = self.named.len().checked_sub(from_below + 1);
        let name = bar.map_or("", |bar| self.named[bar].0.as_str());
        match name.char_indices().nth(NAME) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.to_owned(),
        }
    }

    fn longest(&self) -> u32 {
        let names = (0..self.named.len()).map(|bar| self.name(bar).chars().count());
        names
            .max()
            .map_or(0, |longest| u32::try_from(longest).unwrap_or(0))
    }
}

impl Drawing for Bars {
    fn height(&self) -> u32 {
        60 + ROW * self.rows().max(1)
    }

    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let count = self.named.len();
        let most = self
            .named
            .iter()
            .fold(0.0, |most: f64, (_, value)| most.max(*value));
        let top = if most > 0.0 { most * 1.05 } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_right(28 * scale)
            .x_label_area_size(40 * scale)
            .y_label_area_size((24 + 8 * self.longest()) * scale)
            .build_cartesian_2d(0.0..top, (0..count.max(1) - 1).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .max_light_lines(1)
            .x_labels(6)
            .y_labels(count)
            .x_desc(self.what)
            .label_style(font(scale))
            .x_label_formatter(&|value| (self.label)(*value))
            .y_label_formatter(&|segment| match segment {
                SegmentValue::Exact(bar) | SegmentValue::CenterOf(bar) => self.name(*bar),
                SegmentValue::Last => String::new(),
            })
            .draw()?;
        let bars = self
            .named
            .iter()
            .rev()
            .enumerate()
            .map(|(bar, (_, value))| {
                let above = if bar + 1 < count {
                    SegmentValue::Exact(bar + 1)
                } else {
                    SegmentValue::Last
                };
                let corners = [(0.0, SegmentValue::Exact(bar)), (*value, above)];
                let mut bar = Rectangle::new(corners, HELPFUL.filled());
                bar.set_margin(3 * scale, 3 * scale, 0, 0);
                bar
            });
        chart.draw_series(bars)?;
        Ok(())
    }
}

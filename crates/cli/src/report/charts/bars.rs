use std::ops::Range;

use anyhow::Result;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{Shift, ranged1d::Ranged, types::RangedCoordf64},
    element::{PathElement, Rectangle, Text},
    prelude::{Cartesian2d, DrawingArea, DrawingBackend, IntoSegmentedCoord, SegmentValue},
    style::{
        BLACK, Color, RGBAColor,
        text_anchor::{HPos, VPos},
    },
};

use super::{
    drawing::{Drawing, GREY, HELPFUL, anchored, dashed, finite_ends, shortened},
    font::font,
    ticks::Ticks,
};

/// Characters of a name that are shown.
const NAME: usize = 40;
const ROW: u32 = 24;
/// What the label of the line takes.
const LABEL: u32 = 20;
/// Between the end of a bar and its number.
const GAP: f64 = 0.012;
/// The part of the axis that numbers behind bars take.
const NUMBER: f64 = 0.17;

/// A bar for each of some named numbers, the first at the top.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) rows: Vec<NamedBar>,
    /// What the numbers are.
    pub(crate) what: String,
    pub(crate) label: fn(f64) -> String,
    /// A dashed line at a number, with what it is.
    pub(crate) line: Option<(String, f64)>,
}

/// A named number; one that is no number has no bar.
#[derive(Debug)]
pub(crate) struct NamedBar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Where the interval of the number begins and ends; with one, the number is written behind.
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) shade: Shade,
}

/// How a bar is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shade {
    Strong,
    Light,
    Grey,
}

impl NamedBar {
    /// A number without an interval.
    pub(crate) fn plain(name: String, value: f64) -> Self {
        Self {
            name,
            value,
            interval: None,
            shade: Shade::Strong,
        }
    }

    /// Where the bar and its interval end on the right.
    fn end(&self) -> f64 {
        let ends = self.interval.map_or(0.0, |[_, high]| high);
        [self.value, ends]
            .into_iter()
            .filter(|end| end.is_finite())
            .fold(0.0, f64::max)
    }

    fn colour(&self) -> RGBAColor {
        match self.shade {
            Shade::Strong => HELPFUL.to_rgba(),
            Shade::Light => HELPFUL.mix(0.5),
            Shade::Grey => GREY.to_rgba(),
        }
    }
}

impl Bars {
    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX / ROW / 2)
    }

    fn has_intervals(&self) -> bool {
        self.rows.iter().any(|row| row.interval.is_some())
    }

    /// A number on the axis; those behind bars may have more digits.
    fn tick(&self, ticks: Ticks, value: f64) -> String {
        if self.has_intervals() {
            ticks.label(value)
        } else {
            (self.label)(value)
        }
    }

    /// The row of a place that is counted from the foot.
    fn row(&self, from_below: usize) -> Option<&NamedBar> {
        self.rows.get(self.rows.len().checked_sub(from_below + 1)?)
    }

    fn name(&self, from_below: usize) -> String {
        let name = self.row(from_below).map_or("", |row| row.name.as_str());
        shortened(name, NAME)
    }

    fn longest(&self) -> u32 {
        let names = (0..self.rows.len()).map(|bar| self.name(bar).chars().count());
        names
            .max()
            .map_or(0, |longest| u32::try_from(longest).unwrap_or(0))
    }

    /// The numbers on the axis, from zero or below to above the longest bar.
    fn axis(&self) -> Range<f64> {
        let values = self.rows.iter().map(|row| row.value);
        let intervals = self.rows.iter().filter_map(|row| row.interval).flatten();
        let line = self.line.iter().map(|(_, line)| *line);
        let all: Vec<f64> = values.chain(intervals).chain(line).chain([0.0]).collect();
        let Some((low, high)) = finite_ends(&all).filter(|(low, high)| high > low) else {
            return 0.0..1.0;
        };
        let above = if self.has_intervals() { NUMBER } else { 0.05 };
        let below = if low < 0.0 { 0.03 } else { 0.0 };
        low - below * (high - low)..high + above * (high - low)
    }
}

impl Drawing for Bars {
    fn height(&self) -> u32 {
        let label = if self.line.is_some() { LABEL } else { 0 };
        60 + ROW * self.count().max(1) + label
    }

    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let count = self.rows.len();
        let (axis, label) = (self.axis(), if self.line.is_some() { LABEL } else { 0 });
        // No signs on positive numbers.
        let ticks = Ticks::of(&(0.0..axis.end - axis.start));
        let mut chart = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_top((8 + label) * scale)
            .margin_right(28 * scale)
            .x_label_area_size(40 * scale)
            .y_label_area_size((24 + 7 * self.longest()) * scale)
            .build_cartesian_2d(axis.clone(), (0..count.max(1) - 1).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .max_light_lines(1)
            .x_labels(6)
            .y_labels(count)
            .x_desc(self.what.as_str())
            .label_style(font(scale))
            .x_label_formatter(&|value| self.tick(ticks, *value))
            .y_label_formatter(&|segment| match segment {
                SegmentValue::Exact(bar) | SegmentValue::CenterOf(bar) => self.name(*bar),
                SegmentValue::Last => String::new(),
            })
            .draw()?;
        self.draw_bars(&mut chart, scale)?;
        self.draw_intervals(&mut chart, scale, GAP * (axis.end - axis.start))?;
        self.draw_line(&mut chart, scale, &axis)
    }
}

type Axes<Y> = Cartesian2d<RangedCoordf64, Y>;

impl Bars {
    /// The rows with their places, counted from the foot.
    fn placed(&self) -> impl Iterator<Item = (usize, &NamedBar)> {
        self.rows.iter().rev().enumerate()
    }

    fn draw_bars<B, Y>(&self, chart: &mut ChartContext<'_, B, Axes<Y>>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
        Y: Ranged<ValueType = SegmentValue<usize>>,
    {
        let bars = self.placed().filter(|(_, row)| row.value.is_finite());
        chart.draw_series(bars.map(|(place, row)| {
            let above = if place + 1 < self.rows.len() {
                SegmentValue::Exact(place + 1)
            } else {
                SegmentValue::Last
            };
            let corners = [(0.0, SegmentValue::Exact(place)), (row.value, above)];
            let mut bar = Rectangle::new(corners, row.colour().filled());
            bar.set_margin(3 * scale, 3 * scale, 0, 0);
            bar
        }))?;
        Ok(())
    }

    /// Intervals, and the numbers behind them.
    fn draw_intervals<B, Y>(
        &self,
        chart: &mut ChartContext<'_, B, Axes<Y>>,
        scale: u32,
        gap: f64,
    ) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
        Y: Ranged<ValueType = SegmentValue<usize>>,
    {
        let whiskers = self.placed().filter_map(|(place, row)| {
            let ends = row.interval?;
            let ends = ends.iter().all(|end| end.is_finite()).then_some(ends)?;
            let ends = ends.map(|end| (end, SegmentValue::CenterOf(place)));
            Some(PathElement::new(ends, BLACK.stroke_width(2 * scale)))
        });
        chart.draw_series(whiskers)?;
        let numbers = self.placed().filter(|(_, row)| row.interval.is_some());
        chart.draw_series(numbers.map(|(place, row)| {
            let at = (row.end() + gap, SegmentValue::CenterOf(place));
            let text = if row.value.is_finite() {
                (self.label)(row.value)
            } else {
                "no number".into()
            };
            Text::new(text, at, anchored(scale, HPos::Left, VPos::Center))
        }))?;
        Ok(())
    }

    /// The line from foot to top, with its label above.
    fn draw_line<B, Y>(
        &self,
        chart: &mut ChartContext<'_, B, Axes<Y>>,
        scale: u32,
        axis: &Range<f64>,
    ) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
        Y: Ranged<ValueType = SegmentValue<usize>>,
    {
        let Some((name, line)) = self.line.as_ref().filter(|(_, line)| line.is_finite()) else {
            return Ok(());
        };
        let ends = [(*line, SegmentValue::Exact(0)), (*line, SegmentValue::Last)];
        chart.draw_series([dashed(ends, BLACK.stroke_width(scale), scale)])?;
        // Where there is no room on the right, the label ends at the line.
        let is_far = line - axis.start > 0.6 * (axis.end - axis.start);
        let side = if is_far { HPos::Right } else { HPos::Left };
        let label = Text::new(
            name.clone(),
            (*line, SegmentValue::Last),
            anchored(scale, side, VPos::Bottom),
        );
        chart.draw_series([label])?;
        Ok(())
    }
}

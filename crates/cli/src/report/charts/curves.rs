use anyhow::Result;
use plotters::{
    chart::ChartContext,
    coord::Shift,
    element::{Circle, PathElement, Text},
    prelude::{DrawingArea, DrawingBackend},
    style::{
        BLACK, Color, RGBColor, ShapeStyle,
        text_anchor::{HPos, VPos},
    },
};

use super::drawing::{Drawing, Plane, anchored, around, dashed, plane, shortened};

/// The height of the axes, and of a row of names below.
const AXES: u32 = 330;
const ROW: u32 = 20;
/// Names in a row.
const COLUMNS: u32 = 2;
/// Characters of a name that are shown.
const NAME: usize = 38;
/// Between the intervals of two curves at one place, as a part of the axis.
const ASIDE: f64 = 0.007;
/// The colours of curves, told apart by those who do not see red or green too.
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(230, 120, 20),
    RGBColor(44, 150, 60),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(220, 100, 180),
    RGBColor(0, 170, 190),
    RGBColor(175, 165, 30),
    RGBColor(110, 110, 110),
    RGBColor(90, 110, 220),
];

/// Curves, with their names below.
#[derive(Debug)]
pub(crate) struct Curves {
    pub(crate) each: Vec<Curve>,
    /// What the numbers are, across and up.
    pub(crate) axes: [String; 2],
    /// A dashed line from one point to another.
    pub(crate) line: Option<[[f64; 2]; 2]>,
}

/// A curve with a name. Points that are not finite are left out.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<[f64; 2]>,
    /// `[where, from, to]`: drawn of what is not faint.
    pub(crate) intervals: Vec<[f64; 3]>,
    /// Whether it is thin and dashed.
    pub(crate) faint: bool,
}

impl Curve {
    fn drawn(&self) -> Vec<[f64; 2]> {
        let points = self.points.iter().copied();
        let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
        points.filter(finite).collect()
    }

    fn drawn_intervals(&self) -> Vec<[f64; 3]> {
        let intervals = self.intervals.iter().copied().filter(|_| !self.faint);
        let finite = |one: &[f64; 3]| one.iter().all(|value| value.is_finite());
        intervals.filter(finite).collect()
    }

    fn style(&self, place: usize, scale: u32) -> ShapeStyle {
        let width = if self.faint { scale } else { 2 * scale };
        COLOURS[place % COLOURS.len()].stroke_width(width)
    }
}

impl Curves {
    fn legend(&self) -> u32 {
        let count = u32::try_from(self.each.len()).unwrap_or(u32::MAX / ROW);
        ROW * count.div_ceil(COLUMNS) + 8
    }

    /// All numbers on an axis.
    fn values(&self, side: usize) -> Vec<f64> {
        let points = self.each.iter().flat_map(Curve::drawn);
        let points = points.chain(self.line.into_iter().flatten());
        let mut values: Vec<f64> = points.map(|point| point[side]).collect();
        if side == 1 {
            let intervals = self.each.iter().flat_map(Curve::drawn_intervals);
            values.extend(intervals.flat_map(|[_, from, to]| [from, to]));
        }
        values
    }

    fn draw_legend<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let column = area.dim_in_pixel().0 / COLUMNS;
        for (place, curve) in self.each.iter().enumerate() {
            let at = u32::try_from(place)?;
            let x = (at % COLUMNS) * column + 24 * scale;
            let y = (at / COLUMNS) * ROW * scale + ROW * scale / 2;
            let [left, right, text] =
                [x, x + 26 * scale, x + 34 * scale].map(|x| i32::try_from(x).unwrap_or(i32::MAX));
            let y = i32::try_from(y)?;
            let style = curve.style(place, scale);
            let sample = [(left, y), (right, y)];
            if curve.faint {
                area.draw(&dashed(sample, style, scale))?;
            } else {
                area.draw(&PathElement::new(sample, style))?;
            }
            let name = Text::new(
                shortened(&curve.name, NAME),
                (text, y),
                anchored(scale, HPos::Left, VPos::Center),
            );
            area.draw(&name)?;
        }
        Ok(())
    }
}

impl Drawing for Curves {
    fn height(&self) -> u32 {
        AXES + self.legend()
    }

    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let (axes, legend) = area.split_vertically(AXES * scale);
        let [across, up] = [0, 1].map(|side| around(&self.values(side)));
        let step = ASIDE * (across.end - across.start);
        let mut chart = plane(&axes, [across, up], &self.axes, scale)?;
        if let Some(line) = self.line {
            let ends = line.map(|[x, y]| (x, y));
            chart.draw_series([dashed(ends, BLACK.stroke_width(scale), scale)])?;
        }
        // Those that matter lie on top.
        for (place, curve) in self.each.iter().enumerate().rev() {
            let style = curve.style(place, scale);
            curve.draw(&mut chart, style, place as f64 * step, scale)?;
        }
        self.draw_legend(&legend, scale)
    }
}

impl Curve {
    /// Draws the curve, with its intervals moved aside, where it has some.
    fn draw<B>(
        &self,
        chart: &mut ChartContext<'_, B, Plane>,
        style: ShapeStyle,
        aside: f64,
        scale: u32,
    ) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let intervals = self.drawn_intervals();
        let aside = if intervals.is_empty() { 0.0 } else { aside };
        let points = self.drawn().into_iter().map(|[x, y]| (x + aside, y));
        let points: Vec<(f64, f64)> = points.collect();
        if self.faint {
            chart.draw_series([dashed(points, style, scale)])?;
            return Ok(());
        }
        if !intervals.is_empty() {
            let dots = points.iter();
            chart.draw_series(dots.map(|&at| Circle::new(at, 3 * scale, style.filled())))?;
        }
        chart.draw_series(intervals.into_iter().map(|[x, from, to]| {
            let ends = [(x + aside, from), (x + aside, to)];
            PathElement::new(ends, style.stroke_width(scale))
        }))?;
        chart.draw_series([PathElement::new(points, style)])?;
        Ok(())
    }
}

//! What all charts have in common: how they are drawn, and the colours.

use std::ops::Range;

use anyhow::Result;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{Shift, types::RangedCoordf64},
    element::DashedPathElement,
    prelude::{Cartesian2d, DrawingArea, DrawingBackend},
    style::{
        IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    font::font,
    ticks::{TICKS, Ticks},
};

/// The colour of harm.
pub(super) const HARMFUL: RGBColor = RGBColor(192, 57, 43);
/// The colour of help, and of numbers without a sign.
pub(super) const HELPFUL: RGBColor = RGBColor(31, 119, 180);
/// The colour of what others are compared with.
pub(super) const GREY: RGBColor = RGBColor(160, 160, 160);

/// Something that can be drawn at any scale.
pub(in crate::report) trait Drawing {
    /// The height in pixels.
    fn height(&self) -> u32 {
        230
    }

    /// Draws with text and lines enlarged by a factor.
    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static;
}

/// The least and the greatest of some numbers.
pub(super) fn ends(values: &[f64]) -> (f64, f64) {
    let nothing = (f64::INFINITY, f64::NEG_INFINITY);
    values
        .iter()
        .fold(nothing, |(lo, hi), &value| (lo.min(value), hi.max(value)))
}

/// The least and the greatest of those numbers that are finite, if there are any.
pub(super) fn finite_ends(values: &[f64]) -> Option<(f64, f64)> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let finite: Vec<f64> = finite.collect();
    (!finite.is_empty()).then(|| ends(&finite))
}

/// An axis that has room for some numbers, and a little more on either side, but not beyond zero;
/// numbers that are not finite take none.
pub(super) fn around(values: &[f64]) -> Range<f64> {
    const ROOM: f64 = 0.04;
    let (low, high) = finite_ends(values).unwrap_or((0.0, 1.0));
    let width = high - low;
    if width <= 0.0 {
        let room = low.abs().max(f64::MIN_POSITIVE.sqrt());
        return low - room..high + room;
    }
    let room = ROOM * width;
    let start = if low < 0.0 {
        low - room
    } else {
        (low - room).max(0.0)
    };
    let end = if high > 0.0 {
        high + room
    } else {
        (high + room).min(0.0)
    };
    start..end
}

/// Numbers across and up.
pub(super) type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// Draws axes with these ranges and names, and gives the chart between them.
pub(super) fn plane<'a, B>(
    area: &DrawingArea<B, Shift>,
    [across, up]: [Range<f64>; 2],
    names: &[String; 2],
    scale: u32,
) -> Result<ChartContext<'a, B, Plane>>
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let ticks = [&across, &up].map(Ticks::of);
    let mut chart = ChartBuilder::on(area)
        .margin(8 * scale)
        .margin_right(28 * scale)
        .x_label_area_size(40 * scale)
        .y_label_area_size(76 * scale)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_labels(TICKS)
        .y_labels(TICKS)
        .x_desc(names[0].as_str())
        .y_desc(names[1].as_str())
        .label_style(font(scale))
        .x_label_formatter(&|value| ticks[0].label(*value))
        .y_label_formatter(&|value| ticks[1].label(*value))
        .draw()?;
    Ok(chart)
}

/// A name, cut after this many characters.
pub(super) fn shortened(name: &str, characters: usize) -> String {
    match name.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Text that lies on this side of its place.
pub(super) fn anchored(scale: u32, across: HPos, up: VPos) -> TextStyle<'static> {
    TextStyle::from(font(scale).into_font()).pos(Pos::new(across, up))
}

/// A dashed line through points.
pub(super) fn dashed<C: Clone>(
    points: impl Into<Vec<C>>,
    style: impl Into<ShapeStyle>,
    scale: u32,
) -> DashedPathElement<std::vec::IntoIter<C>, u32> {
    DashedPathElement::new(points.into(), 5 * scale, 4 * scale, style)
}

//! What all charts have in common: how they are drawn, and the colours.

use anyhow::Result;
use plotters::{
    coord::Shift,
    prelude::{DrawingArea, DrawingBackend},
    style::RGBColor,
};

/// The colour of harm.
pub(super) const HARMFUL: RGBColor = RGBColor(192, 57, 43);
/// The colour of help, and of numbers without a sign.
pub(super) const HELPFUL: RGBColor = RGBColor(31, 119, 180);

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

use std::sync::OnceLock;

use anyhow::{Result, ensure};
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::style::{FontStyle, register_font};

const FAMILY: &str = "sans-serif";
const SIZE: u32 = 14;

/// The text of charts, at a scale.
pub(super) fn font(scale: u32) -> (&'static str, u32) {
    (FAMILY, SIZE * scale)
}

/// Makes the font known once; without one there is no text in pixels, nor a measure of it.
pub(super) fn register() -> Result<()> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let known =
        KNOWN.get_or_init(|| register_font(FAMILY, FontStyle::Normal, UBUNTU_LIGHT).is_ok());
    ensure!(*known, "the font of charts cannot be read");
    Ok(())
}

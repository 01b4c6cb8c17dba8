//! The charts of a page, as SVG within it, and as files of their own.

mod bars;
mod curves;
mod dots;
mod drawing;
mod font;
mod histogram;
mod scatter;
mod ticks;

use anyhow::Result;
use image::{
    ExtendedColorType, ImageEncoder, Rgb, RgbImage,
    codecs::png::PngEncoder,
    imageops::{FilterType, resize},
};
use plotters::{
    coord::Shift,
    prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend},
    style::WHITE,
};

use drawing::Drawing;

pub(super) use bars::{Bars, NamedBar, Shade};
pub(super) use curves::{Curve, Curves};
pub(super) use dots::Dots;
pub(super) use histogram::{Bins, HistogramChart, edges};
pub(super) use scatter::ScatterChart;

/// How wide a chart is: its text is to be read on a telephone too.
const WIDTH: u32 = 600;
/// What the title of a file takes.
const TITLE: u32 = 30;
/// Pixels of a PNG for one of SVG.
const FINE: u32 = 2;
/// Pixels that are drawn for one of PNG.
const FINER: u32 = 2;

/// What a chart shows.
#[derive(Debug)]
pub(super) enum ChartKind {
    Histogram(HistogramChart),
    Dots(Dots),
    Bars(Bars),
    Scatter(ScatterChart),
    Curves(Curves),
}

/// A chart with a name.
#[derive(Debug)]
pub(super) struct Chart {
    /// As the file is called, without its ending.
    pub(super) name: String,
    /// What is said to those who cannot see it: what it shows, and after a colon its numbers if
    /// they are few.
    pub(super) alt: String,
    pub(super) kind: ChartKind,
}

impl Chart {
    fn height(&self) -> u32 {
        match &self.kind {
            ChartKind::Histogram(histogram) => histogram.height(),
            ChartKind::Dots(dots) => dots.height(),
            ChartKind::Bars(bars) => bars.height(),
            ChartKind::Scatter(scatter) => scatter.height(),
            ChartKind::Curves(curves) => curves.height(),
        }
    }

    fn draw<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        match &self.kind {
            ChartKind::Histogram(histogram) => histogram.draw(area, scale),
            ChartKind::Dots(dots) => dots.draw(area, scale),
            ChartKind::Bars(bars) => bars.draw(area, scale),
            ChartKind::Scatter(scatter) => scatter.draw(area, scale),
            ChartKind::Curves(curves) => curves.draw(area, scale),
        }
    }

    /// The title of a chart in a file; a page has its own caption.
    fn title(&self) -> &str {
        self.alt
            .split_once(':')
            .map_or(&self.alt, |(title, _)| title)
    }

    /// The text of an SVG element, transparent and without a title, for a page.
    pub(super) fn svg(&self) -> Result<String> {
        font::register()?;
        let mut text = String::new();
        {
            let size = (WIDTH, self.height());
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            self.draw(&area, 1)?;
            area.present()?;
        }
        Ok(text)
    }

    /// The text of an SVG file, on white.
    pub(super) fn svg_file(&self) -> Result<String> {
        font::register()?;
        let mut text = String::new();
        {
            let size = (WIDTH, self.height() + TITLE);
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            area.fill(&WHITE)?;
            self.draw(&self.titled(&area, 1)?, 1)?;
            area.present()?;
        }
        Ok(text)
    }

    /// The bytes of a PNG file, on white: drawn larger and reduced, since letters are placed on
    /// whole pixels.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        font::register()?;
        let drawn = FINE * FINER;
        let size = (WIDTH * drawn, (self.height() + TITLE) * drawn);
        let mut image = RgbImage::from_pixel(size.0, size.1, Rgb([u8::MAX; 3]));
        {
            let area = BitMapBackend::with_buffer(&mut image, size).into_drawing_area();
            self.draw(&self.titled(&area, drawn)?, drawn)?;
            area.present()?;
        }
        let (width, height) = (size.0 / FINER, size.1 / FINER);
        let image = resize(&image, width, height, FilterType::Triangle);
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(&image, width, height, ExtendedColorType::Rgb8)?;
        Ok(png)
    }

    /// What lies below the title of a file.
    fn titled<B>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<DrawingArea<B, Shift>>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        let area = area.margin(6 * scale, 0, 0, 0);
        Ok(area.titled(self.title(), font::font(scale))?)
    }
}

#[cfg(test)]
mod tests;

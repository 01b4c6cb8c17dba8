use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use influence_jobs::config::{Layer, Model};

/// The side of the smallest image that is guessed at.
const SMALLEST: usize = 8;
/// Numbers of an input shown where it is no image.
const SHOWN: usize = 6;

/// How the numbers of an input are an image: channels (1 or 3), height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size([usize; 3]);

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let sides: Vec<usize> = text
            .split('x')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| {
                format!("expected HEIGHTxWIDTH or CHANNELSxHEIGHTxWIDTH, such as 8x8, got `{text}`")
            })?;
        Self::of_shape(&sides).with_context(|| {
            format!("expected one or three channels and sides of at least 1, got `{text}`")
        })
    }
}

impl Size {
    /// The given size, or else that of the samples or of the first layer of the model.
    pub(super) fn of(asked: Option<Self>, model: &Model, sample: &[usize]) -> Result<Option<Self>> {
        let numbers: usize = sample.iter().product();
        if let Some(Self(sides)) = asked {
            ensure!(
                sides.iter().product::<usize>() == numbers,
                "--image: an input has {numbers} numbers, an image of {sides:?} has {}",
                sides.iter().product::<usize>()
            );
            return Ok(asked);
        }
        Ok(
            match model.layers.as_ref().and_then(|layers| layers.0.first()) {
                Some(Layer::Reshape { shape }) => Self::of_shape(shape),
                _ => Self::of_shape(sample),
            },
        )
    }

    /// The sides that flat inputs would have if they were square images, where there are any.
    pub(super) fn guess(sample: &[usize]) -> Option<String> {
        let &[numbers] = sample else { return None };
        let square = |pixels: usize| {
            let side = pixels.isqrt();
            (side * side == pixels && side >= SMALLEST).then_some(side)
        };
        match (square(numbers), square(numbers / 3)) {
            (Some(side), _) => Some(format!("{side}x{side}")),
            (None, Some(side)) if numbers.is_multiple_of(3) => Some(format!("3x{side}x{side}")),
            _ => None,
        }
    }

    fn of_shape(shape: &[usize]) -> Option<Self> {
        let size = match *shape {
            [height, width] => [1, height, width],
            [channels, height, width] => [channels, height, width],
            _ => return None,
        };
        let drawable = matches!(size[0], 1 | 3) && !size.contains(&0);
        drawable.then_some(Self(size))
    }
}

/// An input as a page shows it.
#[derive(Debug, Clone)]
pub(super) enum Picture {
    /// A PNG as a `data:` address.
    Image(String),
    /// The first of its numbers, by the names of their columns where these are known.
    Numbers(Vec<(Option<String>, String)>),
}

impl Picture {
    /// An image where a size is given; the range of numbers is drawn from black to white.
    pub(super) fn new(
        input: &[f64],
        columns: Option<&[String]>,
        size: Option<Size>,
        range: [f64; 2],
    ) -> Result<Self> {
        let Some(Size([channels, height, width])) = size else {
            return Ok(Self::numbers(input, columns));
        };
        let [lo, hi] = range;
        let scale = if hi > lo { 255.0 / (hi - lo) } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 255"
        )]
        let level = |value: f64| ((value - lo) * scale).round().clamp(0.0, 255.0) as u8;
        let pixels = height * width;
        // Channels come last in a PNG.
        let bytes: Vec<u8> = (0..pixels)
            .flat_map(|pixel| (0..channels).map(move |channel| channel * pixels + pixel))
            .map(|index| level(input[index]))
            .collect();
        let colours = match channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            other => bail!("an image has one or three channels, got {other}"),
        };
        let mut png = Vec::new();
        let sides = [width, height].map(u32::try_from);
        let [width, height] = [sides[0]?, sides[1]?];
        PngEncoder::new(&mut png).write_image(&bytes, width, height, colours)?;
        let text = BASE64_STANDARD.encode(png);
        Ok(Self::Image(format!("data:image/png;base64,{text}")))
    }

    fn numbers(input: &[f64], columns: Option<&[String]>) -> Self {
        let named = columns.filter(|columns| columns.len() == input.len());
        // Tokens, and other numbers that count.
        let whole = input.iter().all(|value| value.fract() == 0.0);
        let digits = if whole { 0 } else { 3 };
        let shown = input.iter().take(SHOWN).enumerate();
        let mut numbers: Vec<_> = shown
            .map(|(index, value)| {
                let name = named.map(|names| names[index].clone());
                (name, format!("{value:.digits$}"))
            })
            .collect();
        if input.len() > SHOWN {
            numbers.push((named.map(|_| String::new()), "…".into()));
        }
        Self::Numbers(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_out_in_their_places() -> Result<()> {
        let size: Size = "3x1x2".parse()?;
        let input = [0.0, 1.0, 0.5, 0.0, 0.0, 0.25];
        let Picture::Image(address) = Picture::new(&input, None, Some(size), [0.0, 1.0])? else {
            bail!("no image");
        };
        let text = address.trim_start_matches("data:image/png;base64,");
        let image = image::load_from_memory(&BASE64_STANDARD.decode(text)?)?.to_rgb8();
        assert_eq!(image.dimensions(), (2, 1));
        assert_eq!(image.into_raw(), [0, 128, 0, 255, 0, 64]);
        Ok(())
    }

    #[test]
    fn squares_are_guessed_at() {
        for (sample, guess) in [
            (&[64][..], Some("8x8")),
            (&[784], Some("28x28")),
            (&[3072], Some("3x32x32")),
            (&[49], None),
            (&[100, 100], None),
            (&[65], None),
        ] {
            assert_eq!(Size::guess(sample).as_deref(), guess, "{sample:?}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_drawn_are_refused() {
        for text in ["8", "8x", "2x8x8", "0x8", "1x2x3x4", "axb"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}

use anyhow::Result;
use influence_core::{FieldKind, Values};
use influence_data::Samples;

use super::quality::{Quality, measured};
use crate::{
    config::{Config, Layer},
    models::TaskModel,
};

/// The largest number of a pixel of 8 bits, and of the digits of the UCI, which have 4 bits.
const WHITE: [f64; 2] = [255.0, 16.0];
/// The least largest number that pixels have.
const DIM: f64 = 15.0;
/// Inputs as large as this are not scaled, as it seems, if the model is wrong on them.
const LARGE: f64 = 10.0;
/// Inputs as large as this lose what matters of them in 32 bits.
const HUGE: f64 = 1e6;
/// A model that was trained on scaled inputs has a loss below this part of that of a constant prediction.
const TRAINED: f64 = 0.25;

/// The numbers that inputs have.
#[derive(Debug)]
pub(super) struct Extent {
    least: f64,
    /// The largest number by its magnitude, and where in a sample it is.
    largest: (f64, usize),
    whole: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            largest: (0.0, 0),
            whole: true,
        }
    }
}

impl Extent {
    /// Records the inputs of this many samples.
    pub(super) fn add(&mut self, inputs: &Values, samples: usize) {
        let numbers = (inputs.len() / samples.max(1)).max(1);
        for (index, number) in inputs.floats().enumerate() {
            self.least = self.least.min(number);
            self.whole &= number.fract() == 0.0;
            if number.abs() > self.largest.0 {
                self.largest = (number.abs(), index % numbers);
            }
        }
    }

    /// What pixels that these numbers may be are divided by.
    fn white(&self) -> Option<f64> {
        let [byte, digit] = WHITE;
        let (largest, _) = self.largest;
        let pixels = self.whole && self.least >= 0.0 && (DIM..=byte).contains(&largest);
        pixels.then_some(if largest > digit { byte } else { digit })
    }
}

/// The warning for inputs that look as if they should be scaled.
///
/// Pixels are tried both ways: a model that was trained on them as they are is worse on the others.
pub(super) fn unscaled(
    model: &dyn TaskModel,
    config: &Config,
    samples: &Samples,
    quality: &Quality,
    extent: &Extent,
) -> Result<Option<String>> {
    if config.data.scale.is_some() || !reads_numbers(model, config) {
        return Ok(None);
    }
    let (largest, place) = extent.largest;
    if let Some(white) = extent.white() {
        let (scaled, _) = measured(model, samples, Some(white))?;
        let good = quality.score.constant().map_or(0.0, |loss| TRAINED * loss);
        let better = !quality.loss.is_finite() || scaled.loss < quality.loss.max(good);
        return Ok(better.then(|| format!(
            "inputs are whole numbers from {} to {largest}, and data.scale is not set; divided by {white} they suit the model (training loss {:.4}, as they are {:.4}): add `scale = {{ divide = {white} }}` to [data], or what the training had",
            extent.least, scaled.loss, quality.loss
        )));
    }
    let suspicious = largest >= HUGE || (largest >= LARGE && quality.fault().is_some());
    Ok(suspicious.then(|| format!(
        "inputs are as large as {} (number {place} of a sample, counted from 0), and data.scale is not set: if the model was trained on scaled inputs, add `scale = \"standard\"` to [data], or what the training had",
        shown(largest)
    )))
}

fn shown(number: f64) -> String {
    if number < HUGE {
        format!("{number:.0}")
    } else {
        format!("{number:.1e}")
    }
}

/// Whether inputs are numbers to a model, and not the rows of an embedding.
fn reads_numbers(model: &dyn TaskModel, config: &Config) -> bool {
    let forms = model.forms();
    let layers = config.model.layers.iter().flat_map(|layers| &layers.0);
    let first = layers.map(Layer::kind).next();
    forms
        .first()
        .is_some_and(|form| form.kind == FieldKind::Float)
        && first != Some("embedding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(numbers: &[f64]) -> Extent {
        let mut extent = Extent::default();
        let inputs = Values::new(numbers.to_vec(), &[numbers.len()]);
        extent.add(&inputs.expect("they fit"), 1);
        extent
    }

    #[test]
    fn pixels_are_whole_numbers_up_to_white() {
        for (numbers, white) in [
            (&[0.0, 3.0, 255.0][..], Some(255.0)),
            (&[0.0, 16.0], Some(16.0)),
            (&[0.0, 15.0], Some(16.0)),
            (&[0.0, 17.0], Some(255.0)),
            (&[0.0, 1.0], None),
            (&[0.5, 200.0], None),
            (&[-1.0, 200.0], None),
            (&[0.0, 256.0], None),
        ] {
            assert_eq!(extent(numbers).white(), white, "{numbers:?}");
        }
    }

    #[test]
    fn the_largest_number_is_known_by_its_place_in_a_sample() {
        let mut extent = Extent::default();
        let inputs = Values::new(vec![1.0, 2.0, 3.0, -9.0], &[2, 2]);
        extent.add(&inputs.expect("four"), 2);
        assert_eq!((extent.least, extent.largest), (-9.0, (9.0, 1)));
    }
}

//! Inputs that look as if they should be scaled.

use anyhow::Result;
use influence_core::FieldKind;
use influence_data::Samples;

use super::{
    extent::Extent,
    quality::{Quality, measured},
};
use crate::{
    config::{Config, Layer},
    models::TaskModel,
};

/// Inputs as large as this are not scaled, as it seems, if the model is wrong on them.
const LARGE: f64 = 10.0;
/// Inputs as large as this lose what matters of them in 32 bits.
const HUGE: f64 = 1e6;
/// A model that was trained on scaled inputs has a loss below this part of that of a constant
/// prediction.
const TRAINED: f64 = 0.25;

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
    // Of several inputs, one scale for all of them could not be proposed.
    let several = samples.inputs() > 1;
    if several || config.data.scale.is_some() || !reads_numbers(model, config) {
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
    let form = model.form();
    let layers = config.model.layers.iter().flat_map(|layers| &layers.0);
    let first = layers.map(Layer::kind).next();
    form.inputs
        .first()
        .is_some_and(|form| form.kind == FieldKind::Float)
        && first != Some("embedding")
}

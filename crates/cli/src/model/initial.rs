//! Weights to begin training with.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::TensorData;
use rand::{Rng, RngExt};

use super::{
    architecture::label,
    layer,
    shape::{image, last},
};
use crate::{config::Layer, weights::Weights};

/// Weights of layers that say their sizes, for samples of this shape: numbers between plus and minus `1/√inputs`, as PyTorch begins, and
/// normalisations that change nothing.
///
/// # Errors
/// When a layer does not say its size, or does not fit the samples that reach it; the message names the layer.
pub fn initial_weights(
    layers: &[Layer],
    sample: &[usize],
    random: &mut impl Rng,
) -> Result<Weights> {
    let mut weights = Weights::new("the layers", BTreeMap::new());
    let mut shape = sample.to_vec();
    for (index, layer) in layers.iter().enumerate() {
        let mut follow = || {
            draw(layer, &shape, &mut weights, random)?;
            layer::check(layer, &weights, &shape)
        };
        (_, shape) = follow().with_context(|| label(index, layer))?;
    }
    Ok(weights)
}

/// Draws the weights of one layer, if it has any.
fn draw(
    layer: &Layer,
    input: &[usize],
    weights: &mut Weights,
    random: &mut impl Rng,
) -> Result<()> {
    let (name, shape, bias) = match layer {
        Layer::Linear {
            name,
            outputs,
            bias,
        } => {
            let outputs = outputs.context("say its size, as outputs = 10")?;
            (name, vec![outputs, last(input)?], *bias)
        }
        Layer::Conv2d {
            name,
            outputs,
            kernel_size,
            bias,
            groups,
            ..
        } => {
            let outputs = outputs.context("say its channels, as outputs = 16")?;
            let window = kernel_size.context("say the size of its windows, as kernel_size = 3")?;
            let [channels, ..] = image(input)?;
            let inputs = channels / (*groups).max(1);
            let [height, width] = window.0;
            (name, vec![outputs, inputs, height, width], *bias)
        }
        Layer::LayerNorm { name, .. } => {
            let features = last(input)?;
            let constant = |value: f32| TensorData::new(vec![value; features], [features]);
            weights.insert(format!("{name}.weight"), constant(1.0));
            weights.insert(format!("{name}.bias"), constant(0.0));
            return Ok(());
        }
        _ => return Ok(()),
    };
    let inputs: usize = shape[1..].iter().product();
    let outputs = shape[0];
    weights.insert(format!("{name}.weight"), uniform(&shape, inputs, random));
    if bias != Some(false) {
        weights.insert(format!("{name}.bias"), uniform(&[outputs], inputs, random));
    }
    Ok(())
}

fn uniform(shape: &[usize], inputs: usize, random: &mut impl Rng) -> TensorData {
    let bound = (inputs.max(1) as f32).sqrt().recip();
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (random.random::<f32>() * 2.0 - 1.0) * bound)
        .collect();
    TensorData::new(values, shape.to_vec())
}

//! Weights to begin training with.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::TensorData;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::{
    architecture::in_layer,
    layer::{self, Convolution},
    shape::{check_size, last},
};
use crate::{config::Layer, weights::Weights};

/// Weights of layers that say their sizes, for samples of this shape: numbers between plus and
/// minus `1/√inputs`, as PyTorch begins, normal ones in tables, and normalisations that change
/// nothing.
///
/// # Errors
/// When a layer does not say its size, or does not fit the samples that reach it; the message names
/// the layer.
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
        (_, shape) = in_layer(index, layer, follow())?;
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
    if let Some(convolution) = Convolution::of(layer) {
        let (shape, outputs) = convolution.sizes(input)?;
        check_size(&shape)?;
        let bias = convolution.may_have_bias().then_some(outputs);
        map(convolution.name, &shape, bias, weights, random);
        return Ok(());
    }
    match layer {
        Layer::Linear {
            name,
            outputs,
            bias,
        } => {
            let outputs = outputs.context("give its size, such as outputs = 10")?;
            let shape = [outputs, last(input)?];
            check_size(&shape)?;
            let bias = (*bias != Some(false)).then_some(outputs);
            map(name, &shape, bias, weights, random);
        }
        Layer::Embedding {
            name,
            num_embeddings,
            embedding_dim,
            padding_idx,
        } => {
            let rows = num_embeddings.context("say its rows, as num_embeddings = 1000")?;
            let width = embedding_dim.context("say its numbers, as embedding_dim = 16")?;
            check_size(&[rows, width])?;
            let table = table([rows, width], *padding_idx, random);
            weights.insert(format!("{name}.weight"), table);
        }
        other => constants(other, input, weights)?,
    }
    Ok(())
}

/// A weight of this shape, and a bias of this length.
fn map(
    name: &str,
    shape: &[usize],
    bias: Option<usize>,
    weights: &mut Weights,
    random: &mut impl Rng,
) {
    let inputs: usize = shape[1..].iter().product();
    weights.insert(format!("{name}.weight"), uniform(shape, inputs, random));
    if let Some(outputs) = bias {
        weights.insert(format!("{name}.bias"), uniform(&[outputs], inputs, random));
    }
}

/// Normal numbers, but for the row of the padding, which is zero.
fn table([rows, width]: [usize; 2], padding: Option<usize>, random: &mut impl Rng) -> TensorData {
    let mut values: Vec<f32> = StandardNormal
        .sample_iter(random)
        .take(rows * width)
        .collect();
    let zero = padding.and_then(|row| values.chunks_mut(width.max(1)).nth(row));
    zero.unwrap_or_default().fill(0.0);
    TensorData::new(values, [rows, width])
}

/// Normalisations that change nothing.
fn constants(layer: &Layer, input: &[usize], weights: &mut Weights) -> Result<()> {
    let first = || input.first().copied().context("the samples have no axis");
    let affine: &[(&str, f32)] = &[("weight", 1.0), ("bias", 0.0)];
    let statistics: &[(&str, f32)] = &[("running_mean", 0.0), ("running_var", 1.0)];
    let (name, size, tensors) = match layer {
        Layer::LayerNorm { name, .. } => (name, last(input)?, affine.to_vec()),
        Layer::RmsNorm { name, .. } => (name, last(input)?, affine[..1].to_vec()),
        Layer::GroupNorm {
            name, affine: true, ..
        } => (name, first()?, affine.to_vec()),
        Layer::BatchNorm {
            name, affine: true, ..
        } => (name, first()?, [affine, statistics].concat()),
        Layer::BatchNorm { name, .. } => (name, first()?, statistics.to_vec()),
        _ => return Ok(()),
    };
    for (tensor, value) in tensors {
        let values = TensorData::new(vec![value; size], [size]);
        weights.insert(format!("{name}.{tensor}"), values);
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

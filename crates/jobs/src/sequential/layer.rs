//! One layer against its weights and the shape that reaches it.

mod convolution;
mod embedding;
mod kind;
mod normalisation;
mod pooling;
mod tensors;

use anyhow::{Result, ensure};

use super::{
    operation::Fixed,
    shape::{last_axis, numbers, permute, reshape},
};
use crate::{config, weights::Weights};
pub(super) use convolution::Convolution;
use embedding::embedding;
pub(super) use kind::{ConvolutionOptions, LayerKind};
use normalisation::{batch_norm, group_norm, layer_norm, rms_norm};
use pooling::{adaptive, pool};
use tensors::{Checked, Said, bias, shape_of};

/// What a layer computes, if anything, and the shape of a sample behind it.
pub(super) fn check(layer: &config::Layer, weights: &Weights, input: &[usize]) -> Result<Checked> {
    use config::Layer as L;
    let fixed = |fixed, output| Ok((Some(LayerKind::Fixed(fixed)), output));
    let elementwise = |function| fixed(function, input.to_vec());
    match layer {
        L::Reshape { shape } => Ok((None, reshape(input, shape)?)),
        L::Permute { dims } => fixed(Fixed::Permute(dims.clone()), permute(input, dims)?),
        L::Flatten {} => Ok((None, vec![numbers(input)])),
        L::Dropout { p } => {
            ensure!(
                p.is_none_or(|p| (0.0..=1.0).contains(&p)),
                "p must be between 0 and 1, got {}",
                p.unwrap_or_default()
            );
            Ok((None, input.to_vec()))
        }
        L::Relu {} => elementwise(Fixed::Relu),
        L::LeakyRelu { negative_slope } => {
            elementwise(Fixed::LeakyRelu(finite("negative_slope", *negative_slope)?))
        }
        L::Elu { alpha } => elementwise(Fixed::Elu(finite("alpha", *alpha)?)),
        L::Silu {} => elementwise(Fixed::Silu),
        L::Tanh {} => elementwise(Fixed::Tanh),
        L::Sigmoid {} => elementwise(Fixed::Sigmoid),
        L::Gelu {} => elementwise(Fixed::Gelu),
        L::MaxPool2d {
            kernel_size,
            stride,
            padding,
        } => {
            let (window, output) = pool(input, *kernel_size, *stride, *padding)?;
            fixed(Fixed::MaxPool2d(window), output)
        }
        L::AvgPool2d {
            kernel_size,
            stride,
            padding,
        } => {
            let (window, output) = pool(input, *kernel_size, *stride, *padding)?;
            fixed(Fixed::AvgPool2d(window), output)
        }
        L::AdaptiveAvgPool { output_size } => {
            let (sizes, output) = adaptive(input, &output_size.0)?;
            fixed(Fixed::AdaptiveAvgPool(sizes), output)
        }
        with_weights => with_tensors(with_weights, weights, input),
    }
}

/// As [`check`], for layers with a name.
fn with_tensors(layer: &config::Layer, weights: &Weights, input: &[usize]) -> Result<Checked> {
    use config::Layer as L;
    match layer {
        L::Linear {
            name,
            outputs,
            bias,
        } => {
            let said = Said {
                outputs: *outputs,
                kernel_size: None,
                bias: *bias,
            };
            linear(name, &said, weights, input)
        }
        L::Embedding {
            name,
            num_embeddings,
            embedding_dim,
            padding_idx,
        } => {
            let (weight, output) = embedding(
                name,
                [*num_embeddings, *embedding_dim],
                *padding_idx,
                weights,
                input,
            )?;
            let padding = *padding_idx;
            Ok((Some(LayerKind::Embedding { weight, padding }), output))
        }
        L::LayerNorm { name, eps } => layer_norm(name, *eps, weights, input),
        L::RmsNorm { name, eps } => rms_norm(name, *eps, weights, input),
        L::BatchNorm {
            name,
            eps,
            momentum,
            affine,
            track_running_stats,
        } => {
            let settings = (*eps, *momentum, *track_running_stats);
            batch_norm(name, settings, *affine, weights, input)
        }
        L::GroupNorm {
            name,
            num_groups,
            eps,
            affine,
        } => group_norm(name, (*eps, *num_groups), *affine, weights, input),
        other => Convolution::of(other).map_or_else(
            || Ok((None, input.to_vec())),
            |convolution| convolution.check(weights, input),
        ),
    }
}

fn finite(key: &str, value: f64) -> Result<f64> {
    ensure!(value.is_finite(), "{key} must be finite, got {value}");
    Ok(value)
}

fn linear(name: &str, said: &Said, weights: &Weights, input: &[usize]) -> Result<Checked> {
    let weight = shape_of(name, weights, 2, "(out, in)")?;
    let bias = bias(name, weights, weight[0])?;
    said.check(weight[0], &[], bias)?;
    last_axis(input, weight[1])?;
    let mut output = input.to_vec();
    output.splice(input.len() - 1.., [weight[0]]);
    Ok((Some(LayerKind::Linear { weight, bias }), output))
}

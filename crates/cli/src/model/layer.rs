//! One layer against its weights and the shape that reaches it.

use anyhow::{Result, ensure};
use influence_core::block::Parameter;

use super::{
    operation::{Fixed, Window},
    shape::{image, last_axis, numbers, reshape, shown, slide},
};
use crate::{config, weights::Weights};

/// What a layer computes, in sizes that were checked.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Linear {
        weight: Vec<usize>,
        bias: bool,
    },
    Conv2d {
        weight: Vec<usize>,
        bias: bool,
        window: Window,
        dilation: [usize; 2],
        groups: usize,
    },
    LayerNorm {
        weight: Vec<usize>,
        bias: bool,
        epsilon: f64,
    },
    Fixed(Fixed),
}

impl Kind {
    /// Weight and bias in the order of the module, under the name of their layer.
    pub(super) fn parameters(&self, name: &str) -> Vec<Parameter> {
        let (weight, outputs, bias) = match self {
            // burn keeps the weight of a linear layer as (in, out).
            Self::Linear { weight, bias } => (vec![weight[1], weight[0]], weight[0], *bias),
            Self::Conv2d { weight, bias, .. } | Self::LayerNorm { weight, bias, .. } => {
                (weight.clone(), weight[0], *bias)
            }
            Self::Fixed(_) => return Vec::new(),
        };
        let mut parameters = vec![Parameter {
            name: format!("{name}.weight"),
            shape: weight,
        }];
        parameters.extend(bias.then(|| Parameter {
            name: format!("{name}.bias"),
            shape: vec![outputs],
        }));
        parameters
    }
}

/// What a layer computes, if anything, and the shape of a sample behind it.
pub(super) fn check(
    layer: &config::Layer,
    weights: &Weights,
    input: &[usize],
) -> Result<(Option<Kind>, Vec<usize>)> {
    use config::Layer as L;
    let fixed = |fixed, output| (Some(Kind::Fixed(fixed)), output);
    Ok(match layer {
        L::Reshape { shape } => (None, reshape(input, shape)?),
        L::Flatten {} => (None, vec![numbers(input)]),
        L::Dropout { p } => {
            ensure!(
                p.is_none_or(|p| (0.0..=1.0).contains(&p)),
                "p must be between 0 and 1, got {}",
                p.unwrap_or_default()
            );
            (None, input.to_vec())
        }
        L::Relu {} => fixed(Fixed::Relu, input.to_vec()),
        L::Tanh {} => fixed(Fixed::Tanh, input.to_vec()),
        L::Sigmoid {} => fixed(Fixed::Sigmoid, input.to_vec()),
        L::Gelu {} => fixed(Fixed::Gelu, input.to_vec()),
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
        L::Linear {
            name,
            outputs,
            bias,
        } => {
            check_said(weights, name, *outputs, None, *bias)?;
            linear(name, weights, input)?
        }
        L::LayerNorm { name, eps } => normalisation(name, *eps, weights, input)?,
        L::Conv2d {
            name,
            outputs,
            kernel_size,
            bias,
            stride,
            padding,
            dilation,
            groups,
        } => {
            check_said(weights, name, *outputs, *kernel_size, *bias)?;
            let window = Window {
                size: [0, 0],
                stride: stride.0,
                padding: padding.0,
            };
            convolution(name, window, dilation.0, *groups, weights, input)?
        }
    })
}

/// What a layer says of its own size, where it says anything, against its weights.
fn check_said(
    weights: &Weights,
    name: &str,
    outputs: Option<usize>,
    kernel_size: Option<config::Pair>,
    bias: Option<bool>,
) -> Result<()> {
    let weight = weights.tensor(&format!("{name}.weight"))?.shape().to_vec();
    if let (Some(outputs), Some(&got)) = (outputs, weight.first()) {
        ensure!(
            outputs == got,
            "outputs = {outputs}, but its weights have {got}"
        );
    }
    if let (Some(size), [_, _, got @ ..]) = (kernel_size, &weight[..]) {
        ensure!(
            size.0 == got,
            "kernel_size = {}, but its weights have {}",
            shown(&size.0),
            shown(got)
        );
    }
    let has_bias = weights.shape(&format!("{name}.bias")).is_some();
    ensure!(
        bias.is_none_or(|bias| bias == has_bias),
        "bias = {}, but its weights have {}",
        !has_bias,
        if has_bias { "one" } else { "none" }
    );
    Ok(())
}

fn linear(name: &str, weights: &Weights, input: &[usize]) -> Result<(Option<Kind>, Vec<usize>)> {
    let (weight, bias) = shapes(name, weights, 2, "(out, in)")?;
    last_axis(input, weight[1])?;
    let mut output = input.to_vec();
    output.splice(input.len() - 1.., [weight[0]]);
    Ok((Some(Kind::Linear { weight, bias }), output))
}

fn normalisation(
    name: &str,
    epsilon: f64,
    weights: &Weights,
    input: &[usize],
) -> Result<(Option<Kind>, Vec<usize>)> {
    ensure!(
        epsilon.is_finite() && epsilon > 0.0,
        "eps must be positive and finite, got {epsilon}"
    );
    let (weight, bias) = shapes(
        name,
        weights,
        1,
        "(features), for normalisation along the last axis",
    )?;
    last_axis(input, weight[0])?;
    Ok((
        Some(Kind::LayerNorm {
            weight,
            bias,
            epsilon,
        }),
        input.to_vec(),
    ))
}

fn convolution(
    name: &str,
    window: Window,
    dilation: [usize; 2],
    groups: usize,
    weights: &Weights,
    input: &[usize],
) -> Result<(Option<Kind>, Vec<usize>)> {
    let (weight, bias) = shapes(name, weights, 4, "(out, in, height, width)")?;
    let [channels, height, width] = image(input)?;
    ensure!(groups > 0, "groups must be at least 1, got 0");
    ensure!(
        weight[0].is_multiple_of(groups),
        "{} output channels do not divide into {groups} groups",
        weight[0]
    );
    let taken = weight[1].saturating_mul(groups);
    ensure!(
        taken == channels,
        "its weights take {taken} channels, but the samples reach it in shape {}, with {channels}",
        shown(input)
    );
    let size = [weight[2], weight[3]];
    ensure!(
        !dilation.contains(&0),
        "dilation must be at least 1, got {}",
        shown(&dilation)
    );
    let reach = [0, 1].map(|axis| {
        size[axis]
            .saturating_sub(1)
            .saturating_mul(dilation[axis])
            .saturating_add(1)
    });
    let window = Window { size, ..window };
    let output = slide(weight[0], [height, width], reach, window)?;
    Ok((
        Some(Kind::Conv2d {
            weight,
            bias,
            window,
            dilation,
            groups,
        }),
        output,
    ))
}

fn pool(
    input: &[usize],
    size: config::Pair,
    stride: Option<config::Pair>,
    padding: config::Pair,
) -> Result<(Window, Vec<usize>)> {
    let [channels, height, width] = image(input)?;
    let window = Window {
        size: size.0,
        stride: stride.unwrap_or(size).0,
        padding: padding.0,
    };
    let too_wide = (0..2).any(|axis| window.padding[axis] > window.size[axis] / 2);
    ensure!(
        !too_wide,
        "padding {} must be at most half of kernel_size {}",
        shown(&window.padding),
        shown(&window.size)
    );
    Ok((
        window,
        slide(channels, [height, width], window.size, window)?,
    ))
}

/// The shape of the weight, and whether there is a bias, of as many numbers as the weight has outputs.
fn shapes(name: &str, weights: &Weights, rank: usize, layout: &str) -> Result<(Vec<usize>, bool)> {
    let tensor = format!("{name}.weight");
    let weight = weights.tensor(&tensor)?.shape().to_vec();
    ensure!(
        weight.len() == rank,
        "tensor `{tensor}` has shape {}, expected {layout}",
        shown(&weight)
    );
    ensure!(
        !weight.contains(&0),
        "tensor `{tensor}` has shape {}, which is empty",
        shown(&weight)
    );
    let tensor = format!("{name}.bias");
    let Some(bias) = weights.shape(&tensor) else {
        return Ok((weight, false));
    };
    ensure!(
        bias == [weight[0]],
        "tensor `{tensor}` has shape {}, expected ({})",
        shown(bias),
        weight[0]
    );
    Ok((weight, true))
}

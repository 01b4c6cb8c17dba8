//! Convolutions over one or two axes, and transposed ones.

use anyhow::{Context, Result, ensure};

use super::{
    kind::{ConvolutionOptions, LayerKind},
    tensors::{Checked, Said, bias, shape_of},
};
use crate::{
    config::{Layer, Padding, Pair},
    sequential::shape::{image, line, shown, slide, spread},
    weights::Weights,
};

/// A convolution as configured, whatever the number of its axes.
pub(in crate::sequential) struct Convolution<'a> {
    pub(in crate::sequential) name: &'a str,
    said: Said,
    stride: Vec<usize>,
    padding: Padding<Vec<usize>>,
    dilation: Vec<usize>,
    groups: usize,
    /// Of a transposed one.
    output_padding: Option<[usize; 2]>,
}

/// Weights that fit a convolution and what reaches it.
struct Fitted {
    weight: Vec<usize>,
    bias: bool,
    outputs: usize,
    /// The sizes of the axes of the input, without the channels.
    sizes: Vec<usize>,
}

impl<'a> Convolution<'a> {
    /// The settings of a layer, if it is a convolution.
    pub(in crate::sequential) fn of(layer: &'a Layer) -> Option<Self> {
        let pair = |pair: Pair| pair.0.to_vec();
        Some(match layer {
            Layer::Conv1d {
                name,
                outputs,
                kernel_size,
                bias,
                stride,
                padding,
                dilation,
                groups,
            } => Self {
                name,
                said: Said {
                    outputs: *outputs,
                    kernel_size: kernel_size.map(|size| vec![size]),
                    bias: *bias,
                },
                stride: vec![*stride],
                padding: padding.map(|size| vec![size]),
                dilation: vec![*dilation],
                groups: *groups,
                output_padding: None,
            },
            Layer::Conv2d {
                name,
                outputs,
                kernel_size,
                bias,
                stride,
                padding,
                dilation,
                groups,
            } => Self {
                name,
                said: Said {
                    outputs: *outputs,
                    kernel_size: kernel_size.map(pair),
                    bias: *bias,
                },
                stride: pair(*stride),
                padding: padding.map(pair),
                dilation: pair(*dilation),
                groups: *groups,
                output_padding: None,
            },
            Layer::ConvTranspose2d {
                name,
                outputs,
                kernel_size,
                bias,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
            } => Self {
                name,
                said: Said {
                    outputs: *outputs,
                    kernel_size: kernel_size.map(pair),
                    bias: *bias,
                },
                stride: pair(*stride),
                padding: Padding::Zeros(pair(*padding)),
                dilation: pair(*dilation),
                groups: *groups,
                output_padding: Some(output_padding.0),
            },
            _ => return None,
        })
    }

    /// The shape of a weight that is to be drawn, and the number of outputs.
    pub(in crate::sequential) fn sizes(&self, input: &[usize]) -> Result<(Vec<usize>, usize)> {
        let outputs = self.said.outputs;
        let outputs = outputs.context("say its channels, as outputs = 16")?;
        let window = self.said.kernel_size.as_deref();
        let window = window.context("give the size of its windows, such as kernel_size = 3")?;
        let (channels, _) = axes_of(input, self.stride.len())?;
        let groups = self.groups.max(1);
        let sides = if self.output_padding.is_some() {
            divides("output", outputs, groups)?;
            [channels, outputs / groups]
        } else {
            [outputs, channels / groups]
        };
        Ok(([&sides[..], window].concat(), outputs))
    }

    /// Whether it has a bias, as far as it says.
    pub(in crate::sequential) fn may_have_bias(&self) -> bool {
        self.said.bias != Some(false)
    }

    /// Holds it against its weights and the shape that reaches it.
    pub(super) fn check(self, weights: &Weights, input: &[usize]) -> Result<Checked> {
        ensure!(self.groups > 0, "groups must be at least 1, got 0");
        for (key, steps) in [("stride", &self.stride), ("dilation", &self.dilation)] {
            ensure!(
                !steps.contains(&0),
                "{key} must be at least 1, got {}",
                shown(steps)
            );
        }
        match self.output_padding {
            None => self.plain(weights, input),
            Some(output_padding) => self.transposed(output_padding, weights, input),
        }
    }

    fn plain(self, weights: &Weights, input: &[usize]) -> Result<Checked> {
        let Fitted {
            weight,
            bias,
            outputs,
            sizes,
        } = self.fitted(weights, input)?;
        let reach = self.reach(&weight[2..]);
        let options = self.options(&reach)?;
        let output = slide(outputs, &sizes, &reach, &options.stride, &options.padding)?;
        let kind = LayerKind::Convolution {
            weight,
            bias,
            options,
        };
        Ok((Some(kind), output))
    }

    fn transposed(
        self,
        output_padding: [usize; 2],
        weights: &Weights,
        input: &[usize],
    ) -> Result<Checked> {
        let Fitted {
            weight,
            bias,
            outputs,
            sizes,
        } = self.fitted(weights, input)?;
        let small = |axis: usize| output_padding[axis] < self.stride[axis].max(self.dilation[axis]);
        ensure!(
            small(0) && small(1),
            "output_padding {} must be smaller than stride {} or dilation {}",
            shown(&output_padding),
            shown(&self.stride),
            shown(&self.dilation)
        );
        let reach = self.reach(&weight[2..]);
        let options = self.options(&reach)?;
        let output = spread(outputs, &sizes, &reach, &options, output_padding)?;
        let kind = LayerKind::Transposed {
            weight,
            bias,
            options,
            output_padding,
        };
        Ok((Some(kind), output))
    }

    /// Holds the shapes of its weights against what it says and what reaches it.
    ///
    /// The first axis of the weight has the outputs, that of a transposed one the inputs; the
    /// second has the share of a group in the other.
    fn fitted(&self, weights: &Weights, input: &[usize]) -> Result<Fitted> {
        let (axes, transposed) = (self.stride.len(), self.output_padding.is_some());
        let layout = match (transposed, axes) {
            (true, _) => "(in, out / groups, height, width)",
            (false, 1) => "(out, in, length)",
            (false, _) => "(out, in, height, width)",
        };
        let weight = shape_of(self.name, weights, axes + 2, layout)?;
        let of_groups = weight[1].saturating_mul(self.groups);
        let (outputs, taken, first) = if transposed {
            (of_groups, weight[0], "input")
        } else {
            (weight[0], of_groups, "output")
        };
        let bias = bias(self.name, weights, outputs)?;
        self.said.check(outputs, &weight[2..], bias)?;
        let (channels, sizes) = axes_of(input, axes)?;
        divides(first, weight[0], self.groups)?;
        takes(taken, channels, input)?;
        Ok(Fitted {
            weight,
            bias,
            outputs,
            sizes,
        })
    }

    /// How many numbers a window spans along each axis.
    fn reach(&self, kernel: &[usize]) -> Vec<usize> {
        let axes = kernel.iter().zip(&self.dilation);
        axes.map(|(size, dilation)| {
            size.saturating_sub(1)
                .saturating_mul(*dilation)
                .saturating_add(1)
        })
        .collect()
    }

    fn options(self, reach: &[usize]) -> Result<ConvolutionOptions> {
        let padding = match &self.padding {
            Padding::Valid => vec![(0, 0); reach.len()],
            Padding::Zeros(zeros) => zeros.iter().map(|&zeros| (zeros, zeros)).collect(),
            Padding::Same => {
                ensure!(
                    self.stride.iter().all(|&stride| stride == 1),
                    "padding = \"same\" needs stride 1, as in PyTorch, got {}",
                    shown(&self.stride)
                );
                // PyTorch puts the odd one at the end.
                let around = |reach: &usize| ((reach - 1) / 2, reach / 2);
                reach.iter().map(around).collect()
            }
        };
        Ok(ConvolutionOptions {
            stride: self.stride,
            padding,
            dilation: self.dilation,
            groups: self.groups,
        })
    }
}

fn axes_of(input: &[usize], axes: usize) -> Result<(usize, Vec<usize>)> {
    Ok(if axes == 1 {
        let [channels, length] = line(input)?;
        (channels, vec![length])
    } else {
        let [channels, height, width] = image(input)?;
        (channels, vec![height, width])
    })
}

fn divides(what: &str, channels: usize, groups: usize) -> Result<()> {
    ensure!(
        channels.is_multiple_of(groups),
        "{channels} {what} channels do not divide into {groups} groups"
    );
    Ok(())
}

fn takes(taken: usize, channels: usize, input: &[usize]) -> Result<()> {
    ensure!(
        taken == channels,
        "its weights take {taken} channels, but the samples reach it in shape {}, with {channels}",
        shown(input)
    );
    Ok(())
}

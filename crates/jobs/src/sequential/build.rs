//! From a checked layer and its weights to the module that computes it.

use anyhow::Result;
use burn::{
    module::{Param, RunningState},
    nn::{
        Linear, PaddingConfig1d, PaddingConfig2d,
        conv::{Conv1d, Conv2d, ConvTranspose2d},
    },
    tensor::{Device, Tensor},
};

use super::{
    layer::{ConvolutionOptions, LayerKind},
    norms::{BatchNorm, Embedding, GroupNorm, LayerNorm, RmsNorm},
    operation::Operation,
};
use crate::weights::Weights;

/// What a layer does, with its weights in their precision on a device.
///
/// # Errors
/// When a tensor is not in the weights.
pub(super) fn operation(
    kind: &LayerKind,
    layer: &str,
    weights: &Weights,
    device: &Device,
) -> Result<Operation> {
    let source = Source {
        weights,
        layer,
        device,
    };
    Ok(match kind {
        LayerKind::Linear { bias, .. } => Linear {
            weight: Param::from_tensor(source.tensor::<2>("weight")?.transpose()),
            bias: source.optional("bias", *bias)?,
        }
        .into(),
        LayerKind::Embedding { padding, .. } => Embedding {
            weight: source.parameter("weight")?,
            padding: *padding,
        }
        .into(),
        LayerKind::Convolution {
            weight,
            bias,
            options,
        } => source.convolution(weight, *bias, options)?,
        LayerKind::Transposed {
            weight,
            bias,
            options,
            output_padding,
        } => source.transposed(weight, *bias, options, *output_padding)?,
        LayerKind::LayerNorm { bias, epsilon, .. } => LayerNorm {
            weight: source.parameter("weight")?,
            bias: source.optional("bias", *bias)?,
            epsilon: *epsilon,
        }
        .into(),
        LayerKind::RmsNorm { epsilon, .. } => RmsNorm {
            weight: source.parameter("weight")?,
            epsilon: *epsilon,
        }
        .into(),
        LayerKind::BatchNorm {
            affine,
            epsilon,
            momentum,
            ..
        } => BatchNorm {
            weight: source.optional("weight", *affine)?,
            bias: source.optional("bias", *affine)?,
            running_mean: RunningState::new(source.tensor("running_mean")?),
            running_var: RunningState::new(source.tensor("running_var")?),
            training: Param::from_bool(true),
            momentum: *momentum,
            epsilon: *epsilon,
        }
        .into(),
        LayerKind::GroupNorm {
            affine,
            epsilon,
            groups,
            ..
        } => GroupNorm {
            weight: source.optional("weight", *affine)?,
            bias: source.optional("bias", *affine)?,
            groups: *groups,
            epsilon: *epsilon,
        }
        .into(),
        LayerKind::Fixed(fixed) => fixed.clone().into(),
    })
}

/// The tensors of one layer, on their way to a device.
struct Source<'a> {
    weights: &'a Weights,
    layer: &'a str,
    device: &'a Device,
}

impl Source<'_> {
    fn tensor<const D: usize>(&self, parameter: &str) -> Result<Tensor<D>> {
        let data = self
            .weights
            .tensor(&format!("{}.{parameter}", self.layer))?
            .clone();
        let dtype = data.dtype();
        Ok(Tensor::from_data(data, (self.device, dtype)))
    }

    fn parameter<const D: usize>(&self, parameter: &str) -> Result<Param<Tensor<D>>> {
        Ok(Param::from_tensor(self.tensor(parameter)?))
    }

    fn optional(&self, parameter: &str, present: bool) -> Result<Option<Param<Tensor<1>>>> {
        present.then(|| self.parameter(parameter)).transpose()
    }

    fn convolution(
        &self,
        weight: &[usize],
        bias: bool,
        options: &ConvolutionOptions,
    ) -> Result<Operation> {
        let bias = self.optional("bias", bias)?;
        let groups = options.groups;
        if let (&[stride], &[(left, right)]) = (&options.stride[..], &options.padding[..]) {
            let convolution = Conv1d {
                weight: self.parameter("weight")?,
                bias,
                stride,
                kernel_size: weight[2],
                dilation: options.dilation[0],
                groups,
                padding: PaddingConfig1d::Explicit(left, right),
            };
            return Ok(convolution.into());
        }
        let [(top, bottom), (left, right)] = [options.padding[0], options.padding[1]];
        let convolution = Conv2d {
            weight: self.parameter("weight")?,
            bias,
            stride: pair(&options.stride),
            kernel_size: [weight[2], weight[3]],
            dilation: pair(&options.dilation),
            groups,
            padding: PaddingConfig2d::Explicit(top, left, bottom, right),
        };
        Ok(convolution.into())
    }

    fn transposed(
        &self,
        weight: &[usize],
        bias: bool,
        options: &ConvolutionOptions,
        output_padding: [usize; 2],
    ) -> Result<Operation> {
        let module = ConvTranspose2d {
            weight: self.parameter("weight")?,
            bias: self.optional("bias", bias)?,
            stride: pair(&options.stride),
            kernel_size: [weight[2], weight[3]],
            dilation: pair(&options.dilation),
            groups: options.groups,
            padding: [options.padding[0].0, options.padding[1].0],
            padding_out: output_padding,
            channels: [weight[0], weight[1] * options.groups],
        };
        Ok(module.into())
    }
}

fn pair(sizes: &[usize]) -> [usize; 2] {
    [sizes[0], sizes[1]]
}

//! What a layer computes.

use influence_core::block::Parameter;

use crate::sequential::operation::Fixed;

/// The running statistics of a batch norm, from the batches that it was trained on.
pub(super) const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// What a layer computes, in sizes that were checked.
#[derive(Debug, Clone)]
pub(in crate::sequential) enum LayerKind {
    Linear {
        weight: Vec<usize>,
        bias: bool,
    },
    Embedding {
        weight: Vec<usize>,
        padding: Option<usize>,
    },
    /// Over one or two axes, as the weight has them.
    Convolution {
        weight: Vec<usize>,
        bias: bool,
        options: ConvolutionOptions,
    },
    /// Over two axes.
    Transposed {
        weight: Vec<usize>,
        bias: bool,
        options: ConvolutionOptions,
        output_padding: [usize; 2],
    },
    LayerNorm {
        features: usize,
        bias: bool,
        epsilon: f64,
    },
    RmsNorm {
        features: usize,
        epsilon: f64,
    },
    BatchNorm {
        channels: usize,
        affine: bool,
        epsilon: f64,
        momentum: f64,
    },
    GroupNorm {
        channels: usize,
        affine: bool,
        epsilon: f64,
        groups: usize,
    },
    Fixed(Fixed),
}

/// How the windows of a convolution move, axis by axis.
#[derive(Debug, Clone)]
pub(in crate::sequential) struct ConvolutionOptions {
    pub(in crate::sequential) stride: Vec<usize>,
    pub(in crate::sequential) padding: Vec<(usize, usize)>,
    pub(in crate::sequential) dilation: Vec<usize>,
    pub(in crate::sequential) groups: usize,
}

impl LayerKind {
    /// The trained tensors in the order of the module, and their shapes there.
    fn trained(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (weight, outputs, bias) = match self {
            // burn keeps the weight of a linear layer as (in, out).
            Self::Linear { weight, bias } => (vec![weight[1], weight[0]], weight[0], *bias),
            Self::Embedding { weight, .. } => (weight.clone(), 0, false),
            Self::Convolution { weight, bias, .. } => (weight.clone(), weight[0], *bias),
            Self::Transposed {
                weight,
                bias,
                options,
                ..
            } => (weight.clone(), weight[1] * options.groups, *bias),
            Self::LayerNorm { features, bias, .. } => (vec![*features], *features, *bias),
            Self::RmsNorm { features, .. } => (vec![*features], 0, false),
            Self::BatchNorm {
                channels, affine, ..
            }
            | Self::GroupNorm {
                channels, affine, ..
            } => {
                let both = ["weight", "bias"].map(|tensor| (tensor, vec![*channels]));
                return both.into_iter().filter(|_| *affine).collect();
            }
            Self::Fixed(_) => return Vec::new(),
        };
        let mut tensors = vec![("weight", weight)];
        tensors.extend(bias.then(|| ("bias", vec![outputs])));
        tensors
    }

    /// The trained parameters in the order of the module, under the name of their layer.
    pub(in crate::sequential) fn parameters(&self, name: &str) -> Vec<Parameter> {
        let parameter = |(tensor, shape)| Parameter {
            name: format!("{name}.{tensor}"),
            shape,
        };
        self.trained().into_iter().map(parameter).collect()
    }

    /// The names of all tensors that the layer takes from its weights.
    pub(in crate::sequential) fn tensors(&self) -> impl Iterator<Item = &'static str> {
        let statistics: &[_] = match self {
            Self::BatchNorm { .. } => &STATISTICS,
            _ => &[],
        };
        let trained = self.trained().into_iter().map(|(tensor, _)| tensor);
        trained.chain(statistics.iter().copied())
    }
}

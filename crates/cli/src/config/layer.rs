//! The layers of a sequential model, as configured.

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::{Table, Value};

use super::mistake;

/// The layers in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<Table>")]
pub struct Layers(pub Vec<Layer>);

impl TryFrom<Vec<Table>> for Layers {
    type Error = String;

    fn try_from(tables: Vec<Table>) -> Result<Self, String> {
        let parse = |(index, table): (usize, Table)| {
            table.try_into().map_err(|error: toml::de::Error| {
                let mistake = mistake::explain(&error);
                format!("layer {} (counted from 1): {mistake}", index + 1)
            })
        };
        tables
            .into_iter()
            .enumerate()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Two sizes, down and across; a single number stands for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let size = |value: &Value| {
            value
                .as_integer()
                .and_then(|size| usize::try_from(size).ok())
        };
        let pair = match &value {
            Value::Array(sizes) => match sizes.as_slice() {
                [down, across] => size(down).zip(size(across)),
                _ => None,
            },
            single => size(single).map(|size| (size, size)),
        };
        let (down, across) = pair.ok_or_else(|| {
            D::Error::custom(format!(
                "expected a size or two, as 2 or [2, 2], got {value}"
            ))
        })?;
        Ok(Self([down, across]))
    }
}

/// A layer. Layers with a `name` have weights; their sizes are those of the weights, and need to be said only for `influence train`. Shapes are
/// per sample.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Gives each sample another shape of as many numbers.
    Reshape {
        /// The new shape.
        shape: Vec<usize>,
    },
    /// Gives each sample a single axis.
    Flatten {},
    /// `x Wᵀ + b` along the last axis.
    Linear {
        /// The name of the weights.
        name: String,
        /// The size of the last axis behind it.
        outputs: Option<usize>,
        /// Whether it has a bias.
        bias: Option<bool>,
    },
    /// A convolution of `(channels, height, width)`.
    Conv2d {
        /// The name of the weights.
        name: String,
        /// The channels behind it.
        outputs: Option<usize>,
        /// The size of a window.
        kernel_size: Option<Pair>,
        /// Whether it has a bias.
        bias: Option<bool>,
        /// Steps between windows. Default 1.
        #[serde(default = "one")]
        stride: Pair,
        /// Zeros around the image. Default 0.
        #[serde(default = "zero")]
        padding: Pair,
        /// Steps within a window. Default 1.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels. Default 1.
        #[serde(default = "one_group")]
        groups: usize,
    },
    /// `max(x, 0)`.
    Relu {},
    /// Hyperbolic tangent.
    Tanh {},
    /// `1 / (1 + exp(-x))`.
    Sigmoid {},
    /// `x Φ(x)`, exact.
    Gelu {},
    /// The largest number of each window.
    #[serde(rename = "max_pool2d")]
    MaxPool2d {
        /// The size of a window.
        kernel_size: Pair,
        /// Steps between windows. Default: the size of a window.
        stride: Option<Pair>,
        /// Border around the image. Default 0.
        #[serde(default = "zero")]
        padding: Pair,
    },
    /// The mean of each window, zeros of the border included.
    #[serde(rename = "avg_pool2d")]
    AvgPool2d {
        /// The size of a window.
        kernel_size: Pair,
        /// Steps between windows. Default: the size of a window.
        stride: Option<Pair>,
        /// Zeros around the image. Default 0.
        #[serde(default = "zero")]
        padding: Pair,
    },
    /// Normalisation along the last axis, then scale and shift.
    LayerNorm {
        /// The name of the weights.
        name: String,
        /// Added to the variance. Default 1e-5.
        #[serde(default = "epsilon")]
        eps: f64,
    },
    /// Inactive: influences are those of the model in inference.
    Dropout {
        /// The probability in training; of no effect.
        p: Option<f64>,
    },
}

impl Layer {
    /// The kind, as it is configured.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reshape { .. } => "reshape",
            Self::Flatten {} => "flatten",
            Self::Linear { .. } => "linear",
            Self::Conv2d { .. } => "conv2d",
            Self::Relu {} => "relu",
            Self::Tanh {} => "tanh",
            Self::Sigmoid {} => "sigmoid",
            Self::Gelu {} => "gelu",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Dropout { .. } => "dropout",
        }
    }

    /// The name of the weights, if it has any.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Linear { name, .. }
            | Self::Conv2d { name, .. }
            | Self::LayerNorm { name, .. } => Some(name),
            _ => None,
        }
    }
}

fn one() -> Pair {
    Pair([1, 1])
}

fn zero() -> Pair {
    Pair([0, 0])
}

fn one_group() -> usize {
    1
}

fn epsilon() -> f64 {
    1e-5
}

//! The layers of a sequential model, as configured.

use influence_data::key::{KeyError, KeyPath, Segment};
use serde::Deserialize;
use toml::{Table, Value};

use super::{Padding, Pair, Sizes};

/// The layers in order.
#[derive(Debug, Clone, Deserialize)]
pub struct Layers(pub Vec<Layer>);

/// Where they are.
const PATH: &str = "model.layers";

/// The key by which `influence init` marks what the weights do not tell.
pub(crate) const CONFIRM: &str = "confirm";

/// Refuses a configuration with layers that are marked as guesses.
pub(super) fn check_confirmed(table: &Table) -> Result<(), KeyError> {
    let model = table.get("model").and_then(|model| model.get("layers"));
    let layers = model.and_then(Value::as_array).into_iter().flatten();
    for (index, layer) in layers.enumerate() {
        if let Some(doubt) = layer.get(CONFIRM) {
            let path = KeyPath::from(PATH).index(index);
            return Err(KeyError::worded(path, unconfirmed(index, layer, doubt)));
        }
    }
    Ok(())
}

fn unconfirmed(index: usize, layer: &Value, doubt: &Value) -> String {
    let text = |key: &str| layer.get(key).and_then(Value::as_str);
    let kind = text("kind").unwrap_or("no kind");
    let name = text("name").map_or_else(String::new, |name| format!(" `{name}`"));
    let doubt = doubt.as_str().unwrap_or("it is a guess");
    format!(
        "{PATH}: layer {} ({kind}{name}) is not confirmed: {doubt}; correct the line if it is wrong, then delete its `{CONFIRM}`",
        index + 1
    )
}

/// A path as messages show it: the keys, and the number of a layer, counted from 1, as
/// `model.layers: layer 3 (counted from 1): kind`.
pub(super) fn shown(path: &KeyPath) -> String {
    let mut text = String::new();
    let mut between = "";
    for segment in path.segments() {
        match segment {
            Segment::Key(key) => {
                text.push_str(between);
                text.push_str(key);
                between = ".";
            }
            Segment::Index(index) if text == PATH => {
                let layer = format!(": layer {} (counted from 1)", index + 1);
                text.push_str(&layer);
                between = ": ";
            }
            Segment::Index(_) => {}
        }
    }
    text
}

/// The path of the layer, if a path leads into one: which value fits is decided by its kind.
pub(super) fn whole(path: KeyPath) -> KeyPath {
    let layers = KeyPath::from(PATH);
    if !path.is_within(&layers) {
        return path;
    }
    let length = layers.segments().len() + 1;
    path.segments().take(length).cloned().collect()
}

/// A layer. Layers with a `name` have weights; their sizes are those of the weights, and need to be
/// said only for `influence train`. Shapes are per sample.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Gives each sample another shape of as many numbers.
    Reshape {
        /// The new shape.
        shape: Vec<usize>,
    },
    /// Gives each sample its axes in another order.
    Permute {
        /// Which axis comes where, counted from 0 without that of the samples.
        dims: Vec<usize>,
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
        /// Zeros around the image, `"same"` or `"valid"`. Default 0.
        #[serde(default)]
        padding: Padding<Pair>,
        /// Steps within a window. Default 1.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels. Default 1.
        #[serde(default = "single")]
        groups: usize,
    },
    /// A convolution of `(channels, length)`.
    Conv1d {
        /// The name of the weights.
        name: String,
        /// The channels behind it.
        outputs: Option<usize>,
        /// The size of a window.
        kernel_size: Option<usize>,
        /// Whether it has a bias.
        bias: Option<bool>,
        /// Steps between windows. Default 1.
        #[serde(default = "single")]
        stride: usize,
        /// Zeros at each end, `"same"` or `"valid"`. Default 0.
        #[serde(default)]
        padding: Padding<usize>,
        /// Steps within a window. Default 1.
        #[serde(default = "single")]
        dilation: usize,
        /// Groups of channels. Default 1.
        #[serde(default = "single")]
        groups: usize,
    },
    /// A transposed convolution of `(channels, height, width)`.
    ConvTranspose2d {
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
        /// What is cut off around the image. Default 0.
        #[serde(default = "zero")]
        padding: Pair,
        /// Rows and columns added below and on the right of the output. Default 0.
        #[serde(default = "zero")]
        output_padding: Pair,
        /// Steps within a window. Default 1.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels. Default 1.
        #[serde(default = "single")]
        groups: usize,
    },
    /// Rows of a table, looked up by the integers of the inputs: `(t)` becomes
    /// `(t, embedding_dim)`. The first layer that computes anything.
    Embedding {
        /// The name of the weights.
        name: String,
        /// The rows of the table.
        num_embeddings: Option<usize>,
        /// The numbers of a row.
        embedding_dim: Option<usize>,
        /// A row of zeros that has no gradient.
        padding_idx: Option<usize>,
    },
    /// `max(x, 0)`.
    Relu {},
    /// `x` above zero, `negative_slope · x` elsewhere.
    LeakyRelu {
        /// Default 0.01.
        #[serde(default = "negative_slope")]
        negative_slope: f64,
    },
    /// `x` above zero, `alpha · (exp(x) − 1)` elsewhere.
    Elu {
        /// Default 1.
        #[serde(default = "alpha")]
        alpha: f64,
    },
    /// `x / (1 + exp(-x))`.
    Silu {},
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
    /// The mean of each of this many windows, as even as possible, whatever the size of
    /// `(channels, length)` or `(channels, height, width)`.
    AdaptiveAvgPool {
        /// The sizes behind it, of one or two axes.
        output_size: Sizes,
    },
    /// Normalisation by the running statistics of each channel, the first axis, then scale and
    /// shift.
    BatchNorm {
        /// The name of the weights.
        name: String,
        /// Added to the variance. Default 1e-5.
        #[serde(default = "epsilon")]
        eps: f64,
        /// How much of the running statistics a batch replaces in training. Default 0.1.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Whether it has scale and shift. Default true.
        #[serde(default = "yes")]
        affine: bool,
        /// Whether it has running statistics. Default true; without them samples interact, which is
        /// refused.
        #[serde(default = "yes")]
        track_running_stats: bool,
    },
    /// Normalisation of each group of channels over all positions, then scale and shift by channel.
    GroupNorm {
        /// The name of the weights.
        name: String,
        /// Groups of channels.
        num_groups: usize,
        /// Added to the variance. Default 1e-5.
        #[serde(default = "epsilon")]
        eps: f64,
        /// Whether it has scale and shift. Default true.
        #[serde(default = "yes")]
        affine: bool,
    },
    /// Division by the root of the mean square along the last axis, then scale.
    RmsNorm {
        /// The name of the weights.
        name: String,
        /// Added to the mean square. Default: the distance from 1 to the next number of 32 bits,
        /// 1.1920929e-7.
        #[serde(default = "epsilon_of_f32")]
        eps: f64,
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
            Self::Permute { .. } => "permute",
            Self::Flatten {} => "flatten",
            Self::Linear { .. } => "linear",
            Self::Conv2d { .. } => "conv2d",
            Self::Conv1d { .. } => "conv1d",
            Self::ConvTranspose2d { .. } => "conv_transpose2d",
            Self::Embedding { .. } => "embedding",
            Self::Relu {} => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Silu {} => "silu",
            Self::Tanh {} => "tanh",
            Self::Sigmoid {} => "sigmoid",
            Self::Gelu {} => "gelu",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::AdaptiveAvgPool { .. } => "adaptive_avg_pool",
            Self::BatchNorm { .. } => "batch_norm",
            Self::GroupNorm { .. } => "group_norm",
            Self::RmsNorm { .. } => "rms_norm",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Dropout { .. } => "dropout",
        }
    }

    /// The name of the weights, if it has any.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Linear { name, .. }
            | Self::Conv2d { name, .. }
            | Self::Conv1d { name, .. }
            | Self::ConvTranspose2d { name, .. }
            | Self::Embedding { name, .. }
            | Self::BatchNorm { name, .. }
            | Self::GroupNorm { name, .. }
            | Self::RmsNorm { name, .. }
            | Self::LayerNorm { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The name of its weights, if it is an embedding.
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::Embedding { name, .. } => Some(name),
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

fn single() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn negative_slope() -> f64 {
    0.01
}

fn alpha() -> f64 {
    1.0
}

fn momentum() -> f64 {
    0.1
}

fn epsilon_of_f32() -> f64 {
    f32::EPSILON.into()
}

fn epsilon() -> f64 {
    1e-5
}

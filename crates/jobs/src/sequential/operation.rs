//! What a layer does to a batch of rows.

use burn::{
    nn::{
        Linear,
        conv::{Conv1d, Conv2d, ConvTranspose2d},
    },
    tensor::{
        Tensor,
        activation::{gelu, relu, sigmoid, silu, tanh},
        module::{adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool2d, max_pool2d},
        ops::{AvgPoolOptions, MaxPoolOptions},
    },
};

use super::norms::{BatchNorm, Embedding, GroupNorm, LayerNorm, RmsNorm};

/// A step of a model.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Linear(Linear),
    Embedding(Embedding),
    Conv1d(Conv1d),
    Conv2d(Conv2d),
    ConvTranspose2d(ConvTranspose2d),
    LayerNorm(LayerNorm),
    RmsNorm(RmsNorm),
    BatchNorm(BatchNorm),
    GroupNorm(GroupNorm),
    Fixed(Fixed),
}

/// A step without parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fixed {
    Permute(Vec<usize>),
    Relu,
    LeakyRelu(f64),
    Elu(f64),
    Silu,
    Tanh,
    Sigmoid,
    Gelu,
    MaxPool2d(Window),
    AvgPool2d(Window),
    AdaptiveAvgPool(Vec<usize>),
}

/// The windows of a pooling layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) size: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

/// What an expression makes of the module within an operation, and what becomes of an operation
/// without one.
macro_rules! within {
    ($operation:expr, $module:ident => $made:expr, $fixed:pat => $otherwise:expr) => {
        match $operation {
            Operation::Linear($module) => $made,
            Operation::Embedding($module) => $made,
            Operation::Conv1d($module) => $made,
            Operation::Conv2d($module) => $made,
            Operation::ConvTranspose2d($module) => $made,
            Operation::LayerNorm($module) => $made,
            Operation::RmsNorm($module) => $made,
            Operation::BatchNorm($module) => $made,
            Operation::GroupNorm($module) => $made,
            $fixed => $otherwise,
        }
    };
}

/// Replaces the module within an operation.
macro_rules! each {
    ($operation:expr, $module:ident => $changed:expr) => {
        within!($operation, $module => $changed.into(), fixed @ Operation::Fixed(_) => fixed)
    };
}
pub(super) use {each, within};

macro_rules! from {
    ($($module:ident),*) => {
        $(impl From<$module> for Operation {
            fn from(module: $module) -> Self {
                Self::$module(module)
            }
        })*
    };
}
from!(
    Linear,
    Embedding,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    LayerNorm,
    RmsNorm,
    BatchNorm,
    GroupNorm,
    Fixed
);

impl Operation {
    /// `(n, inputs)` → `(n, outputs)`; `input` is the shape of a sample. Shapes were checked by the
    /// plan.
    pub(super) fn forward(&self, rows: Tensor<2>, input: &[usize]) -> Tensor<2> {
        match self {
            Self::Linear(module) => along_last_axis(
                rows,
                input,
                |rows| module.forward(rows),
                |rows| module.forward(rows),
            ),
            Self::LayerNorm(module) => along_last_axis(
                rows,
                input,
                |rows| module.forward(rows),
                |rows| module.forward(rows),
            ),
            Self::RmsNorm(module) => along_last_axis(
                rows,
                input,
                |rows| module.forward(rows),
                |rows| module.forward(rows),
            ),
            Self::Embedding(module) => module.forward(rows.int()).flatten(1, 2),
            Self::Conv1d(module) => on_channels(rows, input, |lines| module.forward(lines)),
            Self::Conv2d(module) => on_images(rows, input, |images| module.forward(images)),
            Self::ConvTranspose2d(module) => {
                on_images(rows, input, |images| module.forward(images))
            }
            Self::BatchNorm(module) => on_channels(rows, input, |rows| module.forward(rows)),
            Self::GroupNorm(module) => on_channels(rows, input, |rows| module.forward(rows)),
            Self::Fixed(fixed) => fixed.forward(rows, input),
        }
    }
}

impl Fixed {
    fn forward(&self, rows: Tensor<2>, input: &[usize]) -> Tensor<2> {
        match self {
            Self::Permute(dims) => permute(rows, input, dims),
            Self::Relu => relu(rows),
            &Self::LeakyRelu(slope) => {
                let below = rows.clone().lower_equal_scalar(0);
                rows.clone().mask_where(below, rows * slope)
            }
            &Self::Elu(alpha) => elu(rows, alpha),
            Self::Silu => silu(rows),
            Self::Tanh => tanh(rows),
            Self::Sigmoid => sigmoid(rows),
            Self::Gelu => gelu(rows),
            &Self::MaxPool2d(Window {
                size,
                stride,
                padding,
            }) => {
                let options = MaxPoolOptions::new(size)
                    .with_stride(stride)
                    .with_padding(padding);
                on_images(rows, input, |images| max_pool2d(images, options))
            }
            &Self::AvgPool2d(Window {
                size,
                stride,
                padding,
            }) => {
                let options = AvgPoolOptions::new(size)
                    .with_stride(stride)
                    .with_padding(padding);
                on_images(rows, input, |images| avg_pool2d(images, options))
            }
            Self::AdaptiveAvgPool(sizes) => match **sizes {
                [length] => on_channels(rows, input, |lines| adaptive_avg_pool1d(lines, length)),
                [height, width] => on_images(rows, input, |images| {
                    adaptive_avg_pool2d(images, [height, width])
                }),
                _ => rows,
            },
        }
    }
}

/// burn's own takes `exp` of what is above zero too, which overflows, and then the gradient is no
/// number.
fn elu(rows: Tensor<2>, alpha: f64) -> Tensor<2> {
    let below = rows.clone().lower_equal_scalar(0);
    let negative = rows.clone().mask_fill(below.clone().bool_not(), 0.0);
    rows.mask_where(below, (negative.exp() - 1.0) * alpha)
}

/// Acts on the last axis of samples of any rank; leading axes become one, so that the samples stay
/// apart.
fn along_last_axis(
    rows: Tensor<2>,
    input: &[usize],
    flat: impl Fn(Tensor<2>) -> Tensor<2>,
    deep: impl Fn(Tensor<3>) -> Tensor<3>,
) -> Tensor<2> {
    match input {
        [leading @ .., last] if !leading.is_empty() => {
            let samples = rows.dims()[0];
            deep(rows.reshape([samples, leading.iter().product(), *last])).flatten(1, 2)
        }
        _ => flat(rows),
    }
}

/// Acts on samples `(channels, positions)`; all axes but the first become one.
fn on_channels(
    rows: Tensor<2>,
    input: &[usize],
    act: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<2> {
    let samples = rows.dims()[0];
    let [channels, positions @ ..] = input else {
        return rows;
    };
    let positions = positions.iter().product();
    act(rows.reshape([samples, *channels, positions])).flatten(1, 2)
}

fn on_images(
    rows: Tensor<2>,
    input: &[usize],
    act: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<2> {
    let samples = rows.dims()[0];
    let &[channels, height, width] = input else {
        return rows;
    };
    act(rows.reshape([samples, channels, height, width])).flatten(1, 3)
}

/// Gives samples of two or three axes these in another order.
fn permute(rows: Tensor<2>, input: &[usize], dims: &[usize]) -> Tensor<2> {
    let samples = rows.dims()[0];
    match (input, dims) {
        (&[a, b], [1, 0]) => rows.reshape([samples, a, b]).swap_dims(1, 2).flatten(1, 2),
        (&[a, b, c], &[x, y, z]) => {
            let axes = [0, x + 1, y + 1, z + 1].map(usize::cast_signed);
            rows.reshape([samples, a, b, c]).permute(axes).flatten(1, 3)
        }
        _ => rows,
    }
}

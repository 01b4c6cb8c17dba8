//! What a layer does to a batch of rows.

use burn::{
    module::{Module, Param},
    nn::{Linear, conv::Conv2d},
    tensor::{
        Tensor,
        activation::{gelu, relu, sigmoid, tanh},
        module::{avg_pool2d, layer_norm, max_pool2d},
        ops::{AvgPoolOptions, MaxPoolOptions},
    },
};

/// A step of a model.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Linear(Linear),
    Conv2d(Conv2d),
    LayerNorm(LayerNorm),
    Fixed(Fixed),
}

/// A step without parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    Relu,
    Tanh,
    Sigmoid,
    Gelu,
    MaxPool2d(Window),
    AvgPool2d(Window),
}

/// The windows of a pooling layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) size: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

/// As burn's own, with PyTorch's names for the parameters.
#[derive(Debug, Module)]
pub(super) struct LayerNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    pub(super) epsilon: f64,
}

/// Replaces the module within an operation.
macro_rules! each {
    ($operation:expr, $module:ident => $changed:expr) => {
        match $operation {
            Operation::Linear($module) => Operation::Linear($changed),
            Operation::Conv2d($module) => Operation::Conv2d($changed),
            Operation::LayerNorm($module) => Operation::LayerNorm($changed),
            fixed @ Operation::Fixed(_) => fixed,
        }
    };
}
pub(super) use each;

impl Operation {
    /// `(n, inputs)` → `(n, outputs)`; `input` is the shape of a sample. Shapes were checked by the plan.
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
            Self::Conv2d(module) => on_images(rows, input, |images| module.forward(images)),
            Self::Fixed(fixed) => fixed.forward(rows, input),
        }
    }
}

impl Fixed {
    fn forward(self, rows: Tensor<2>, input: &[usize]) -> Tensor<2> {
        match self {
            Self::Relu => relu(rows),
            Self::Tanh => tanh(rows),
            Self::Sigmoid => sigmoid(rows),
            Self::Gelu => gelu(rows),
            Self::MaxPool2d(Window {
                size,
                stride,
                padding,
            }) => {
                let options = MaxPoolOptions::new(size)
                    .with_stride(stride)
                    .with_padding(padding);
                on_images(rows, input, |images| max_pool2d(images, options))
            }
            Self::AvgPool2d(Window {
                size,
                stride,
                padding,
            }) => {
                let options = AvgPoolOptions::new(size)
                    .with_stride(stride)
                    .with_padding(padding);
                on_images(rows, input, |images| avg_pool2d(images, options))
            }
        }
    }
}

impl LayerNorm {
    fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        layer_norm(
            input,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            self.epsilon,
        )
    }
}

/// Acts on the last axis of samples of any rank; leading axes become one, so that the samples stay apart.
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

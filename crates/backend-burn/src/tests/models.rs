//! The models: multi-layer perceptrons, convolutional networks with every option, a transformer
//! block.

use burn::{
    module::{Module, ModuleMapper, Param},
    nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig, PaddingConfig1d, PaddingConfig2d,
        attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig},
        conv::{
            Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose1d, ConvTranspose1dConfig,
            ConvTranspose2d, ConvTranspose2dConfig,
        },
        pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig},
    },
    tensor::{DType, Device, Int, Tensor, TensorData, activation},
};

use super::wave;

/// Moves the parameters of a module along a direction, in 64-bit floats.
pub(super) struct Move<'a> {
    direction: &'a [f64],
    step: f64,
    from: usize,
    path: Vec<String>,
}

impl<'a> Move<'a> {
    pub(super) fn along(direction: &'a [f64], step: f64) -> Self {
        Self {
            direction,
            step,
            from: 0,
            path: Vec::new(),
        }
    }

    pub(super) fn apply<M: Module>(mut self, module: M) -> M {
        module.map(&mut self)
    }
}

/// Running statistics are mapped like parameters but are none.
fn is_statistic(path: &[String]) -> bool {
    path.last().is_some_and(|name| name.starts_with("running"))
}

impl ModuleMapper for Move<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if is_statistic(&self.path) {
            return param.map(|tensor| tensor.cast(DType::F64));
        }
        param.map(|tensor| {
            let shape = tensor.dims();
            let to = self.from + shape.iter().product::<usize>();
            let values: Vec<f64> = self.direction[self.from..to]
                .iter()
                .map(|value| value * self.step)
                .collect();
            self.from = to;
            let offset = Tensor::<D>::from_data(
                TensorData::new(values, shape),
                (&tensor.device(), DType::F64),
            );
            tensor.cast(DType::F64) + offset
        })
    }
}

/// Replaces random initial values by fixed ones of a sensible size.
pub(super) fn settled<M: Module>(module: M, seed: f64) -> M {
    struct Settle(f64, Vec<String>);
    impl ModuleMapper for Settle {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.1.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.1.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let (seed, statistic) = (self.0, is_statistic(&self.1));
            let settle = |value: f64| {
                if statistic {
                    value * value + 0.5
                } else {
                    0.6 * value + 0.05
                }
            };
            param.map(|tensor| {
                let shape = tensor.dims();
                let values: Vec<f64> = wave(shape.iter().product(), seed)
                    .into_iter()
                    .map(settle)
                    .collect();
                Tensor::from_data(
                    TensorData::new(values, shape),
                    (&tensor.device(), DType::F64),
                )
            })
        }
    }
    module.map(&mut Settle(seed, Vec::new()))
}

#[derive(Module, Debug)]
pub(super) struct Mlp {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Mlp {
    pub(super) fn new(sizes: [usize; 4], bias: bool) -> Self {
        let layer = |from, to| {
            LinearConfig::new(from, to)
                .with_bias(bias)
                .init(&Device::flex())
        };
        let [a, b, c, d] = sizes;
        settled(
            Self {
                first: layer(a, b),
                second: layer(b, c),
                last: layer(c, d),
            },
            1.0,
        )
    }

    pub(super) fn tanh(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.hidden(x))
    }

    /// What [`tanh`](Self::tanh) makes of its inputs before the last layer.
    pub(super) fn hidden(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.first.forward(x).tanh()).tanh()
    }

    /// With the first layer not trained.
    pub(super) fn with_frozen_first(self) -> Self {
        Self {
            first: self.first.no_grad(),
            ..self
        }
    }

    /// With nothing but the last layer trained: linear in its parameters.
    pub(super) fn with_last_only(self) -> Self {
        Self {
            first: self.first.no_grad(),
            second: self.second.no_grad(),
            ..self
        }
    }

    /// Without activations: a deep linear network.
    pub(super) fn linear(&self, x: Tensor<2>) -> Tensor<2> {
        self.last
            .forward(self.second.forward(self.first.forward(x)))
    }

    /// The second layer twice; its sides must be equal.
    pub(super) fn recurrent(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.second.forward(self.first.forward(x).tanh()).tanh();
        self.last.forward(self.second.forward(x).tanh())
    }

    pub(super) fn relu(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(activation::relu(
            self.second.forward(activation::relu(self.first.forward(x))),
        ))
    }
}

#[derive(Module, Debug)]
pub(super) struct Cnn {
    first: Conv2d,
    norm: BatchNorm,
    second: Conv2d,
    max: MaxPool2d,
    average: AvgPool2d,
    last: Linear,
}

impl Cnn {
    /// For images `(2, 9, 8)`; the second convolution has groups, strides, padding and dilation.
    pub(super) fn new() -> Self {
        let device = Device::flex();
        let first = Conv2dConfig::new([2, 4], [3, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 0, 1, 0))
            .init(&device);
        let second = Conv2dConfig::new([4, 6], [2, 3])
            .with_groups(2)
            .with_stride([2, 1])
            .with_dilation([1, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 2, 1, 2))
            .with_bias(false);
        settled(
            Self {
                first,
                norm: BatchNormConfig::new(4).init(&device),
                second: second.init(&device),
                max: MaxPool2dConfig::new([2, 2]).with_strides([1, 1]).init(),
                average: AvgPool2dConfig::new([2, 2]).with_strides([1, 2]).init(),
                last: LinearConfig::new(6 * 3 * 3, 3).init(&device),
            },
            2.0,
        )
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = activation::gelu(self.norm.forward(self.first.forward(images)));
        let x = self.max.forward(self.second.forward(x));
        let x = self.average.forward(x);
        self.last.forward(x.flatten(1, 3))
    }
}

#[derive(Module, Debug)]
pub(super) struct Signal {
    first: Conv1d,
    second: Conv1d,
    scale: Param<Tensor<1>>,
    last: Linear,
}

impl Signal {
    /// For signals `(2, 10)`; the learned scale is an elementwise parameter.
    pub(super) fn new() -> Self {
        let device = Device::flex();
        let first = Conv1dConfig::new(2, 4, 3)
            .with_stride(2)
            .with_padding(PaddingConfig1d::Explicit(1, 1))
            .init(&device);
        let second = Conv1dConfig::new(4, 4, 2)
            .with_groups(4)
            .with_dilation(2)
            .with_bias(false)
            .init(&device);
        let scale = Param::from_tensor(Tensor::ones([4], &device));
        settled(
            Self {
                first,
                second,
                scale,
                last: LinearConfig::new(4, 2).with_bias(false).init(&device),
            },
            3.0,
        )
    }

    pub(super) fn forward(&self, signals: Tensor<3>) -> Tensor<2> {
        let x = self.second.forward(self.first.forward(signals).tanh());
        let x = x * self.scale.val().reshape([1, 4, 1]);
        self.last.forward(x.mean_dim(2).squeeze_dim(2))
    }
}

#[derive(Module, Debug)]
pub(super) struct Transformer {
    tokens: Embedding,
    places: Embedding,
    attention: MultiHeadAttention,
    before: LayerNorm,
    up: Linear,
    down: Linear,
    after: LayerNorm,
    last: Linear,
}

impl Transformer {
    pub(super) const LENGTH: usize = 5;
    pub(super) const VOCABULARY: usize = 7;

    /// One pre-norm encoder block with learned positions and a causal mask.
    pub(super) fn new() -> Self {
        let (width, device) = (6, Device::flex());
        settled(
            Self {
                tokens: EmbeddingConfig::new(Self::VOCABULARY, width).init(&device),
                places: EmbeddingConfig::new(Self::LENGTH, width).init(&device),
                attention: MultiHeadAttentionConfig::new(width, 2)
                    .with_dropout(0.3)
                    .init(&device),
                before: LayerNormConfig::new(width).init(&device),
                up: LinearConfig::new(width, 8).init(&device),
                down: LinearConfig::new(8, width).init(&device),
                after: LayerNormConfig::new(width).init(&device),
                last: LinearConfig::new(width, 3).init(&device),
            },
            4.0,
        )
    }

    pub(super) fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let device = tokens.device();
        let [samples, length] = tokens.dims();
        let places = Tensor::<1, Int>::arange(0..5, &device).reshape([1, length]);
        let x = self.tokens.forward(tokens) + self.places.forward(places);
        let mask = burn::nn::attention::generate_autoregressive_mask(samples, length, &device);
        let attended = self
            .attention
            .forward(MhaInput::self_attn(self.before.forward(x.clone())).mask_attn(mask))
            .context;
        let x = x + attended;
        let x = x.clone()
            + self
                .down
                .forward(activation::gelu(self.up.forward(self.after.forward(x))));
        self.last.forward(x.mean_dim(1).squeeze_dim(1))
    }
}

/// Transposed convolutions over two axes and one, with every option.
#[derive(Module, Debug)]
pub(super) struct Decoder {
    planes: ConvTranspose2d,
    lines: ConvTranspose1d,
    last: Linear,
}

impl Decoder {
    pub(super) fn new() -> Self {
        let device = Device::flex();
        let planes = ConvTranspose2dConfig::new([4, 6], [3, 2])
            .with_stride([2, 1])
            .with_padding([1, 0])
            .with_padding_out([1, 0])
            .with_dilation([1, 2])
            .with_groups(2);
        let lines = ConvTranspose1dConfig::new([6, 2], 3)
            .with_stride(2)
            .with_bias(false);
        settled(
            Self {
                planes: planes.init(&device),
                lines: lines.init(&device),
                last: LinearConfig::new(2 * 73, 2).init(&device),
            },
            5.0,
        )
    }

    /// `(n, 4, 3, 4)` to `(n, 2)`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        // (n, 6, 6, 6), then (n, 2, 73).
        let planes = activation::tanh(self.planes.forward(x)).flatten::<3>(2, 3);
        let lines = activation::tanh(self.lines.forward(planes));
        self.last.forward(lines.flatten(1, 2))
    }
}

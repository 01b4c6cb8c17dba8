//! Small networks of every kind, with points.

use burn::{
    module::{Module, ModuleMapper, Param},
    nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig, PaddingConfig2d,
        attention::{
            MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask,
        },
        conv::{Conv2d, Conv2dConfig},
        pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Device, Int, Tensor, TensorData, activation::gelu},
};
use influence::ArrayDataset;

use crate::methods::waves;

const CLASSES: i64 = 3;

/// The module with fixed numbers in place of random ones; running statistics are positive.
fn settled<M: Module>(module: M) -> M {
    struct Settle {
        seed: f64,
        path: Vec<String>,
    }
    impl ModuleMapper for Settle {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.seed += 1.0;
            let name = self.path.last();
            let statistic = name.is_some_and(|name| name.starts_with("running"));
            let settle = |value: f64| match statistic {
                true => value * value + 0.5,
                false => 0.6 * value + 0.05,
            };
            param.map(|tensor| {
                let shape = tensor.dims();
                let values = waves(shape.iter().product(), self.seed);
                let values: Vec<f64> = values.into_iter().map(settle).collect();
                Tensor::from_data(TensorData::new(values, shape), &tensor.device())
            })
        }
    }
    module.map(&mut Settle {
        seed: 0.0,
        path: Vec::new(),
    })
}

fn labelled(inputs: TensorData) -> ArrayDataset {
    let count = inputs.shape()[0];
    let labels: Vec<i64> = (0_i64..)
        .take(count)
        .map(|row| (7 * row + 1) % CLASSES)
        .collect();
    let labels = TensorData::new(labels, [count]);
    ArrayDataset::new(vec![inputs, labels]).expect("a data set")
}

/// Images `(1, 8, 8)`: padding, batch norm, both kinds of pooling, channels in groups.
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
    pub(super) fn new() -> Self {
        let device = Device::flex();
        let padded = || PaddingConfig2d::Explicit(1, 1, 1, 1);
        let first = Conv2dConfig::new([1, 4], [3, 3]).with_padding(padded());
        let second = Conv2dConfig::new([4, 4], [3, 3])
            .with_padding(padded())
            .with_groups(2);
        settled(Self {
            first: first.init(&device),
            norm: BatchNormConfig::new(4).init(&device),
            second: second.init(&device),
            max: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            average: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            last: LinearConfig::new(16, 3).init(&device),
        })
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = gelu(self.norm.forward(self.first.forward(images)));
        let x = self.second.forward(self.max.forward(x)).tanh();
        self.last.forward(self.average.forward(x).flatten(1, 3))
    }
}

pub(super) fn images(count: usize, seed: f64) -> ArrayDataset {
    labelled(TensorData::new(waves(count * 64, seed), [count, 1, 8, 8]))
}

/// Tokens with places: attention that sees no later token, a block of two layers, layer norms.
#[derive(Module, Debug)]
pub(super) struct Transformer {
    tokens: Embedding,
    places: Embedding,
    before: LayerNorm,
    attention: MultiHeadAttention,
    after: LayerNorm,
    up: Linear,
    down: Linear,
    last: Linear,
}

impl Transformer {
    const LENGTH: usize = 5;
    const VOCABULARY: usize = 7;
    const WIDTH: usize = 6;

    pub(super) fn new() -> Self {
        let device = Device::flex();
        let linear = |from, to| LinearConfig::new(from, to).init(&device);
        let embedding = |size| EmbeddingConfig::new(size, Self::WIDTH).init(&device);
        let norm = || LayerNormConfig::new(Self::WIDTH).init(&device);
        settled(Self {
            tokens: embedding(Self::VOCABULARY),
            places: embedding(Self::LENGTH),
            before: norm(),
            attention: MultiHeadAttentionConfig::new(Self::WIDTH, 2).init(&device),
            after: norm(),
            up: linear(Self::WIDTH, 8),
            down: linear(8, Self::WIDTH),
            last: linear(Self::WIDTH, 3),
        })
    }

    pub(super) fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let device = tokens.device();
        let [samples, length] = tokens.dims();
        let places = Tensor::<1, Int>::arange(0..5, &device).unsqueeze();
        let x = self.tokens.forward(tokens) + self.places.forward(places);
        let mask = generate_autoregressive_mask(samples, length, &device);
        let attended = MhaInput::self_attn(self.before.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(attended).context;
        let inner = gelu(self.up.forward(self.after.forward(x.clone())));
        let x = x + self.down.forward(inner);
        self.last.forward(x.mean_dim(1).squeeze_dim(1))
    }
}

pub(super) fn sentences(count: usize, seed: f64) -> ArrayDataset {
    let wave = waves(count * Transformer::LENGTH, seed);
    let token = |value: f64| ((value + 1.0) / 2.0 * Transformer::VOCABULARY as f64) as i64;
    let tokens: Vec<i64> = wave.into_iter().map(token).collect();
    labelled(TensorData::new(tokens, [count, Transformer::LENGTH]))
}

//! The networks as burn modules.

use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig},
    },
    tensor::{
        Bool, Device, Int, Tensor,
        activation::{relu, softmax},
    },
};

#[derive(Module, Debug)]
pub(crate) struct ResNet {
    stem: Normalised,
    pool: MaxPool2d,
    blocks: Vec<Block>,
    mean: AdaptiveAvgPool2d,
    last: Linear,
}

#[derive(Module, Debug)]
struct Normalised {
    convolution: Conv2d,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct Block {
    first: Normalised,
    second: Normalised,
    shortcut: Option<Normalised>,
}

impl ResNet {
    pub(crate) fn new(device: &Device) -> Self {
        let stages = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)];
        let blocks = stages.into_iter().flat_map(|(from, to, stride)| {
            [
                Block::new(from, to, stride, device),
                Block::new(to, to, 1, device),
            ]
        });
        let pool = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]);
        Self {
            stem: Normalised::new([3, 64], (7, 2, 3), device),
            pool: pool
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            blocks: blocks.collect(),
            mean: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            last: LinearConfig::new(512, 10).init(device),
        }
    }

    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.pool.forward(relu(self.stem.forward(images)));
        for block in &self.blocks {
            x = block.forward(x);
        }
        self.last.forward(self.mean.forward(x).flatten(1, 3))
    }
}

impl Normalised {
    fn new(
        [from, to]: [usize; 2],
        (kernel, stride, padding): (usize, usize, usize),
        device: &Device,
    ) -> Self {
        let convolution = Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(
                padding, padding, padding, padding,
            ))
            .with_bias(false);
        Self {
            convolution: convolution.init(device),
            norm: BatchNormConfig::new(to).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x))
    }
}

impl Block {
    fn new(from: usize, to: usize, stride: usize, device: &Device) -> Self {
        Self {
            first: Normalised::new([from, to], (3, stride, 1), device),
            second: Normalised::new([to, to], (3, 1, 1), device),
            shortcut: (from != to).then(|| Normalised::new([from, to], (1, stride, 0), device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.second.forward(relu(self.first.forward(x.clone())));
        let outer = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        relu(inner + outer)
    }
}

const WIDTH: usize = 768;
const HEADS: usize = 12;

#[derive(Module, Debug)]
pub(crate) struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layer {
    before_attention: LayerNorm,
    attention: Linear,
    projection: Linear,
    before_dense: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl Gpt {
    pub(crate) fn new(device: &Device) -> Self {
        Self {
            tokens: EmbeddingConfig::new(1000, WIDTH).init(device),
            positions: EmbeddingConfig::new(64, WIDTH).init(device),
            layers: (0..2).map(|_| Layer::new(device)).collect(),
            norm: LayerNormConfig::new(WIDTH).init(device),
        }
    }

    /// Logits of the tokens; the table is used for both ends.
    pub(crate) fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, length] = tokens.dims();
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let places = Tensor::arange(0..length, &tokens.device()).unsqueeze::<2>();
        let mut x = self.tokens.forward(tokens) + self.positions.forward(places);
        for layer in &self.layers {
            x = layer.forward(x);
        }
        let table = self.tokens.weight.val().swap_dims(0, 1).unsqueeze();
        self.norm.forward(x).matmul(table)
    }
}

impl Layer {
    fn new(device: &Device) -> Self {
        let norm = || LayerNormConfig::new(WIDTH).init(device);
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self {
            before_attention: norm(),
            attention: linear(WIDTH, 3 * WIDTH),
            projection: linear(WIDTH, WIDTH),
            before_dense: norm(),
            wide: linear(WIDTH, 4 * WIDTH),
            narrow: linear(4 * WIDTH, WIDTH),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attend(self.before_attention.forward(x));
        let wide = self.wide.forward(self.before_dense.forward(x.clone()));
        x + self.narrow.forward(gelu_by_tanh(wide))
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [samples, length, _] = x.dims();
        let packed = self.attention.forward(x);
        let [query, key, value] = [0, 1, 2].map(|part| {
            let heads: Tensor<4> = packed.clone().narrow(2, part * WIDTH, WIDTH).reshape([
                samples,
                length,
                HEADS,
                WIDTH / HEADS,
            ]);
            heads.swap_dims(1, 2)
        });
        let scale = ((WIDTH / HEADS) as f64).sqrt();
        let scores = query.matmul(key.swap_dims(2, 3)) / scale;
        let hidden: Tensor<2, Bool> = Tensor::tril_mask([length, length], 0, &scores.device());
        let scores = scores.mask_fill(hidden.unsqueeze(), f32::NEG_INFINITY);
        let mixed = softmax(scores, 3).matmul(value).swap_dims(1, 2);
        self.projection
            .forward(mixed.reshape([samples, length, WIDTH]))
    }
}

fn gelu_by_tanh(x: Tensor<3>) -> Tensor<3> {
    let inner =
        (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (inner.tanh() + 1.0)
}

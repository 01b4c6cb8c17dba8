//! The models of the workloads, with weights as `PyTorch` lays them out.

use burn::{
    module::{Module, Param},
    nn::{
        Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{
        Device, Int, Tensor, TensorData,
        activation::{relu, softmax},
        module::max_pool2d,
        ops::MaxPoolOptions,
    },
};
use safetensors::SafeTensors;

use crate::Outcome;

/// Trained weights by name.
pub(crate) struct Weights<'a>(pub(crate) SafeTensors<'a>);

impl Weights<'_> {
    fn param<const D: usize>(&self, name: &str) -> Outcome<Param<Tensor<D>>> {
        let view = self.0.tensor(name)?;
        let bytes = view.data().chunks_exact(4);
        let number = |bytes: &[u8]| Ok(f32::from_le_bytes(bytes.try_into()?));
        let values: Vec<f32> = bytes.map(number).collect::<Outcome<_>>()?;
        let data = TensorData::new(values, view.shape().to_vec());
        Ok(Param::from_tensor(Tensor::from_data(data, &Device::flex())))
    }

    fn dense(&self, name: &str) -> Outcome<Dense> {
        Ok(Dense {
            weight: self.param(&format!("{name}.weight"))?,
            bias: self.param(&format!("{name}.bias"))?,
        })
    }

    fn convolution(&self, name: &str, channels: [usize; 2]) -> Outcome<Conv2d> {
        let config = Conv2dConfig::new(channels, [3, 3]);
        let config = config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let mut layer = config.init(&Device::flex());
        layer.weight = self.param(&format!("{name}.weight"))?;
        layer.bias = Some(self.param(&format!("{name}.bias"))?);
        Ok(layer)
    }

    fn norm(&self, name: &str) -> Outcome<LayerNorm> {
        let mut layer = LayerNormConfig::new(Transformer::WIDTH).init(&Device::flex());
        layer.gamma = self.param(&format!("{name}.weight"))?;
        layer.beta = Some(self.param(&format!("{name}.bias"))?);
        Ok(layer)
    }

    fn embedding(&self, name: &str, entries: usize) -> Outcome<Embedding> {
        let mut layer = EmbeddingConfig::new(entries, Transformer::WIDTH).init(&Device::flex());
        layer.weight = self.param(&format!("{name}.weight"))?;
        Ok(layer)
    }
}

/// A linear layer with its weight as `(out, in)`.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        x.matmul(self.weight.val().transpose().unsqueeze()) + self.bias.val().unsqueeze()
    }
}

/// Linear layers with an activation between them.
#[derive(Module, Debug)]
pub(crate) struct Perceptron {
    layers: Vec<Dense>,
}

impl Perceptron {
    pub(crate) fn read(weights: &Weights<'_>, depth: usize) -> Outcome<Self> {
        let layers = (1..=depth).map(|index| weights.dense(&format!("fc{index}")));
        Ok(Self {
            layers: layers.collect::<Outcome<_>>()?,
        })
    }

    pub(crate) fn tanh(&self, x: Tensor<2>) -> Tensor<2> {
        self.with(x, Tensor::tanh)
    }

    pub(crate) fn relu(&self, x: Tensor<2>) -> Tensor<2> {
        self.with(x, relu)
    }

    fn with(&self, x: Tensor<2>, activation: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let mut layers = self.layers.iter();
        let first = layers.next().map_or(x.clone(), |layer| layer.forward(x));
        layers.fold(first, |x, layer| layer.forward(activation(x)))
    }
}

/// Two convolutions, each pooled, and two linear layers.
#[derive(Module, Debug)]
pub(crate) struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Dense,
    fc2: Dense,
}

impl Cnn {
    pub(crate) fn read(weights: &Weights<'_>) -> Outcome<Self> {
        Ok(Self {
            conv1: weights.convolution("conv1", [1, 16])?,
            conv2: weights.convolution("conv2", [16, 32])?,
            fc1: weights.dense("fc1")?,
            fc2: weights.dense("fc2")?,
        })
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let pooled = |x| max_pool2d(relu(x), MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
        let x = pooled(self.conv1.forward(x));
        let x = pooled(self.conv2.forward(x)).flatten(1, 3);
        self.fc2.forward(relu(self.fc1.forward(x)))
    }
}

/// A transformer encoder over the pixels of an 8 × 8 digit, averaged over positions.
#[derive(Module, Debug)]
pub(crate) struct Transformer {
    token: Embedding,
    position: Embedding,
    layers: Vec<Block>,
    norm: LayerNorm,
    head: Dense,
}

impl Transformer {
    const WIDTH: usize = 128;
    const POSITIONS: usize = 64;

    pub(crate) fn read(weights: &Weights<'_>) -> Outcome<Self> {
        let layers = (0..4).map(|index| Block::read(weights, &format!("layers.{index}")));
        Ok(Self {
            token: weights.embedding("token", 17)?,
            position: weights.embedding("position", Self::POSITIONS)?,
            layers: layers.collect::<Outcome<_>>()?,
            norm: weights.norm("norm")?,
            head: weights.dense("head")?,
        })
    }

    pub(crate) fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let n = x.dims()[0];
        let positions = self.position.weight.val().unsqueeze::<3>();
        let x = self.token.forward(x) + positions;
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x));
        let x = self.norm.forward(x).mean_dim(1);
        self.head.forward(x.reshape([n, Self::WIDTH]))
    }
}

/// Attention and a perceptron, each after a norm.
#[derive(Module, Debug)]
pub(crate) struct Block {
    norm1: LayerNorm,
    query: Dense,
    key: Dense,
    value: Dense,
    out: Dense,
    norm2: LayerNorm,
    up: Dense,
    down: Dense,
}

impl Block {
    const HEADS: usize = 4;

    fn read(weights: &Weights<'_>, path: &str) -> Outcome<Self> {
        let dense = |name| weights.dense(&format!("{path}.{name}"));
        Ok(Self {
            norm1: weights.norm(&format!("{path}.norm1"))?,
            query: dense("query")?,
            key: dense("key")?,
            value: dense("value")?,
            out: dense("out")?,
            norm2: weights.norm(&format!("{path}.norm2"))?,
            up: dense("up")?,
            down: dense("down")?,
        })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attention(&self.norm1.forward(x));
        x.clone()
            + self
                .down
                .forward(relu(self.up.forward(self.norm2.forward(x))))
    }

    fn attention(&self, x: &Tensor<3>) -> Tensor<3> {
        let [n, positions, width] = x.dims();
        let wide = width / Self::HEADS;
        let heads = |layer: &Dense| {
            let x = layer.forward(x.clone());
            x.reshape([n, positions, Self::HEADS, wide]).swap_dims(1, 2)
        };
        let (query, key, value) = (heads(&self.query), heads(&self.key), heads(&self.value));
        let logits = query.matmul(key.swap_dims(2, 3)) / (wide as f32).sqrt();
        let mixed = softmax(logits, 3).matmul(value).swap_dims(1, 2);
        self.out.forward(mixed.reshape([n, positions, width]))
    }
}

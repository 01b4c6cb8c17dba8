//! Influences of an attention block on sequences: embedding, multi-head attention, layer norm, and
//! a linear head, all of them ordinary burn modules.
//!
//! The network learns whether the first token of a sequence occurs again. The training sequences
//! include copies of a few test sequences with the wrong label; the influences must find them.
//! EK-FAC, which scales to large models, is compared with the exact solution.
//!
//! ```sh
//! cargo run --release --example transformer
//! ```

use std::{error::Error, sync::Arc};

use burn::{
    module::Module,
    nn::{
        Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig},
    },
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use influence::{
    ArrayDataset, Calculator, Concatenate, ConjugateGradient, Curvature, Dataset, Fit, Kronecker,
    OutputLoss, Outputs, Parallel, Task,
};
use ndarray::{ArrayD, Axis};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

type Outcome<T> = Result<T, Box<dyn Error>>;

const TOKENS: usize = 8;
const LENGTH: usize = 6;
const WIDTH: usize = 8;
const TRAIN: usize = 600;
/// Test sequences that have a copy with the wrong label among the training sequences.
const COPIED: usize = 4;

#[derive(Module, Debug)]
struct Block {
    tokens: Embedding,
    positions: Embedding,
    attention: MultiHeadAttention,
    norm: LayerNorm,
    head: Linear,
}

impl Block {
    fn new(device: &Device) -> Self {
        Self {
            tokens: EmbeddingConfig::new(TOKENS, WIDTH).init(device),
            positions: EmbeddingConfig::new(LENGTH, WIDTH).init(device),
            attention: MultiHeadAttentionConfig::new(WIDTH, 2)
                .with_dropout(0.0)
                .init(device),
            norm: LayerNormConfig::new(WIDTH).init(device),
            head: LinearConfig::new(WIDTH, 2).init(device),
        }
    }

    /// Sequences `(n, length)` to logits `(n, 2)`.
    fn forward(&self, sequences: Tensor<2, Int>) -> Tensor<2> {
        let [n, length] = sequences.dims();
        let places = Tensor::arange(
            0..i64::try_from(length).unwrap_or(i64::MAX),
            &sequences.device(),
        );
        let places = self
            .positions
            .forward(places.unsqueeze::<2>().repeat_dim(0, n));
        let x = self.tokens.forward(sequences) + places;
        let x = self
            .attention
            .forward(MhaInput::self_attn(x.clone()))
            .context
            + x;
        self.head
            .forward(self.norm.forward(x).mean_dim(1).squeeze_dim(1))
    }
}

/// Cross-entropy; a custom task, because the inputs are tokens.
struct Sequences;

impl Task for Sequences {
    type Module = Block;
    type Inputs = (Tensor<2, Int>, Tensor<1, Int>);

    fn loss(&self, block: &Block, (sequences, labels): Self::Inputs) -> Tensor<1> {
        let likelihoods = log_softmax(block.forward(sequences), 1);
        likelihoods
            .gather(1, labels.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }

    fn outputs(&self, block: &Block, (sequences, _): Self::Inputs) -> Option<Outputs> {
        let logits = block.forward(sequences);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

fn fit() -> Fit<Sequences> {
    Fit::new(Sequences)
        .with_curvature(Curvature::GaussNewton)
        .with_damping(0.01)
}

fn main() -> Outcome<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut draw = |n: usize| -> Vec<[i64; LENGTH]> {
        (0..n)
            .map(|_| std::array::from_fn(|_| random.random_range(0..8)))
            .collect()
    };
    let again = |sequence: &[i64; LENGTH]| i64::from(sequence[1..].contains(&sequence[0]));
    let (mut train, test) = (draw(TRAIN), draw(40));
    let mut labels: Vec<i64> = train.iter().map(again).collect();
    for sequence in &test[..COPIED] {
        train.push(*sequence);
        labels.push(1 - again(sequence));
    }
    let truth: Vec<i64> = test.iter().map(again).collect();
    let (train, test) = (tensors(&train, &labels), tensors(&test, &truth));
    let block = trained(&train);
    let (train, test) = (ArrayDataset::new(train)?, ArrayDataset::new(test)?);

    let (exact, places) = influences(fit(), &block, &train, &test)?;
    println!(
        "exact: place of each copy among the {} most harmful: {places:?}",
        train.len()
    );
    assert!(
        places.iter().all(|place| *place < 3),
        "the copies with the wrong label"
    );

    let gradients = fit().with_solver(ConjugateGradient::new().with_rtol(1e-5)?);
    let (got, found) = influences(gradients, &block, &train, &test)?;
    let error = norm(&(&got - &exact)) / norm(&exact);
    println!("conjugate gradients: {found:?}, {error:.0e} off");
    assert!(error < 1e-3 && found == places);

    // EK-FAC treats layers, and the positions of a sequence, as independent: the ranking stays, the
    // values do not.
    let (got, found) = influences(
        fit().with_kronecker(Kronecker::Ekfac),
        &block,
        &train,
        &test,
    )?;
    let (cosine, size) = (
        (&got * &exact).sum() / norm(&got) / norm(&exact),
        norm(&got) / norm(&exact),
    );
    println!(
        "ek-fac: {found:?}, cosine {cosine:.2} with the exact influences, {size:.1} times their size"
    );
    assert!(cosine > 0.4 && found.iter().all(|place| *place < 3));
    Ok(())
}

/// The influences, and the number of training points more harmful to a test sequence than its copy.
fn influences(
    fit: Fit<Sequences>,
    block: &Block,
    train: &ArrayDataset,
    test: &ArrayDataset,
) -> Outcome<(ArrayD<f64>, Vec<usize>)> {
    let calculator = Parallel::new(fit.fit(block, Arc::new(train.clone()))?, None)?;
    let influences = calculator
        .influences(test, train)
        .compute(Concatenate::new())?;
    let place = |point: usize| {
        let row = influences.index_axis(Axis(0), point);
        let copy = row[TRAIN + point];
        row.iter().filter(|influence| **influence < copy).count()
    };
    let places = (0..COPIED).map(place).collect();
    Ok((influences, places))
}

fn norm(values: &ArrayD<f64>) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn tensors(sequences: &[[i64; LENGTH]], labels: &[i64]) -> Vec<TensorData> {
    let n = labels.len();
    vec![
        TensorData::new(sequences.concat(), [n, LENGTH]),
        TensorData::new(labels.to_vec(), [n]),
    ]
}

fn trained(data: &[TensorData]) -> Block {
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut block = Block::new(&device);
    let mut optimiser = AdamConfig::new().init();
    // Short enough that the wrong labels are not memorised.
    for _ in 0..120 {
        let x = Tensor::from_data(data[0].clone(), &device);
        let y = Tensor::from_data(data[1].clone(), &device);
        let loss = Sequences.loss(&block, (x, y)).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &block);
        block = optimiser.step(0.01, block, gradients);
    }
    block.valid()
}

//! A network with one hidden layer, trained by a loop over plain arrays that is fast enough to run
//! hundreds of times.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, activation::relu},
};
use influence::{ArrayDataset, Classification, Task};
use ndarray::{Array, Array1, Array2, Axis, Dimension, Zip};
use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

use crate::digits::{Digits, Outcome};

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const EPOCHS: usize = 60;
const BATCH: usize = 64;
/// The length of the first steps; it falls to zero along half a cosine.
const RATE: f32 = 0.05;
const MOMENTUM: f32 = 0.9;

/// Images and digits.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    pixels: Array2<f32>,
    digits: Vec<usize>,
}

impl Points {
    /// Some of the digits.
    pub(crate) fn of(all: &Digits, chosen: &[usize]) -> Outcome<Self> {
        let pixels = Array2::from_shape_vec((all.labels.len(), PIXELS), all.pixels.clone())?;
        let digits = all.labels.iter().map(|&digit| usize::try_from(digit));
        let all = Self {
            pixels,
            digits: digits.collect::<Result<_, _>>()?,
        };
        Ok(all.select(chosen))
    }

    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        Self {
            pixels: self.pixels.select(Axis(0), chosen),
            digits: chosen.iter().map(|&point| self.digits[point]).collect(),
        }
    }

    /// The digits as a data set for the calculators.
    pub(crate) fn dataset(&self) -> Outcome<ArrayDataset> {
        let labels = self.digits.iter().map(|&digit| i64::try_from(digit));
        let digits = Digits {
            pixels: self.pixels.iter().copied().collect(),
            labels: labels.collect::<Result<_, _>>()?,
        };
        digits.dataset()
    }
}

/// How a network is trained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) hidden: usize,
    /// The weight decay: this multiple of each parameter is added to its gradient.
    pub(crate) decay: f32,
}

/// A linear layer, its weight as `(out, in)`.
#[derive(Debug, Clone)]
struct Dense {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Dense {
    /// Uniform, at most one over the square root of the number of inputs, as in `PyTorch`.
    fn new(inputs: usize, outputs: usize, random: &mut impl Rng) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        let mut draw = || random.random_range(-bound..bound);
        Self {
            weight: Array2::from_shape_simple_fn((outputs, inputs), &mut draw),
            bias: Array1::from_shape_simple_fn(outputs, &mut draw),
        }
    }

    fn zeros(like: &Self) -> Self {
        Self {
            weight: Array2::zeros(like.weight.dim()),
            bias: Array1::zeros(like.bias.dim()),
        }
    }

    fn forward(&self, x: &Array2<f32>) -> Array2<f32> {
        x.dot(&self.weight.t()) + &self.bias
    }

    /// A step against the gradient, given the gradient at the outputs.
    fn step(
        &mut self,
        speed: &mut Self,
        x: &Array2<f32>,
        signal: &Array2<f32>,
        decay: f32,
        rate: f32,
    ) {
        descend(
            &mut self.weight,
            &mut speed.weight,
            &signal.t().dot(x),
            decay,
            rate,
        );
        descend(
            &mut self.bias,
            &mut speed.bias,
            &signal.sum_axis(Axis(0)),
            decay,
            rate,
        );
    }
}

fn descend<D: Dimension>(
    values: &mut Array<f32, D>,
    speed: &mut Array<f32, D>,
    gradient: &Array<f32, D>,
    decay: f32,
    rate: f32,
) {
    Zip::from(values)
        .and(speed)
        .and(gradient)
        .for_each(|value, speed, &gradient| {
            *speed = MOMENTUM * *speed + gradient + decay * *value;
            *value -= rate * *speed;
        });
}

/// A network with a rectifier between two layers.
#[derive(Debug, Clone)]
pub(crate) struct Perceptron {
    first: Dense,
    last: Dense,
}

impl Perceptron {
    /// Trains by stochastic gradient descent; the result is the same each time.
    pub(crate) fn train(recipe: Recipe, points: &Points, seed: u64) -> Self {
        let random = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut network = Self {
            first: Dense::new(PIXELS, recipe.hidden, random),
            last: Dense::new(recipe.hidden, CLASSES, random),
        };
        let mut speed = [&network.first, &network.last].map(Dense::zeros);
        let mut order: Vec<usize> = (0..points.digits.len()).collect();
        let steps = EPOCHS * order.len().div_ceil(BATCH);
        let mut done = 0;
        for _ in 0..EPOCHS {
            order.shuffle(random);
            for batch in order.chunks(BATCH) {
                let angle = std::f32::consts::PI * done as f32 / steps as f32;
                let rate = RATE * 0.5 * (1.0 + angle.cos());
                network.step(&mut speed, &points.select(batch), recipe.decay, rate);
                done += 1;
            }
        }
        network
    }

    fn step(&mut self, speed: &mut [Dense; 2], batch: &Points, decay: f32, rate: f32) {
        let hidden = self.first.forward(&batch.pixels).mapv(|x| x.max(0.0));
        let mut signal = softmax(self.last.forward(&hidden));
        for (mut row, &digit) in signal.rows_mut().into_iter().zip(&batch.digits) {
            row[digit] -= 1.0;
        }
        signal /= batch.digits.len() as f32;
        let mut behind = signal.dot(&self.last.weight);
        Zip::from(&mut behind)
            .and(&hidden)
            .for_each(|signal, &hidden| {
                if hidden <= 0.0 {
                    *signal = 0.0;
                }
            });
        let [first, last] = speed;
        self.last.step(last, &hidden, &signal, decay, rate);
        self.first.step(first, &batch.pixels, &behind, decay, rate);
    }

    fn scores(&self, points: &Points) -> Array2<f32> {
        let hidden = self.first.forward(&points.pixels).mapv(|x| x.max(0.0));
        self.last.forward(&hidden)
    }

    /// The loss of each point, in nats; small losses are as precise as large ones.
    pub(crate) fn losses(&self, points: &Points) -> Array1<f64> {
        let scores = self.scores(points);
        let pairs = scores.rows().into_iter().zip(&points.digits);
        let loss = |(row, &digit): (ndarray::ArrayView1<'_, f32>, &usize)| {
            let others = row.iter().enumerate().filter(|(class, _)| *class != digit);
            let others = others.map(|(_, &score)| f64::from(score - row[digit]).exp());
            others.sum::<f64>().ln_1p()
        };
        pairs.map(loss).collect()
    }

    /// The share of points that are classified correctly.
    pub(crate) fn accuracy(&self, points: &Points) -> f64 {
        let scores = self.scores(points);
        let pairs = scores.rows().into_iter().zip(&points.digits);
        let right = pairs.filter(|(row, digit)| row.iter().all(|&other| other <= row[**digit]));
        right.count() as f64 / points.digits.len() as f64
    }

    /// The same network as a module of burn.
    pub(crate) fn module(&self) -> Network {
        Network {
            first: Linear::of(&self.first),
            last: Linear::of(&self.last),
        }
    }
}

fn softmax(mut scores: Array2<f32>) -> Array2<f32> {
    for mut row in scores.rows_mut() {
        let largest = row.fold(f32::NEG_INFINITY, |most, &score| most.max(score));
        row.mapv_inplace(|score| (score - largest).exp());
        row /= row.sum();
    }
    scores
}

/// A linear layer of burn, its weight as `(out, in)`.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    fn of(Dense { weight, bias }: &Dense) -> Self {
        let device = Device::flex();
        let [outputs, inputs] = [weight.nrows(), weight.ncols()];
        let weight = TensorData::new(weight.iter().copied().collect(), [outputs, inputs]);
        let bias = TensorData::new(bias.to_vec(), [outputs]);
        Self {
            weight: Param::from_tensor(Tensor::from_data(weight, &device)),
            bias: Param::from_tensor(Tensor::from_data(bias, &device)),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// The network as a burn module.
#[derive(Module, Debug)]
pub(crate) struct Network {
    first: Linear,
    last: Linear,
}

/// Cross-entropy of the digits.
pub(crate) fn task() -> impl Task<Module = Network> {
    Classification::new(|network: &Network, x: Tensor<2>| {
        network.last.forward(relu(network.first.forward(x)))
    })
}

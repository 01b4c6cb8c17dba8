//! A softmax regression with weight decay, trained to its minimum again without each of its points.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::{Dataset, InfluenceModel, Precision, testing};
use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::{super::wave, Arc, gauss_newton, oracle};
use crate::{ArrayDataset, Classification, LeverageCorrected};

const INPUTS: usize = 20;
const CLASSES: usize = 3;
const TRAIN: usize = 60;
const TEST: usize = 12;
const DECAY: f64 = 0.1;

#[derive(Module, Debug)]
struct Softmax {
    layer: Linear,
}

/// Points `(n, inputs + 1)`, the last input 1, and their classes.
struct Points(Array2<f64>, Vec<usize>);

impl Points {
    fn made_up(count: usize, seed: f64) -> Self {
        let mut inputs = Array2::ones((count, INPUTS + 1));
        let numbers = wave(count * INPUTS, seed);
        for (place, number) in numbers.iter().enumerate() {
            inputs[[place / INPUTS, place % INPUTS]] = *number;
        }
        let noise = wave(count, seed + 0.5);
        let class = |point: usize| {
            let sum = inputs[[point, 0]] - inputs[[point, 1]] + noise[point];
            usize::from(sum > -0.6) + usize::from(sum > 0.6)
        };
        let classes = (0..count).map(class).collect();
        Self(inputs, classes)
    }

    fn fields(&self) -> Vec<TensorData> {
        let count = self.1.len();
        let inputs = self.0.slice(ndarray::s![.., ..INPUTS]);
        let inputs: Vec<f64> = inputs.iter().copied().collect();
        let classes: Vec<i64> = self
            .1
            .iter()
            .map(|&class| i64::try_from(class).expect("a class"))
            .collect();
        vec![
            TensorData::new(inputs, [count, INPUTS]),
            TensorData::new(classes, [count]),
        ]
    }

    fn probabilities(&self, point: usize, weights: &Array1<f64>) -> Array1<f64> {
        let logit = |class: usize| -> f64 {
            let row = self.0.row(point);
            row.iter()
                .enumerate()
                .map(|(i, x)| x * weights[i * CLASSES + class])
                .sum()
        };
        let logits: Vec<f64> = (0..CLASSES).map(logit).collect();
        oracle::softmax(&logits).into()
    }

    fn losses(&self, weights: &Array1<f64>) -> Array1<f64> {
        let of = |point| -self.probabilities(point, weights)[self.1[point]].ln();
        (0..self.1.len()).map(of).collect()
    }

    /// The minimum of the mean loss with decay, the divisor that of all points.
    fn minimum(&self, left_out: Option<usize>) -> Array1<f64> {
        let dim = (INPUTS + 1) * CLASSES;
        let mut weights = Array1::zeros(dim);
        for _ in 0..30 {
            let mut slope: Array1<f64> = &weights * DECAY;
            let mut second = Array2::eye(dim) * DECAY;
            for point in (0..TRAIN).filter(|point| Some(*point) != left_out) {
                let p = self.probabilities(point, &weights);
                let x = self.0.row(point);
                for (row, column) in (0..dim).flat_map(|i| (0..dim).map(move |j| (i, j))) {
                    let (a, b) = (row % CLASSES, column % CLASSES);
                    let own = p[a] * (f64::from(u8::from(a == b)) - p[b]);
                    second[[row, column]] +=
                        own * x[row / CLASSES] * x[column / CLASSES] / TRAIN as f64;
                }
                for row in 0..dim {
                    let target = f64::from(u8::from(row % CLASSES == self.1[point]));
                    slope[row] += (p[row % CLASSES] - target) * x[row / CLASSES] / TRAIN as f64;
                }
            }
            let step = testing::solve(&second, &slope.clone().insert_axis(Axis(0)));
            weights -= &step.row(0);
            if slope.dot(&slope).sqrt() < 1e-12 {
                break;
            }
        }
        weights
    }
}

fn module(weights: &Array1<f64>) -> Softmax {
    let device = Device::flex();
    let mut layer = LinearConfig::new(INPUTS, CLASSES).init(&device);
    let (weight, bias) = weights
        .as_slice()
        .expect("one piece")
        .split_at(INPUTS * CLASSES);
    let place = |values: &[f64], shape: &[usize]| TensorData::new(values.to_vec(), shape.to_vec());
    let weight = place(weight, &[INPUTS, CLASSES]);
    let bias = place(bias, &[CLASSES]);
    let float = burn::tensor::DType::F64;
    layer.weight = layer
        .weight
        .map(|_| Tensor::from_data(weight, (&device, float)));
    layer.bias = layer
        .bias
        .map(|it| it.map(|_| Tensor::from_data(bias, (&device, float))));
    Softmax { layer }
}

/// Pearson's correlation, and the slope of a line through the origin from predictions to the truth.
fn fit_of(predicted: &Array1<f64>, truth: &Array1<f64>) -> (f64, f64) {
    let centred = |values: &Array1<f64>| values - values.mean().unwrap_or(0.0);
    let (p, t) = (centred(predicted), centred(truth));
    let length = |values: ArrayView1<'_, f64>| values.dot(&values).sqrt();
    let pearson = p.dot(&t) / (length(p.view()) * length(t.view()));
    (pearson, predicted.dot(truth) / predicted.dot(predicted))
}

#[test]
fn leaving_a_point_out_changes_losses_as_predicted() {
    let (train, test) = (Points::made_up(TRAIN, 1.0), Points::made_up(TEST, 2.0));
    let weights = train.minimum(None);
    let losses = test.losses(&weights);
    let truth = (0..TRAIN).flat_map(|point| {
        let without = test.losses(&train.minimum(Some(point)));
        (without - &losses).to_vec()
    });
    let truth: Array1<f64> = truth.collect();
    let task = Classification::new(|m: &Softmax, x: Tensor<2>| m.layer.forward(x));
    let data = Arc::new(ArrayDataset::new(train.fields()).expect("a data set"));
    let influence = gauss_newton(task)
        .with_precision(Precision::F64)
        .with_damping(DECAY)
        .fit(&module(&weights), data.clone())
        .expect("fitted");
    let whole = data.batch(0..TRAIN).expect("a batch");
    let test = crate::batch_of(test.fields()).expect("a batch");
    let factors = influence.factors(&test).expect("factors").rows;
    let predicted = |gradients| {
        let scores = influence.scores(&factors, &gradients).expect("scores");
        let scores = scores
            .t()
            .iter()
            .map(|score| score / TRAIN as f64)
            .collect();
        fit_of(&scores, &truth)
    };
    let plain = predicted(influence.gradients(&whole).expect("gradients"));
    let again = influence.with_damping(&DECAY.into()).expect("damped");
    let corrected = LeverageCorrected::new(again, TRAIN).gradients(&whole);
    let corrected = predicted(corrected.expect("gradients"));
    assert!(
        corrected.0 > 0.999 && (corrected.1 - 1.0).abs() < 0.03,
        "{corrected:?}"
    );
    assert!(plain.1 > 1.05, "{plain:?}");
}

//! Trainings that are unrolled against central differences of trainings written out by hand.

mod reference;
mod segments;

use std::sync::Arc;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::{Dataset, InfluenceModel, Precision, Result as CoreResult};
use ndarray::Array2;

use super::{
    difference, floats, labels,
    models::{Mlp, settled},
};
use crate::{
    ArrayDataset, Batch, Classification, Fit, TrainingStep, TrainingSteps, Unrolled, UpdateRule,
    batch_of, parameter_values,
};
use reference::{Perceptron, Reference};

const SAMPLES: usize = 11;
const MOMENTUM: UpdateRule = UpdateRule::Sgd { momentum: 0.9 };

fn inputs() -> TensorData {
    floats(&[SAMPLES, 5], 1.0)
}

/// Two test points, which the training does not see.
fn test() -> [TensorData; 2] {
    [floats(&[2, 5], 3.0), labels(2, 3)]
}

/// Three epochs in batches of four, the last of each of three; rates change from step to step.
fn steps() -> Vec<TrainingStep> {
    let epochs = [
        [3, 1, 4, 10, 5, 9, 2, 6, 8, 7, 0],
        [2, 7, 1, 8, 0, 4, 5, 9, 3, 10, 6],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    ];
    let batches = epochs.iter().flat_map(|order| order.chunks(4));
    let step = |(index, batch): (usize, &[usize])| TrainingStep {
        batch: batch.to_vec(),
        learning_rate: 0.1 / (1.0 + 0.1 * index as f64),
    };
    batches.enumerate().map(step).collect()
}

fn descent(rule: UpdateRule, rate: f64, weight_decay: f32) -> TrainingSteps {
    let whole = ArrayDataset::new(vec![inputs(), labels(SAMPLES, 3)]).expect("a data set");
    let gather = move |chosen: &[usize]| -> CoreResult<Batch> {
        let all = whole.batch(0..SAMPLES)?;
        let fields = all.fields().iter().map(|field| field.select(chosen));
        Batch::new(fields.collect())
    };
    let mut steps = steps();
    for step in &mut steps {
        step.learning_rate *= rate;
    }
    TrainingSteps {
        samples: SAMPLES,
        gather: Arc::new(gather),
        steps,
        rule,
        weight_decay,
    }
}

fn unrolled<M: Module + 'static>(
    forward: fn(&M, Tensor<2>) -> Tensor<2>,
    module: &M,
    descent: TrainingSteps,
    memory: usize,
) -> Unrolled {
    let fit = Fit::new(Classification::new(forward)).with_precision(Precision::F64);
    let unrolled = fit.with_gradient_memory(memory).unrolled(module, descent);
    unrolled.expect("a training")
}

/// All influences, of the test points together.
fn influences(unrolled: &Unrolled) -> Array2<f64> {
    let test = batch_of(test().to_vec()).expect("a batch");
    let factors = unrolled.factors(&test).expect("factors");
    factors.converged().expect("finite numbers")
}

/// `−n` times central differences of the losses of the test points by the weights of the samples.
fn differences(reference: &Reference<'_>, begin: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-4;
    let [inputs, classes] = test();
    let inputs = matrix(&inputs);
    let classes = numbers(&classes);
    let losses = |sample: usize, step: f64| -> Vec<f64> {
        let mut weights = vec![1.0; SAMPLES];
        weights[sample] += step;
        let end = reference.trained(begin, &weights);
        let points = inputs.rows().into_iter().zip(&classes);
        let loss = |(input, &class): (ndarray::ArrayView1<'_, f64>, _)| {
            reference.network.loss(&end, input.to_owned(), class).0
        };
        points.map(loss).collect()
    };
    let mut all = vec![0.0; classes.len() * SAMPLES];
    for sample in 0..SAMPLES {
        let (ahead, behind) = (losses(sample, STEP), losses(sample, -STEP));
        for (point, (ahead, behind)) in ahead.iter().zip(&behind).enumerate() {
            all[point * SAMPLES + sample] = -(SAMPLES as f64) * (ahead - behind) / (2.0 * STEP);
        }
    }
    all
}

/// The numbers of classes.
fn numbers(classes: &TensorData) -> Vec<usize> {
    let numbers = classes.iter::<i64>().map(usize::try_from);
    numbers
        .collect::<Result<_, _>>()
        .expect("no class is negative")
}

fn matrix(data: &TensorData) -> Array2<f64> {
    let shape = (data.shape()[0], data.shape()[1]);
    Array2::from_shape_vec(shape, data.iter::<f64>().collect()).expect("a matrix")
}

/// The influences of a training, and its end, against the reference.
fn agree<M: Module + 'static>(
    forward: fn(&M, Tensor<2>) -> Tensor<2>,
    module: &M,
    network: Perceptron,
    (rule, rate, weight_decay): (UpdateRule, f64, f32),
) {
    let descent = descent(rule, rate, weight_decay);
    let steps = descent.steps.clone();
    let reference = Reference {
        network,
        inputs: matrix(&inputs()),
        classes: numbers(&labels(SAMPLES, 3)),
        steps: &steps,
        rule,
        weight_decay: f64::from(weight_decay),
    };
    let begin = parameter_values(module);
    let unrolled = unrolled(forward, module, descent, usize::MAX);
    let end = unrolled.trained().expect("parameters");
    assert!(difference(&end, &reference.trained(&begin, &[1.0; SAMPLES])) < 1e-12);
    assert!(
        difference(&end, &begin) > 0.01,
        "the training has hardly begun"
    );
    let found: Vec<f64> = influences(&unrolled).into_iter().collect();
    let off = difference(&found, &differences(&reference, &begin));
    assert!(off < 1e-6, "{rule:?}: {off}");
}

fn perceptron(widths: &[usize], order: &[usize]) -> Perceptron {
    let layers = widths.windows(2).map(|pair| [pair[0], pair[1]]);
    Perceptron {
        layers: layers.collect(),
        order: order.to_vec(),
    }
}

#[test]
fn influences_are_derivatives_of_trainings() {
    let logistic = LinearConfig::new(5, 3).init(&Device::flex());
    let logistic = settled(logistic, 2.0);
    let mlp = Mlp::new([5, 4, 6, 3], true);
    for training in [
        (UpdateRule::Sgd { momentum: 0.0 }, 1.0, 0.0),
        (MOMENTUM, 1.0, 0.05),
        (UpdateRule::ADAM, 0.1, 0.02),
    ] {
        agree(
            Linear::forward,
            &logistic,
            perceptron(&[5, 3], &[0]),
            training,
        );
        agree(
            Mlp::tanh,
            &mlp,
            perceptron(&[5, 4, 6, 3], &[0, 1, 2]),
            training,
        );
    }
}

/// A layer that is used twice is no perceptron to the engine, which differentiates twice instead.
#[test]
fn other_networks_are_differentiated_twice() {
    let mlp = Mlp::new([5, 4, 4, 3], true);
    let network = perceptron(&[5, 4, 4, 3], &[0, 1, 1, 2]);
    agree(Mlp::recurrent, &mlp, network, (MOMENTUM, 0.3, 0.05));
}

#[test]
fn states_that_are_computed_again_have_the_same_bits() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    for rule in [MOMENTUM, UpdateRule::ADAM] {
        let [kept, again] = [usize::MAX, 0]
            .map(|memory| influences(&unrolled(Mlp::tanh, &mlp, descent(rule, 0.5, 0.02), memory)));
        assert_eq!(kept, again);
    }
}

#[test]
fn points_one_by_one_have_the_influences_of_points_together() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let unrolled = unrolled(
        Mlp::tanh,
        &mlp,
        descent(UpdateRule::ADAM, 0.1, 0.0),
        usize::MAX,
    );
    let together = influences(&unrolled);
    let test = batch_of(test().to_vec()).expect("a batch");
    for point in 0..2 {
        let alone = unrolled.factors(&test.one(point)).expect("factors").rows;
        let row = together.row(point).to_vec();
        assert!(difference(&alone.into_iter().collect::<Vec<_>>(), &row) < 1e-12);
    }
}

#[test]
fn samples_are_told_by_their_places() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let unrolled = unrolled(Mlp::tanh, &mlp, descent(MOMENTUM, 1.0, 0.0), usize::MAX);
    let all = influences(&unrolled);
    let train = ArrayDataset::new(vec![inputs(), labels(SAMPLES, 3)]).expect("a data set");
    let part = train.batch(4..7).expect("samples");
    let scores = unrolled
        .scores(&all, &unrolled.gradients(&part).expect("places"))
        .expect("scores");
    assert_eq!(
        scores,
        all.slice(ndarray::s![.., 4..7]).to_owned().into_dyn()
    );
    let elsewhere = part.clone().starting_at(5);
    let nowhere = batch_of(vec![floats(&[2, 5], 1.0), labels(2, 3)]).expect("a batch");
    for other in [elsewhere, nowhere] {
        let error = unrolled.gradients(&other).expect_err("other samples");
        assert!(error.to_string().contains("11 samples alone"), "{error}");
    }
}

//! Derivatives of gradients by inputs, and inner products row by row, against slow ways to compute
//! them.

use burn::tensor::{Tensor, TensorData};
use influence_core::{GradientSource, Precision, Rows};
use ndarray::{Array2, ArrayD, Axis};

use super::{
    difference, floats, labels,
    models::{Cnn, Mlp, Transformer},
    per_sample_gradients::{Tokens, tokens},
    source, wave,
};
use crate::{Classification, ModelGradients, Regression, Stack, Task};

fn rows(source: &ModelGradients, k: usize) -> Stack {
    let dim = source.layout().dim();
    let values = Array2::from_shape_vec((k, dim), wave(k * dim, 9.0)).expect("rows");
    source.rows(values.view()).expect("rows")
}

fn scores(source: &ModelGradients, rows: &Stack, fields: Vec<TensorData>) -> ArrayD<f64> {
    let batch = crate::batch_of(fields).expect("a batch");
    let gradients = source.gradients(&batch).expect("gradients");
    source.scores(rows, &gradients).expect("scores")
}

/// Input `index` of every sample moved by a step.
fn nudged(fields: &[TensorData], index: usize, step: f64) -> Vec<TensorData> {
    let shape = fields[0].shape().to_vec();
    let each: usize = shape[1..].iter().product();
    let mut values: Vec<f64> = fields[0].iter::<f64>().collect();
    values
        .iter_mut()
        .skip(index)
        .step_by(each)
        .for_each(|value| *value += step);
    let mut fields = fields.to_vec();
    fields[0] = TensorData::new(values, shape);
    fields
}

/// Mixed products of `k` rows, more than there are samples, against central differences of the
/// scores.
fn products_agree<T: Task>(task: T, module: &T::Module, fields: &[TensorData]) {
    const STEP: f64 = 1e-5;
    let batch = crate::batch_of(fields.to_vec()).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let rows = rows(&source, batch.len() + 2);
    let products = source.mixed_products(&rows, &batch).expect("products");
    let shape = [&[batch.len() + 2], fields[0].shape().as_slice()].concat();
    assert_eq!(products.shape(), shape);
    let each: usize = fields[0].shape().as_slice()[1..].iter().product();
    let flat = products
        .into_shape_with_order((batch.len() + 2, batch.len(), each))
        .expect("three axes");
    for index in 0..each {
        let ahead = scores(&source, &rows, nudged(fields, index, STEP));
        let behind = scores(&source, &rows, nudged(fields, index, -STEP));
        let slopes: Vec<f64> = ((ahead - behind) / (2.0 * STEP)).into_iter().collect();
        let column: Vec<f64> = flat.index_axis(Axis(2), index).iter().copied().collect();
        let scale = flat
            .iter()
            .fold(0.0_f64, |scale, value| scale.max(value.abs()));
        for (product, slope) in column.iter().zip(&slopes) {
            assert!((product - slope).abs() < 1e-7 * scale, "{product} {slope}");
        }
    }
}

#[test]
fn mixed_products_agree_with_central_differences() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let tanh = |m: &Mlp, x: Tensor<2>| m.tanh(x);
    let inputs = floats(&[4, 5], 1.0);
    products_agree(
        Classification::new(tanh),
        &mlp,
        &[inputs.clone(), labels(4, 3)],
    );
    products_agree(Regression::new(tanh), &mlp, &[inputs, floats(&[4, 3], 2.0)]);
    products_agree(
        Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x)),
        &Cnn::new(),
        &[floats(&[2, 2, 9, 8], 1.0), labels(2, 3)],
    );
}

#[test]
fn inputs_that_are_no_floats_are_refused() {
    let batch = crate::batch_of(vec![tokens(3), labels(3, 3)]).expect("a batch");
    let source = source(Tokens, &Transformer::new(), &batch, Precision::F64).expect("a source");
    let error = source.mixed_products(&rows(&source, 1), &batch);
    let said = error
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(said.contains("float"), "{said}");
}

/// Inner products at the same positions against those of the gradients multiplied out.
fn own_scores_agree<T: Task>(task: T, module: &T::Module, fields: Vec<TensorData>) {
    let batch = crate::batch_of(fields).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let rows = rows(&source, batch.len());
    let gradients = source.gradients(&batch).expect("gradients");
    let own = source.self_scores(&rows, &gradients).expect("scores");
    let dense = gradients.to_rows();
    let dense = Stack::new(dense).to_host().expect("values");
    let expected = (rows.to_host().expect("values") * dense).sum_axis(Axis(1));
    assert!(difference(&own.into_raw_vec_and_offset().0, &expected.to_vec()) < 1e-12);
}

#[test]
fn own_scores_are_the_diagonal() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let fields = vec![floats(&[7, 5], 1.0), labels(7, 3)];
    let forward = |m: &Mlp, x: Tensor<2>| m.tanh(x);
    own_scores_agree(Classification::new(forward), &mlp, fields);
    let fields = vec![floats(&[3, 2, 9, 8], 1.0), labels(3, 3)];
    let forward = |m: &Cnn, x: Tensor<4>| m.forward(x);
    own_scores_agree(Classification::new(forward), &Cnn::new(), fields);
    own_scores_agree(Tokens, &Transformer::new(), vec![tokens(4), labels(4, 3)]);
}

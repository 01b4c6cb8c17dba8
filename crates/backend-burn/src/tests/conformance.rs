//! The suites of the core, run by what this backend implements.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use influence_core::{
    Dataset, GradientSource, InfluenceModel, Precision, Rows, block::BlockStructure, testing,
};
use ndarray::{Array2, ArrayD};

use super::{data, floats, labels, models::Mlp, source};
use crate::{ArrayDataset, Batch, Classification, Converter, Curvature, Fit, Influence, Stack};

#[test]
fn stacks_are_rows() {
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::F64, 1e-13)] {
        testing::rows(
            |values| Stack::from_host(&values, &Device::flex(), precision),
            tolerance,
        );
    }
}

#[test]
fn converters_bring_tensors_back() {
    testing::converter(
        &Converter::<1>::new(Device::flex(), Precision::F64),
        &[1],
        0.0,
    );
    testing::converter(
        &Converter::<2>::new(Device::flex(), Precision::F32),
        &[2],
        1e-7,
    );
    testing::converter(
        &Converter::<3>::new(Device::flex(), Precision::F64),
        &[3],
        0.0,
    );
}

#[test]
fn arrays_in_memory_are_a_data_set() {
    let data = ArrayDataset::new(vec![floats(&[7, 3], 1.0), labels(7, 2)]).expect("a data set");
    testing::dataset(&data, |batch| {
        let values = batch.fields()[0].floats().collect();
        ArrayD::from_shape_vec(vec![batch.len(), 3], values).expect("three columns")
    });
}

#[test]
fn curvatures_are_operators() {
    let fields = vec![floats(&[7, 3], 1.0), labels(7, 3)];
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let source =
        source(task, &Mlp::new([3, 2, 4, 3], true), &batch, Precision::F64).expect("a source");
    let blocks = BlockStructure::LayerWise
        .resolve(source.layout())
        .expect("blocks");
    for curvature in [
        Curvature::Hessian,
        Curvature::GaussNewton,
        Curvature::EmpiricalFisher,
    ] {
        for memory in [0, 1 << 20] {
            let data = data(fields.clone(), 3);
            for operator in curvature.operators(&source, &data, &blocks, memory) {
                testing::operator::<Stack>(&*operator, 1e-12);
            }
        }
    }
}

#[test]
fn a_fitted_model_keeps_the_contract_of_models() {
    let train = ArrayDataset::new(vec![floats(&[7, 3], 1.0), labels(7, 3)]).expect("a data set");
    let influence = Fit::new(Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)))
        .with_curvature(Curvature::GaussNewton)
        .with_blocks(BlockStructure::LayerWise)
        .with_precision(Precision::F64)
        .with_damping(0.05)
        .fit(&Mlp::new([3, 2, 4, 3], true), Arc::new(train.clone()))
        .expect("the model is fitted");
    let test = train.batch(1..4).expect("a batch");
    testing::model(
        &influence,
        &test,
        &train.batch(0..7).expect("a batch"),
        1e-12,
    );
    gradients_are_read_back(&influence, &train.batch(0..7).expect("a batch"), &test);
    // No samples are no error.
    let none = train.batch(2..2).expect("a batch");
    let solution = influence.factors(&none).expect("factors");
    assert_eq!((solution.rows.len(), solution.reports.len()), (0, 0));
}

/// Gradients that went to the host and back give the same scores.
fn gradients_are_read_back(influence: &Influence, train: &Batch, test: &Batch) {
    let factors = influence.factors(test).expect("factors").rows;
    let gradients = influence.gradients(train).expect("gradients");
    let expected = influence.scores(&factors, &gradients).expect("scores");
    let rows = influence.source().to_rows(&gradients).expect("rows");
    let stored = rows.to_host().expect("on the host");
    let read = influence.gradients_from_array(stored.view()).expect("read");
    let scores = influence.scores(&factors, &read).expect("scores");
    let difference = (&scores - &expected).mapv(f64::abs);
    let largest = expected
        .iter()
        .fold(0.0_f64, |all, score| all.max(score.abs()));
    assert!(largest > 0.0 && difference.iter().all(|entry| *entry < 1e-12 * largest));
    let wide = Array2::zeros((1, influence.source().layout().dim() + 1));
    assert!(influence.gradients_from_array(wide.view()).is_err());
}

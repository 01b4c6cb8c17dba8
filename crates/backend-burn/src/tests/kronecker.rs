//! Kronecker factors against dense matrices built from their definition, entry by entry.

mod dense;
mod preconditioner;

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use influence_core::{
    Dataset, Error as CoreError, Precision, Rows,
    block::{BlockStructure, Strength},
    linalg::{Eigen, eigen},
    testing,
};
use ndarray::{Array2, s};

use super::{
    floats, labels,
    models::{Cnn, Mlp, Signal, Transformer},
    per_sample_gradients::{Tokens, tokens},
    wave,
};
use crate::{
    ArrayDataset, Classification, Curvature, Fit, Influence, Kronecker, Regression, Stack, Task,
};
use dense::{Definition, fisher};

fn dataset(fields: Vec<TensorData>) -> Arc<ArrayDataset> {
    Arc::new(ArrayDataset::new(fields).expect("a data set"))
}

fn fit<T: Task>(task: T, curvature: Curvature) -> Fit<T> {
    Fit::new(task)
        .with_curvature(curvature)
        .with_precision(Precision::F64)
        .with_batch_size(3)
}

/// Factors of made-up right-hand sides, more than most layers have parameters on a side, and none.
fn solved(influence: &Influence) -> (Array2<f64>, Array2<f64>) {
    let dim = influence.source().layout().dim();
    let rhs = Array2::from_shape_vec((9, dim), wave(9 * dim, 5.0)).expect("rows");
    let solve = |rows: &Array2<f64>| {
        let rows = influence_core::GradientSource::rows(influence.source(), rows.view());
        let solution = influence.solve(&rows.expect("rows")).expect("solved");
        solution
            .converged()
            .and_then(|rows: Stack| rows.to_host())
            .expect("factors")
    };
    assert_eq!(solve(&Array2::zeros((0, dim))).dim(), (0, dim));
    (solve(&rhs), rhs)
}

/// Compares both approximations with dense matrices, at a damping well below the top eigenvalue of
/// each block.
pub(super) fn agrees<T: Task>(
    task: impl Fn() -> T,
    module: &T::Module,
    fields: &[TensorData],
    curvature: Curvature,
) where
    T::Module: Module,
{
    for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
        let train = dataset(fields.to_vec());
        let settings = || fit(task(), curvature).with_kronecker(kronecker);
        let batch = train.batch(0..train.len()).expect("a batch");
        let first = settings()
            .with_damping(1.0)
            .fit(module, train.clone())
            .expect("fitted");
        let definition = Definition::new(first.source(), &batch, curvature);
        let blocks: Vec<_> = first.blocks().cloned().collect();
        let matrices: Vec<Array2<f64>> = blocks
            .iter()
            .map(|block| definition.matrix(block, kronecker))
            .collect();
        for fraction in [0.1, 0.003] {
            let top = matrices.iter().map(dense::top).fold(0.0, f64::max);
            let damping = fraction * top;
            let influence = first.with_damping(&damping.into()).expect("damped");
            let (factors, rhs) = solved(&influence);
            for (block, matrix) in blocks.iter().zip(&matrices) {
                let columns = |rows: &Array2<f64>| rows.columns(block.columns()).expect("columns");
                let mut damped = matrix.clone();
                damped.diag_mut().mapv_inplace(|value| value + damping);
                let expected = testing::solve(&damped, &columns(&rhs));
                let difference = dense::difference(&columns(&factors), &expected);
                assert!(
                    difference < 1e-9,
                    "{kronecker:?} of {} under {curvature:?}: {difference:e}",
                    block.name()
                );
            }
        }
    }
}

const FISHER: Curvature = Curvature::Fisher { draws: 2, seed: 7 };

#[test]
fn perceptrons_with_and_without_biases() {
    let fields = [floats(&[11, 5], 1.0), labels(11, 3)];
    for bias in [true, false] {
        let mlp = Mlp::new([5, 4, 6, 3], bias);
        for curvature in [Curvature::GaussNewton, FISHER, Curvature::EmpiricalFisher] {
            let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
            agrees(task, &mlp, &fields, curvature);
        }
    }
    let task = || Regression::new(|m: &Mlp, x: Tensor<2>| m.relu(x));
    let fields = [floats(&[8, 5], 1.0), floats(&[8, 3], 2.0)];
    agrees(
        task,
        &Mlp::new([5, 4, 6, 3], true),
        &fields,
        Curvature::GaussNewton,
    );
}

#[test]
fn a_layer_that_is_used_twice() {
    let fields = [floats(&[7, 5], 1.0), labels(7, 3)];
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.recurrent(x));
    agrees(
        task,
        &Mlp::new([5, 4, 4, 3], true),
        &fields,
        Curvature::GaussNewton,
    );
}

#[test]
fn convolutions_with_groups_strides_and_norms() {
    let fields = [floats(&[5, 2, 9, 8], 1.0), labels(5, 3)];
    let task = || Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
    agrees(task, &Cnn::new(), &fields, Curvature::GaussNewton);
    let fields = [floats(&[5, 2, 10], 1.0), labels(5, 2)];
    let task = || Classification::new(|m: &Signal, x: Tensor<3>| m.forward(x));
    agrees(task, &Signal::new(), &fields, Curvature::EmpiricalFisher);
}

#[test]
fn embeddings_and_sequences() {
    let fields = [tokens(6), labels(6, 3)];
    agrees(
        || Tokens,
        &Transformer::new(),
        &fields,
        Curvature::EmpiricalFisher,
    );
}

#[test]
fn frozen_parameters_stay_out() {
    let fields = [floats(&[8, 5], 1.0), labels(8, 3)];
    let mlp = Mlp::new([5, 4, 6, 3], true).with_frozen_first();
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    agrees(task, &mlp, &fields, Curvature::GaussNewton);
}

/// The largest difference of factors from those of the exact matrix of each layer.
fn from_exact<T: Task>(
    task: impl Fn() -> T,
    module: &T::Module,
    fields: &[TensorData],
    curvature: Curvature,
    kronecker: Kronecker,
) -> f64 {
    let train = dataset(fields.to_vec());
    let fit = || fit(task(), curvature).with_damping(0.01);
    let approximate = fit().with_kronecker(kronecker).fit(module, train.clone());
    let exact = fit()
        .with_blocks(BlockStructure::LayerWise)
        .fit(module, train);
    let [approximate, exact] = [approximate, exact].map(|model| solved(&model.expect("fitted")).0);
    dense::difference(&approximate, &exact)
}

#[test]
fn kronecker_factors_are_exact_where_theory_says_so() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
        // One sample: inputs and signals do not vary, hence are independent.
        let one = [floats(&[1, 5], 1.0), labels(1, 3)];
        let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
        for curvature in [Curvature::GaussNewton, Curvature::EmpiricalFisher] {
            let difference = from_exact(task, &mlp, &one, curvature, kronecker);
            assert!(
                difference < 1e-9,
                "{kronecker:?} {curvature:?}: {difference:e}"
            );
        }
        // A deep linear network with squared error: signals do not depend on the sample.
        let many = [floats(&[9, 5], 1.0), floats(&[9, 3], 2.0)];
        let task = || Regression::new(|m: &Mlp, x: Tensor<2>| m.linear(x));
        let difference = from_exact(task, &mlp, &many, Curvature::GaussNewton, kronecker);
        assert!(difference < 1e-9, "{kronecker:?}: {difference:e}");
        // Elsewhere they are not.
        let many = [floats(&[9, 5], 1.0), labels(9, 3)];
        let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
        let difference = from_exact(task, &mlp, &many, Curvature::EmpiricalFisher, kronecker);
        assert!(difference > 1e-3, "{kronecker:?}: {difference:e}");
    }
}

#[test]
fn corrected_eigenvalues_come_nearer_to_the_fisher_matrix() {
    let train = dataset(vec![floats(&[40, 5], 1.0), labels(40, 3)]);
    let batch = train.batch(0..40).expect("a batch");
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let fitted = fit(task(), Curvature::GaussNewton).with_kronecker(Kronecker::Kfac);
    let fitted = fitted.fit(&mlp, train).expect("fitted");
    let definition = Definition::new(fitted.source(), &batch, Curvature::GaussNewton);
    for block in fitted.blocks() {
        let exact = fisher(&definition, block);
        let [kfac, ekfac] = [Kronecker::Kfac, Kronecker::Ekfac].map(|kronecker| {
            let error = definition.matrix(block, kronecker) - &exact;
            error.mapv(|entry| entry * entry).sum().sqrt() / dense::length(&exact)
        });
        assert!(ekfac < kfac, "{}: {ekfac} {kfac}", block.name());
    }
}

#[test]
fn eigenvalues_below_a_cut_off_are_left_out() {
    let train = dataset(vec![floats(&[11, 5], 1.0), labels(11, 3)]);
    let batch = train.batch(0..11).expect("a batch");
    let mlp = Mlp::new([5, 4, 6, 3], true);
    for (damping, cut_off) in [(0.0, 1e-3), (0.01, 0.02)] {
        let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
        let fitted = fit(task, Curvature::GaussNewton)
            .with_kronecker(Kronecker::Ekfac)
            .with_damping(damping)
            .with_cut_off(Strength::Absolute(cut_off))
            .fit(&mlp, train.clone())
            .expect("fitted");
        let definition = Definition::new(fitted.source(), &batch, Curvature::GaussNewton);
        let (found, rhs) = solved(&fitted);
        for block in fitted.blocks() {
            let matrix = definition.matrix(block, Kronecker::Ekfac);
            let Eigen { values, vectors } = eigen(&matrix).expect("eigenvectors");
            let inverse = values.mapv(|value| {
                if value > cut_off {
                    1.0 / (value + damping)
                } else {
                    0.0
                }
            });
            let left_out = inverse.iter().filter(|value| **value <= 0.0).count();
            assert!(left_out > 0 && left_out < values.len(), "{left_out}");
            let [rhs, found] = [&rhs, &found].map(|rows| Rows::columns(rows, block.columns()));
            let expected = (rhs.expect("columns").dot(&vectors) * inverse).dot(&vectors.t());
            let apart = dense::length(&(found.expect("columns") - &expected));
            assert!(
                apart < 1e-9 * dense::length(&expected),
                "{}: {apart:e}",
                block.name()
            );
        }
    }
}

#[test]
fn exact_residuals_are_those_of_the_whole_gauss_newton_matrix() {
    let train = dataset(vec![floats(&[40, 5], 1.0), labels(40, 3)]);
    let batch = train.batch(0..40).expect("a batch");
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let damping = 0.01;
    let residuals = |fit: Fit<_>| {
        let fit = fit.with_damping(damping).with_exact_residuals();
        let influence = fit.fit(&mlp, train.clone()).expect("fitted");
        let source = influence.source();
        let definition = Definition::new(source, &batch, Curvature::GaussNewton);
        let whole = BlockStructure::Full.resolve(source.layout()).expect("one");
        let mut exact = fisher(&definition, &whole[0]);
        exact.diag_mut().mapv_inplace(|value| value + damping);
        let solution = influence_core::InfluenceModel::factors(&influence, &batch);
        let solution = solution.expect("factors");
        let gradients = influence_core::GradientSource::measurement_rows(source, &batch);
        let rhs = gradients.and_then(|rows| rows.to_host()).expect("rows");
        let left = &rhs - &solution.rows.to_host().expect("rows").dot(&exact);
        let pairs = left.rows().into_iter().zip(rhs.rows());
        let expected = pairs.map(|(left, rhs)| (left.dot(&left) / rhs.dot(&rhs)).sqrt());
        for (report, expected) in solution.reports.iter().zip(expected) {
            assert!(
                (report.residual - expected).abs() < 1e-9,
                "{report} {expected:e}"
            );
        }
        let residuals = solution.reports.iter().map(|report| report.residual);
        residuals.fold(0.0, f64::max)
    };
    for curvature in [FISHER, Curvature::GaussNewton, Curvature::EmpiricalFisher] {
        let factored = fit(task(), curvature).with_kronecker(Kronecker::Ekfac);
        assert!(residuals(factored) > 0.1, "{curvature:?}");
    }
    assert!(residuals(fit(task(), Curvature::GaussNewton)) < 1e-10);
}

#[test]
fn batches_do_not_matter() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let factors = |batch_size| {
        let train = dataset(vec![floats(&[11, 5], 1.0), labels(11, 3)]);
        let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
        let fit = fit(task, FISHER).with_batch_size(batch_size);
        // Nothing is kept between the passes with the last size.
        let fit = fit.with_gradient_memory(if batch_size == 4 { 0 } else { 1 << 20 });
        let fit = fit.with_kronecker(Kronecker::Ekfac).with_damping(0.01);
        solved(&fit.fit(&mlp, train).expect("fitted")).0
    };
    let whole = factors(11);
    for batch_size in [1, 3, 4] {
        let difference = dense::difference(&factors(batch_size), &whole);
        assert!(difference < 1e-11, "{batch_size}: {difference:e}");
    }
}

#[test]
fn what_cannot_be_factored_is_refused() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let train = dataset(vec![floats(&[11, 5], 1.0), labels(11, 3)]);
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let refused = |fit: Fit<_>| match fit.with_kronecker(Kronecker::Kfac).fit(&mlp, train.clone()) {
        Err(CoreError::Setting { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(fit(task(), Curvature::Hessian)), "curvature");
    let full = fit(task(), Curvature::GaussNewton).with_blocks(BlockStructure::Full);
    assert_eq!(refused(full), "blocks");
    let none = fit(task(), Curvature::Fisher { draws: 0, seed: 0 });
    assert_eq!(refused(none), "draws");
    let zero = fit(task(), Curvature::EmpiricalFisher).with_damping(0.0);
    assert_eq!(refused(zero), "damping");
}

#[test]
fn scores_of_a_layer_are_those_of_its_matrix() {
    // By way of the whole model, in 32 bits: gradients, factors and scores.
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let train = dataset(vec![floats(&[11, 5], 1.0), labels(11, 3)]);
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fit = Fit::new(task)
        .with_curvature(Curvature::GaussNewton)
        .with_damping(0.01);
    let model = fit
        .with_kronecker(Kronecker::Ekfac)
        .fit(&mlp, train.clone())
        .expect("fitted");
    let batch = train.batch(0..11).expect("a batch");
    let definition = Definition::new(model.source(), &batch, Curvature::GaussNewton);
    let gradients = influence_core::InfluenceModel::gradients(&model, &batch).expect("gradients");
    let rows = Stack::new(gradients.to_rows()).to_host().expect("rows");
    let mut expected = Array2::zeros((11, 11));
    for block in model.blocks() {
        let mut matrix = definition.matrix(block, Kronecker::Ekfac);
        matrix.diag_mut().mapv_inplace(|value| value + 0.01);
        let part = rows.columns(block.columns()).expect("columns");
        expected += &testing::solve(&matrix, &part).dot(&part.t());
    }
    let factors = influence_core::InfluenceModel::factors(&model, &batch).expect("factors");
    let scores = influence_core::InfluenceModel::scores(&model, &factors.rows, &gradients);
    let scores = scores.expect("scores");
    let scores = scores.into_dimensionality().expect("a matrix");
    assert!(dense::difference(&scores, &expected) < 1e-4);
    assert!(
        expected
            .slice(s![0, ..])
            .iter()
            .any(|score| score.abs() > 1.0)
    );
}

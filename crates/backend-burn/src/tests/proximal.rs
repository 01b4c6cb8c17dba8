//! Proximal Bregman responses against closed forms, values of the objective, and influences.

use std::{num::NonZero, sync::Arc};

use burn::tensor::{Tensor, TensorData};
use influence_core::{Dataset, GradientSource, InfluenceModel, Precision, testing};
use ndarray::{Array1, Array2, s};

use super::{floats, labels, models::Mlp, outputs::jacobian, wave};
use crate::{
    ArrayDataset, Batch, Classification, Curvature, Fit, Influence, LeverageCorrected,
    ModelGradients, ProximalBregman, ProximalResponse, Regression, Task, tensors::values,
    trace::Function,
};

const SAMPLES: usize = 60;

fn dataset(fields: &[TensorData; 2]) -> Arc<ArrayDataset> {
    Arc::new(ArrayDataset::new(fields.to_vec()).expect("a data set"))
}

fn fitted<T: Task>(task: T, module: &T::Module, data: &Arc<ArrayDataset>, λ: f64) -> Influence {
    let fit = Fit::new(task).with_curvature(Curvature::GaussNewton);
    let fit = fit.with_precision(Precision::F64).with_damping(λ);
    fit.fit(module, data.clone()).expect("fitted")
}

fn responses(influence: &Influence, train: &ArrayDataset, test: &ArrayDataset) -> Array2<f64> {
    let objective = ProximalBregman::new(influence, train).expect("anchored");
    let two = NonZero::new(2).expect("positive");
    let all: Vec<usize> = (0..train.len()).collect();
    let objective = objective.with_threads(two).with_tolerance(1e-10);
    let found = objective.responses(&all, test);
    let mut changes = Array2::zeros((test.len(), train.len()));
    for (column, response) in found.expect("responses").iter().enumerate() {
        let ProximalResponse {
            changes: own,
            gradient,
            iterations,
        } = response;
        assert!(*gradient <= 1e-10, "{gradient:e} after {iterations} steps");
        changes.column_mut(column).assign(own);
    }
    changes
}

#[test]
fn the_response_of_a_linear_model_with_squared_errors_is_a_closed_form() {
    let (n, damping) = (9, 0.05);
    let mlp = Mlp::new([4, 3, 5, 2], true).with_last_only();
    let data = dataset(&[floats(&[n, 4], 1.0), floats(&[n, 2], 2.0)]);
    let task = Regression::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let influence = fitted(task, &mlp, &data, damping);
    let batch = data.batch(0..n).expect("a batch");
    let (outputs, jacobian) = jacobian(influence.source(), &batch);
    let targets: Vec<f64> = batch.fields()[1].floats().collect();
    let targets = Array2::from_shape_vec((n, 2), targets).expect("rows");
    let errors = outputs - targets;
    let of = |point: usize| jacobian.slice(s![point, .., ..]);
    let dim = influence.dim();
    let mut expected = Array2::zeros((n, n));
    for left_out in 0..n {
        // The mean of two squares: the factor 2/2 of the derivative is 1.
        let mut rest = Array2::eye(dim) * damping;
        for point in (0..n).filter(|point| *point != left_out) {
            rest += &(of(point).t().dot(&of(point)) / n as f64);
        }
        let gradient = of(left_out).t().dot(&errors.row(left_out)) / n as f64;
        let moved = testing::solve(&rest, &gradient.insert_axis(ndarray::Axis(0)));
        for point in 0..n {
            let own = &errors.row(point) + &of(point).dot(&moved.row(0));
            let square = |error: &Array1<f64>| error.dot(error) / 2.0;
            expected[[point, left_out]] = square(&own) - square(&errors.row(point).to_owned());
        }
    }
    let found = responses(&influence, &data, &data);
    let worst = super::difference(
        &found.into_raw_vec_and_offset().0,
        &expected.into_raw_vec_and_offset().0,
    );
    assert!(worst < 1e-10, "{worst:e}");
}

/// `Q` by its definition.
fn value(source: &ModelGradients, batch: &Batch, point: usize, at: &Array1<f64>, λ: f64) -> f64 {
    let outputs = |source: &ModelGradients| {
        let graph = source
            .trace
            .graph(Function::Outputs, batch)
            .expect("a graph");
        source.engine.output(&graph, batch).expect("outputs")
    };
    let losses = |source: &ModelGradients| source.measurements(batch).expect("losses");
    let moved = source.at(at).expect("moved");
    let slopes = source.output_slopes(batch).expect("slopes");
    let tangent = (outputs(&moved) - outputs(source)) * slopes;
    let tangent = values(&tangent.sum_dim(1)).expect("values");
    let (there, here) = (losses(&moved), losses(source));
    let each = (0..batch.len()).map(|l| there[l] - here[l] - tangent[l]);
    let far = at - &source.trained_values();
    (each.sum::<f64>() - there[point]) / batch.len() as f64 + 0.5 * λ * far.dot(&far)
}

fn classified() -> (Mlp, Arc<ArrayDataset>, Arc<ArrayDataset>) {
    let mlp = Mlp::new([6, 8, 5, 3], true);
    let data = dataset(&[floats(&[SAMPLES, 6], 1.0), labels(SAMPLES, 3)]);
    (mlp, data, dataset(&[floats(&[20, 6], 7.0), labels(20, 3)]))
}

fn classification() -> impl Task<Module = Mlp> {
    Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x))
}

#[test]
fn the_gradient_is_that_of_the_objective() {
    let (mlp, data, _) = classified();
    let influence = fitted(classification(), &mlp, &data, 0.1);
    let objective = ProximalBregman::new(&influence, &*data).expect("anchored");
    let source = influence.source();
    let batch = data.batch(0..SAMPLES).expect("a batch");
    let dim = influence.dim();
    let at = &source.trained_values() + &(Array1::from(wave(dim, 3.0)) * 0.3);
    let along = Array1::from(wave(dim, 4.0));
    for point in [0, 17, SAMPLES - 1] {
        let step = 1e-5;
        let value = |length| value(source, &batch, point, &(&at + &(&along * length)), 0.1);
        let slope = (value(step) - value(-step)) / (2.0 * step);
        let found = objective
            .gradient(point, &at)
            .expect("a gradient")
            .dot(&along);
        assert!(
            (slope - found).abs() < 1e-8 * slope.abs().max(1.0),
            "{slope} {found}"
        );
    }
}

fn pearson(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let centred = |values: &Array2<f64>| values - values.mean().unwrap_or(0.0);
    let (a, b) = (centred(a), centred(b));
    (&a * &b).sum() / ((&a * &a).sum() * (&b * &b).sum()).sqrt()
}

#[test]
fn exact_gauss_newton_influences_predict_responses() {
    let (mlp, train, test) = classified();
    let influence = fitted(classification(), &mlp, &train, 0.1);
    let truth = responses(&influence, &train, &test);
    let points = train.batch(0..SAMPLES).expect("a batch");
    let tests = test.batch(0..test.len()).expect("a batch");
    let factors = influence.factors(&tests).expect("factors").rows;
    let scores = |factors, gradients| {
        let scores = influence.scores(factors, gradients).expect("scores");
        scores.into_dimensionality().expect("two axes") / SAMPLES as f64
    };
    let slope = |of: &Array2<f64>| (of * &truth).sum() / (of * of).sum();
    let gradients = influence.gradients(&points).expect("gradients");
    let plain = scores(&factors, &gradients);
    let again = influence.with_damping(&0.1.into()).expect("damped");
    let corrected = LeverageCorrected::new(again, SAMPLES);
    let corrected = corrected.gradients(&points).expect("gradients");
    let corrected = scores(&factors, &corrected);
    let rows = influence.source().measurement_rows(&tests).expect("rows");
    let dot = scores(&rows, &gradients);
    let found = [&plain, &corrected, &dot].map(|of| (pearson(of, &truth), slope(of)));
    let [plain, corrected, dot] = found;
    assert!(plain.0 > 0.99 && corrected.0 > 0.995, "{found:?}");
    assert!(
        (corrected.1 - 1.0).abs() < 0.03 && plain.1 > corrected.1,
        "{found:?}"
    );
    assert!(dot.0 < 0.95, "{found:?}");
}

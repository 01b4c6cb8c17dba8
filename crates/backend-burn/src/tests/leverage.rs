//! Leave-one-out influences against explicit inverses of the curvature without a point, and against
//! retraining.

mod retraining;

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use influence_core::{
    Dataset, GradientSource, InfluenceModel, Precision, Rows,
    solver::{ConjugateGradient, Identity},
    testing,
};
use ndarray::{Array1, Array2, Axis, Ix2, s};

use super::{
    difference, floats, labels,
    models::Mlp,
    outputs::{jacobian, oracle},
};
use crate::{
    ArrayDataset, Batch, Classification, Curvature, Fit, Influence, Kronecker, LeverageCorrected,
    Regression, Stack, Task,
};

const SAMPLES: usize = 11;
const DAMPING: f64 = 0.05;

/// The derivative of a loss by the outputs, and the second one.
type Derivatives = fn(&[f64], &[f64]) -> (Vec<f64>, Array2<f64>);

fn cross_entropy(outputs: &[f64], targets: &[f64]) -> (Vec<f64>, Array2<f64>) {
    let is_target = |class: usize| f64::from(u8::from((class as f64 - targets[0]).abs() < 0.5));
    let probabilities = oracle::softmax(outputs).into_iter().enumerate();
    let slopes = probabilities.map(|(class, p)| p - is_target(class));
    (slopes.collect(), oracle::cross_entropy(outputs, targets))
}

fn mean_squares(outputs: &[f64], targets: &[f64]) -> (Vec<f64>, Array2<f64>) {
    let pairs = outputs.iter().zip(targets);
    let slopes = pairs.map(|(output, target)| 2.0 * (output - target) / outputs.len() as f64);
    (slopes.collect(), oracle::mean_squares(outputs, targets))
}

/// What a fit inverts, from its inverse.
fn inverted(influence: &Influence) -> Array2<f64> {
    let unit = Array2::eye(influence.dim());
    let units = influence.source().rows(unit.view()).expect("rows");
    let solved = influence.solve(&units).expect("solved").rows;
    testing::solve(&solved.to_host().expect("values"), &unit)
}

/// The gradient and the Gauss-Newton curvature of each point, by the matrices themselves.
fn by_matrices(
    influence: &Influence,
    fields: &[TensorData],
    by: Derivatives,
) -> Vec<(Array1<f64>, Array2<f64>)> {
    let batch = crate::batch_of(fields.to_vec()).expect("a batch");
    let (outputs, jacobian) = jacobian(influence.source(), &batch);
    let targets: Vec<f64> = batch.fields()[1].floats().collect();
    let targets = Array2::from_shape_vec((batch.len(), targets.len() / batch.len()), targets);
    let targets = targets.expect("rows");
    let of = |sample: usize| {
        let (outputs, targets) = (outputs.row(sample).to_vec(), targets.row(sample).to_vec());
        let (slopes, second) = by(&outputs, &targets);
        let jacobian = jacobian.slice(s![sample, .., ..]);
        let gradient = jacobian.t().dot(&Array1::from(slopes));
        (gradient, jacobian.t().dot(&second.dot(&jacobian)))
    };
    (0..batch.len()).map(of).collect()
}

/// `g_jᵀ (A − JᵀBJ / n)⁻¹ g_i` for all pairs.
fn left_out(damped: &Array2<f64>, points: &[(Array1<f64>, Array2<f64>)]) -> Array2<f64> {
    let mut influences = Array2::zeros((points.len(), points.len()));
    for (column, (gradient, own)) in points.iter().enumerate() {
        let rest = damped - &(own / points.len() as f64);
        let factor = testing::solve(&rest, &gradient.clone().insert_axis(Axis(0)));
        for (row, (gradient, _)) in points.iter().enumerate() {
            influences[[row, column]] = gradient.dot(&factor.row(0));
        }
    }
    influences
}

/// Compares the corrected influences of all pairs of points with those by matrices.
fn agrees<T: Task>(fit: Fit<T>, module: &T::Module, fields: &[TensorData], by: Derivatives) {
    let data = Arc::new(ArrayDataset::new(fields.to_vec()).expect("a data set"));
    let fit = fit.with_precision(Precision::F64).with_tolerance(0.0);
    let fit = fit.with_batch_size(4).with_damping(DAMPING);
    let influence = fit.fit(module, data.clone()).expect("fitted");
    let points = by_matrices(&influence, fields, by);
    let expected = left_out(&inverted(&influence), &points);
    let whole = data.batch(0..SAMPLES).expect("a batch");
    let factors = influence.factors(&whole).expect("factors").rows;
    let plain = influence.gradients(&whole).expect("gradients");
    let plain = influence.scores(&factors, &plain).expect("scores");
    let corrected = LeverageCorrected::new(influence, SAMPLES);
    let mut found = Array2::zeros((SAMPLES, SAMPLES));
    // The last part is smaller.
    for part in [0..4, 4..8, 8..SAMPLES] {
        let batch = data.batch(part.clone()).expect("a batch");
        let gradients = InfluenceModel::gradients(&corrected, &batch).expect("gradients");
        let scores = InfluenceModel::scores(&corrected, &factors, &gradients).expect("scores");
        let scores = scores.into_dimensionality::<Ix2>().expect("two axes");
        found.slice_mut(s![.., part.clone()]).assign(&scores);
        let own: Vec<usize> = part.clone().collect();
        let own = factors.select(&own).expect("rows");
        let own = InfluenceModel::self_scores(&corrected, &own, &gradients).expect("scores");
        let diagonal = expected.diag().slice(s![part]).to_vec();
        assert!(difference(&own.iter().copied().collect::<Vec<_>>(), &diagonal) < 1e-10);
    }
    let expected: Vec<f64> = expected.iter().copied().collect();
    let worst = difference(&found.iter().copied().collect::<Vec<_>>(), &expected);
    assert!(worst < 1e-10, "{worst:e}");
    let plain = difference(&plain.iter().copied().collect::<Vec<_>>(), &expected);
    assert!(plain > 0.05, "too small a correction to test: {plain:e}");
}

fn gauss_newton<T: Task>(task: T) -> Fit<T> {
    Fit::new(task).with_curvature(Curvature::GaussNewton)
}

fn classification() -> Fit<impl Task<Module = Mlp>> {
    gauss_newton(Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)))
}

fn regression() -> Fit<impl Task<Module = Mlp>> {
    gauss_newton(Regression::new(|m: &Mlp, x: Tensor<2>| m.relu(x)))
}

#[test]
fn the_curvature_of_each_point_is_taken_out() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let classes = [floats(&[SAMPLES, 5], 1.0), labels(SAMPLES, 3)];
    let values = [floats(&[SAMPLES, 5], 1.0), floats(&[SAMPLES, 3], 2.0)];
    agrees(classification(), &mlp, &classes, cross_entropy);
    agrees(regression(), &mlp, &values, mean_squares);
    let cg = ConjugateGradient::new()
        .with_rtol(1e-13)
        .expect("a tolerance");
    agrees(
        classification().with_solver(cg),
        &mlp,
        &classes,
        cross_entropy,
    );
}

#[test]
fn kronecker_factors_lose_the_curvature_of_a_point_as_it_is() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let classes = [floats(&[SAMPLES, 5], 1.0), labels(SAMPLES, 3)];
    for kronecker in [Kronecker::Ekfac, Kronecker::Kfac] {
        let fit = classification().with_kronecker(kronecker);
        agrees(fit, &mlp, &classes, cross_entropy);
    }
}

#[test]
fn what_direct_inverts_is_the_sum_of_the_curvatures_of_points() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let fields = [floats(&[SAMPLES, 5], 1.0), labels(SAMPLES, 3)];
    let data = Arc::new(ArrayDataset::new(fields.to_vec()).expect("a data set"));
    let fit = classification().with_precision(Precision::F64);
    let influence = fit.with_damping(DAMPING).fit(&mlp, data).expect("fitted");
    let points = by_matrices(&influence, &fields, cross_entropy);
    let mut sum = Array2::eye(influence.dim()) * DAMPING;
    for (_, own) in &points {
        sum += &(own / SAMPLES as f64);
    }
    assert!((inverted(&influence) - &sum).iter().all(|x| x.abs() < 1e-9));
}

#[test]
fn a_leverage_of_one_is_not_divided_by() {
    // The identity in place of the curvature has nothing of a point in it.
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let fields = vec![floats(&[SAMPLES, 5], 1.0), floats(&[SAMPLES, 3], 2.0)];
    let data = Arc::new(ArrayDataset::new(fields).expect("a data set"));
    let task = Regression::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fit = gauss_newton(task).with_precision(Precision::F64);
    let fit = fit.with_solver(Identity).with_damping(0.0);
    let influence = fit.fit(&mlp, data.clone()).expect("fitted");
    let batch = data.batch(0..SAMPLES).expect("a batch");
    let rows = |model: &dyn InfluenceModel<Batch = Batch, Gradients = _, Factors = Stack>| {
        let gradients = model.gradients(&batch).expect("gradients");
        let rows = Stack::from(gradients).to_host();
        rows.expect("values")
    };
    let again = influence.with_damping(&0.0.into()).expect("damped");
    let plain = rows(&influence);
    let far = |model: LeverageCorrected| {
        let apart = (rows(&model) - &plain).mapv(f64::abs);
        apart.iter().copied().fold(0.0, f64::max)
    };
    // Among many points a leverage is small; of a single point it is above one.
    assert!(far(LeverageCorrected::new(influence, 1000)) > 1e-6);
    assert!(far(LeverageCorrected::new(again, 1)) < 1e-12);
}

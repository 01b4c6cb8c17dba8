//! Kronecker factors as preconditioners.

use burn::{
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::{
    block::BlockStructure,
    solver::{ConjugateGradient, Direct, Lissa, Report},
};
use ndarray::Array2;

use super::*;

/// Solutions of made-up right-hand sides, one at a time, with their reports.
fn one_by_one(influence: &Influence) -> (Vec<Array2<f64>>, Vec<Report>) {
    let dim = influence.source().layout().dim();
    let alone = |seed: usize| {
        let rhs = Array2::from_shape_vec((1, dim), wave(dim, 2.0 + seed as f64)).expect("a row");
        let rows = influence_core::GradientSource::rows(influence.source(), rhs.view());
        let solution = influence.solve(&rows.expect("rows")).expect("solved");
        (
            solution.rows.to_host().expect("values"),
            solution.reports[0],
        )
    };
    (0..3).map(alone).unzip()
}

/// Compares preconditioned conjugate gradients with the dense solution; the iterations of a row
/// without a preconditioner, with K-FAC and with EK-FAC.
fn iterations<T: Task>(
    task: impl Fn() -> T,
    module: &T::Module,
    fields: &[TensorData],
    curvature: Curvature,
) -> [usize; 3] {
    let train = dataset(fields.to_vec());
    let fitted = |with: &dyn Fn(Fit<T>) -> Fit<T>| {
        let fit = with(fit(task(), curvature).with_damping(1e-3));
        one_by_one(&fit.fit(module, train.clone()).expect("fitted"))
    };
    let cg = || ConjugateGradient::new().with_rtol(1e-10).expect("settings");
    let (exact, _) = fitted(&|fit| fit.with_solver(Direct));
    let outcomes = [
        fitted(&|fit| fit.with_solver(cg())),
        fitted(&|fit| fit.with_preconditioned_solver(cg(), Kronecker::Kfac)),
        fitted(&|fit| fit.with_preconditioned_solver(cg(), Kronecker::Ekfac)),
    ];
    outcomes.map(|(rows, reports)| {
        for (row, exact) in rows.iter().zip(&exact) {
            let scale = exact
                .iter()
                .fold(0.0_f64, |most, value| most.max(value.abs()));
            let apart = (row - exact)
                .iter()
                .fold(0.0_f64, |most, value| most.max(value.abs()));
            assert!(apart < 1e-7 * scale, "{apart:e} of {scale:e}");
        }
        reports.iter().map(|report| report.iterations).sum()
    })
}

#[test]
fn factors_of_a_linear_regression_save_iterations() {
    // Their product is the curvature, but for the draws; inputs are of very different size.
    let scales = (0..30).map(|input| 10_f64.powf(f64::from(input) / 10.0 - 2.0));
    let values = testing::random((400, 30), 1)
        .into_iter()
        .zip(scales.cycle());
    let values: Vec<f64> = values.map(|(value, scale)| value * scale).collect();
    let fields = [TensorData::new(values, [400, 30]), floats(&[400, 3], 2.0)];
    let task = || Regression::new(|m: &Linear, x: Tensor<2>| m.forward(x));
    let module = LinearConfig::new(30, 3).init(&Device::flex());
    let [none, kfac, ekfac] = iterations(task, &module, &fields, Curvature::GaussNewton);
    assert!(2 * kfac < none && 2 * ekfac < none, "{none} {kfac} {ekfac}");
}

#[test]
fn factors_of_a_linear_regression_precondition_a_neumann_series() {
    let scales = (0..30).map(|input| 10_f64.powf(f64::from(input) / 10.0 - 2.0));
    let values = testing::random((400, 30), 1).into_iter();
    let values = values
        .zip(scales.cycle())
        .map(|(value, scale)| value * scale);
    let fields = vec![
        TensorData::new(values.collect::<Vec<_>>(), [400, 30]),
        floats(&[400, 3], 2.0),
    ];
    let module = LinearConfig::new(30, 3).init(&Device::flex());
    let residuals = |kronecker: Option<Kronecker>| {
        let task = Regression::new(|m: &Linear, x: Tensor<2>| m.forward(x));
        let lissa = Lissa::new().full_batch().with_depth(60).expect("settings");
        let fit = fit(task, Curvature::GaussNewton).with_damping(1e-3);
        let fit = match kronecker {
            Some(kronecker) => fit.with_preconditioned_solver(lissa, kronecker),
            None => fit.with_solver(lissa),
        };
        let (_, reports) = one_by_one(&fit.fit(&module, dataset(fields.clone())).expect("fitted"));
        reports
            .iter()
            .fold(0.0_f64, |worst, report| worst.max(report.residual))
    };
    let [none, kfac, ekfac] = [None, Some(Kronecker::Kfac), Some(Kronecker::Ekfac)].map(residuals);
    assert!(
        none > 0.1 && kfac < 1e-6 && ekfac < 1e-6,
        "{none:e} {kfac:e} {ekfac:e}"
    );
}

#[test]
fn layers_norms_and_embeddings_precondition_together() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let task = || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fields = [floats(&[11, 5], 1.0), labels(11, 3)];
    for curvature in [Curvature::GaussNewton, Curvature::EmpiricalFisher] {
        iterations(task, &mlp, &fields, curvature);
    }
    let fields = [tokens(7), labels(7, 3)];
    iterations(
        || Tokens,
        &Transformer::new(),
        &fields,
        Curvature::EmpiricalFisher,
    );
}

#[test]
fn blocks_of_their_own_are_refused() {
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fit = fit(task, Curvature::GaussNewton)
        .with_preconditioned_solver(ConjugateGradient::new(), Kronecker::Kfac)
        .with_blocks(BlockStructure::LayerWise);
    let train = dataset(vec![floats(&[11, 5], 1.0), labels(11, 3)]);
    let error = fit
        .fit(&Mlp::new([5, 4, 6, 3], true), train)
        .expect_err("several blocks");
    assert!(
        error.to_string().contains("one of all parameters"),
        "{error}"
    );
}

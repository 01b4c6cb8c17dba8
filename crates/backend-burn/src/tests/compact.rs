//! Vectors that stay outer products against the same vectors multiplied out, and inverses of low
//! rank against whole ones.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Device, Tensor};
use influence_core::{
    Dataset, GradientSource, InfluenceModel, Precision, Rows,
    linalg::eigen,
    solver::{Report, Solution, Status},
    testing,
};
use ndarray::{Array2, ArrayView2, Axis, s};

use super::{
    difference, floats, labels,
    models::{Cnn, Mlp, Transformer},
    per_sample_gradients::{Tokens, tokens},
    source,
};
use crate::{
    ArrayDataset, Batch, Classification, Curvature, Fit, Gradients, Influence, Kronecker,
    ModelGradients, Stack,
    gradient::{GradientForm, OuterSide, ParameterGradient},
    tensors::host,
    trace::Function,
};

/// Any values as outer products: the columns but the last few are `Σ_t e_t ⊗ v_t` with the unit
/// vectors `e_t`.
fn outer_products(values: &ArrayView2<'_, f64>) -> Stack {
    const POSITIONS: usize = 2;
    let rows = Stack::from_host(values, &Device::flex(), Precision::F64);
    let (k, dim) = values.dim();
    let wide = dim / POSITIONS;
    let whole: [Range<usize>; 2] = [0..wide * POSITIONS, wide * POSITIONS..dim];
    let [outer, rest] = whole.map(|columns| {
        let form = GradientForm::Rows(rows.tensor().slice([0..k, columns.clone()]));
        ParameterGradient::new(columns, form)
    });
    if k == 0 || wide == 0 {
        return rows;
    }
    let GradientForm::Rows(values) = outer.form else {
        unreachable!("made of rows");
    };
    let units = Tensor::<2>::eye(POSITIONS, &Device::flex()).cast(values.dtype());
    let form = GradientForm::Outer {
        left: units.unsqueeze_dims::<4>(&[0, 1]).repeat_dim(0, k),
        right: values.reshape([k, 1, POSITIONS, wide]),
        activations: OuterSide::Left,
    };
    let kind = rows.vectors().kind();
    let mut parts = vec![ParameterGradient::new(outer.columns, form)];
    parts.extend((!rest.columns.is_empty()).then_some(rest));
    Stack::from(Gradients::new(k, dim, (kind.0.clone(), *kind.1), parts))
}

#[test]
fn stacks_of_outer_products_are_rows() {
    testing::rows(|values| outer_products(&values), 1e-13);
}

fn values(tensor: &Tensor<2>) -> Vec<f64> {
    host(tensor).expect("values")
}

/// Compares inner products of gradients with those of other samples, and each with its counterpart,
/// formed of factors and of rows.
fn products_agree(own: &Gradients, others: &Gradients, columns: &[Range<usize>]) {
    let mut outer = 0;
    for columns in columns {
        let (own, others) = (own.of(columns), others.of(columns));
        for (form, other) in own.zip(others) {
            let (rows, dense) = (other.to_rows(), form.to_rows());
            if let Some(products) = form.products(other) {
                let expected = rows.clone().matmul(dense.clone().transpose());
                assert!(difference(&values(&products), &values(&expected)) < 1e-12);
                outer += 1;
            }
            if rows.dims()[0] == dense.dims()[0]
                && let Some(products) = form.self_products(other)
            {
                let expected = (rows * dense).sum_dim(1);
                let products = host(&products).expect("values");
                assert!(difference(&products, &values(&expected)) < 1e-12);
            }
        }
    }
    assert!(outer > 2, "layers with outer products");
}

#[test]
fn gradients_plus_combinations_of_a_basis_are_rows() {
    let fields = vec![floats(&[7, 20], 1.0), labels(7, 3)];
    let batch = crate::batch_of(fields).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let module = Mlp::new([20, 30, 25, 3], true);
    let source = source(task, &module, &batch, Precision::F64).expect("a source");
    let gradients = source.gradients(&batch).expect("gradients");
    let rows = Stack::from(gradients.clone());
    let basis = Array2::from_shape_fn((4, rows.dim()), |(i, j)| ((7 * i + 3 * j) as f64).sin());
    let basis = rows.like(basis.view()).expect("a basis");
    let weights = Array2::from_shape_fn((7, 4), |(i, j)| ((5 * i + 2 * j) as f64).cos());
    for scale in [0.7, 0.0] {
        let sum = rows.plus_combination(scale, weights.view(), &basis);
        let sum = sum.expect("a sum");
        let combined = basis.combine(weights.view()).expect("a combination");
        let expected = combined.add_scaled(scale, &rows).expect("a sum");
        assert!(!sum.vectors().is_dense() && expected.vectors().is_dense());
        assert!(difference(&values(&sum.tensor()), &values(&expected.tensor())) < 1e-13);
        let scores = |rows: &Stack| -> Vec<f64> {
            let scores = source.scores(rows, &gradients);
            scores.expect("scores").into_iter().collect()
        };
        assert!(difference(&scores(&sum), &scores(&expected)) < 1e-13);
        let own = |rows: &Stack| source.self_scores(rows, &gradients).expect("scores");
        let (own, expected) = (own(&sum), own(&expected));
        assert!((own - &expected).iter().all(|x| x.abs() < 1e-11));
    }
    let turned = basis.gram(&rows).expect("products").reversed_axes();
    let products = rows.gram(&basis).expect("products");
    assert!((products - turned).iter().all(|x| x.abs() < 1e-11));
}

/// A perceptron of which a few vectors exceed what is multiplied out at a time.
fn large() -> (ModelGradients, Batch) {
    let fields = vec![floats(&[5, 1100], 1.0), labels(5, 3)];
    let batch = crate::batch_of(fields).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let module = Mlp::new([1100, 600, 4, 3], true);
    let source = source(task, &module, &batch, Precision::F64);
    (source.expect("a source"), batch)
}

/// Vectors that are the same only where their seeds are.
fn vectors(like: &Stack, count: usize, seed: usize) -> Stack {
    let value = |(i, j)| ((7 * i + 3 * j + 11 * seed) as f64).sin();
    let values = Array2::from_shape_fn((count, like.dim()), value);
    like.like(values.view()).expect("vectors")
}

#[test]
fn norms_of_several_parts_are_those_of_rows_that_do_not_fit_at_once() {
    let (source, batch) = large();
    let rows = Stack::from(source.gradients(&batch).expect("gradients"));
    let weights = Array2::from_shape_fn((5, 2), |(i, j)| ((5 * i + 2 * j) as f64).cos());
    let sum = rows.plus_combination(0.7, weights.view(), &vectors(&rows, 2, 0));
    let sum = sum.expect("a sum");
    assert!(!sum.vectors().is_dense());
    let expected = Stack::new(sum.tensor()).norms().expect("norms");
    assert!(difference(&sum.norms().expect("norms"), &expected) < 1e-13);
}

#[test]
fn bounds_are_finite_where_the_sums_of_several_parts_are() {
    let (source, batch) = large();
    let rows = Stack::from(source.gradients(&batch).expect("gradients"));
    let mut weights = Array2::from_elem((5, 2), 0.5);
    (weights[[1, 0]], weights[[3, 1]]) = (f64::NAN, f64::INFINITY);
    let sum = rows.plus_combination(0.7, weights.view(), &vectors(&rows, 2, 0));
    let sum = sum.expect("a sum");
    assert!(!sum.vectors().is_dense());
    let finite = sum.bounds().expect("bounds").into_iter();
    let finite: Vec<bool> = finite.map(f64::is_finite).collect();
    assert_eq!(finite, [true, false, true, false, true]);
}

#[test]
fn products_with_a_basis_are_made_once_and_used_for_that_basis_alone() {
    let (source, batch) = large();
    let fresh = || source.gradients(&batch).expect("gradients");
    let kept = fresh();
    let rows = Stack::from(fresh());
    let [basis, other] = [0, 1].map(|seed| vectors(&rows, 3, seed));
    let weights = Array2::from_shape_fn((5, 3), |(i, j)| ((5 * i + 2 * j) as f64).cos());
    let plus = |basis: &Stack| {
        let sum = rows.plus_combination(0.7, weights.view(), basis);
        sum.expect("a sum")
    };
    let before = kept.bytes();
    for basis in [&basis, &other, &basis] {
        let factors = plus(basis);
        let expected = Stack::new(factors.tensor());
        let scores =
            |rows: &Stack, gradients: &Gradients| source.scores(rows, gradients).expect("scores");
        let found = scores(&factors, &kept);
        assert_eq!(found, scores(&factors, &fresh()), "the same bits");
        let dense = scores(&expected, &kept);
        assert!((&found - &dense).iter().all(|x| x.abs() < 1e-11));
        let own = |gradients: &Gradients| {
            let own = source.self_scores(&factors, gradients);
            own.expect("scores")
        };
        assert_eq!(own(&kept), own(&fresh()), "the same bits");
        // Three numbers for each sample and each weight; the last is too narrow to stay thin.
        assert_eq!(kept.bytes(), before + 8 * 3 * 2 * 5, "kept once");
    }
    let [thin, combined] = [&rows, &plus(&basis)].map(|factors| {
        let footprint = source.footprint(&batch, factors);
        footprint.expect("a footprint")
    });
    assert!(combined.score_flops < 1.5 * thin.score_flops);
    let products = 2.0 * 3.0 * (1100.0 * 600.0);
    assert!(combined.gradient_flops > thin.gradient_flops + products);
    assert!(combined.gradient >= thin.gradient + 8 * 3 * 2);
}

#[test]
fn inner_products_of_factors_are_those_of_rows() {
    let device = Device::flex();
    // Groups and many positions; sequences, and a layer at a single position.
    let images = crate::batch_of(vec![floats(&[5, 2, 9, 8], 1.0), labels(5, 3)]).expect("a batch");
    let sequences = crate::batch_of(vec![tokens(5), labels(5, 3)]).expect("a batch");
    let cnn = Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
    let sources = [
        (source(cnn, &Cnn::new(), &images, Precision::F64), images),
        (
            source(Tokens, &Transformer::new(), &sequences, Precision::F64),
            sequences,
        ),
    ];
    for (source, batch) in sources {
        let source = source.expect("a source");
        let own = source
            .gradients_of(Function::Loss, &batch, None)
            .expect("gradients");
        let three = Tensor::from_ints([4, 0, 2], &device);
        let layout = source.layout();
        let columns: Vec<_> = (0..layout.parameters().len())
            .map(|parameter| layout.columns(parameter))
            .collect();
        products_agree(&own, &own, &columns);
        products_agree(&own, &own.select(&three), &columns);
    }
}

/// Layers wide enough that a sum of few Kronecker products is cheaper than the whole inverse.
fn wide(kronecker: Kronecker, tolerance: f64) -> (Influence, Arc<ArrayDataset>) {
    let train = vec![floats(&[120, 40], 1.0), labels(120, 10)];
    let train = Arc::new(ArrayDataset::new(train).expect("a data set"));
    let influence = Fit::new(Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)))
        .with_curvature(Curvature::GaussNewton)
        .with_kronecker(kronecker)
        .with_precision(Precision::F64)
        .with_damping(1e-2)
        .with_tolerance(tolerance)
        .fit(&Mlp::new([40, 36, 4, 10], true), train.clone())
        .expect("fitted");
    (influence, train)
}

fn solved(influence: &Influence, batch: &Batch) -> (Stack, Vec<Report>) {
    let Solution { rows, reports } = influence.factors(batch).expect("factors");
    (rows, reports)
}

#[test]
fn inverses_of_low_rank_keep_scores_within_the_tolerance() {
    for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
        let (exact, train) = wide(kronecker, 0.0);
        let test = train.batch(0..30).expect("a batch");
        let gradients = exact
            .gradients(&train.batch(0..120).expect("a batch"))
            .expect("gradients");
        let (whole, reports) = solved(&exact, &test);
        assert!(
            reports
                .iter()
                .all(|report| report.status == Status::Converged)
        );
        let scores = |rows: &Stack| -> Vec<f64> {
            let scores = exact.scores(rows, &gradients).expect("scores");
            scores.into_iter().collect()
        };
        let expected = scores(&whole);
        let plain = scores(&exact.source().measurement_rows(&test).expect("rows"));
        let scaled: Vec<f64> = plain.iter().map(|score| score / 1e-2).collect();
        assert!(
            difference(&scaled, &expected) > 0.5,
            "curvature must matter"
        );
        let mut last = f64::INFINITY;
        for tolerance in [1e-1, 1e-2] {
            let (influence, _) = wide(kronecker, tolerance);
            let (rows, reports) = solved(&influence, &test);
            assert!(
                rows.vectors().bytes() < whole.vectors().bytes(),
                "a compact form"
            );
            let error = difference(&scores(&rows), &expected);
            assert!(
                error < tolerance && error < last,
                "{kronecker:?}: {error:e} at {tolerance}"
            );
            assert!(error > 1e-12, "{error:e}: no approximation at {tolerance}");
            last = error;
            assert!(
                reports
                    .iter()
                    .all(|report| report.status == Status::Approximate)
            );
        }
    }
}

#[test]
fn residuals_are_true() {
    let (exact, train) = wide(Kronecker::Ekfac, 0.0);
    let (compact, _) = wide(Kronecker::Ekfac, 1e-1);
    let test = train.batch(0..5).expect("a batch");
    let (whole, _) = solved(&exact, &test);
    let (rows, reports) = solved(&compact, &test);
    let mut expected = [0.0_f64; 5];
    for block in exact.blocks() {
        let (start, end) = (block.columns()[0].start, block.columns()[0].end);
        let mut units = Array2::zeros((end - start, exact.dim()));
        units.slice_mut(s![.., start..end]).diag_mut().fill(1.0);
        let part = |stack: &Stack| -> Array2<f64> {
            let part = stack.columns(block.columns());
            part.and_then(|part| part.to_host()).expect("values")
        };
        let units = exact.source().rows(units.view()).expect("rows");
        let inverse = eigen(&part(&exact.solve(&units).expect("solved").rows)).expect("symmetric");
        let times_matrix = |rows: &Array2<f64>| {
            (rows.dot(&inverse.vectors) / &inverse.values).dot(&inverse.vectors.t())
        };
        let norms = |rows: Array2<f64>| {
            rows.mapv(|value| value * value)
                .sum_axis(Axis(1))
                .mapv(f64::sqrt)
        };
        let left = norms(times_matrix(&(part(&rows) - part(&whole))));
        let relative = left / norms(times_matrix(&part(&whole)));
        for (worst, relative) in expected.iter_mut().zip(relative) {
            *worst = worst.max(relative);
        }
    }
    for (report, expected) in reports.iter().zip(expected) {
        assert_eq!(report.status, Status::Approximate);
        assert!(expected > 1e-4, "something is left");
        assert!(
            (report.residual - expected).abs() < 1e-6 * expected,
            "{report:?}, {expected:e}"
        );
    }
}

#[test]
fn right_hand_sides_that_are_no_gradients_are_solved_exactly() {
    let (exact, train) = wide(Kronecker::Ekfac, 0.0);
    let (compact, _) = wide(Kronecker::Ekfac, 1e-1);
    let rows = exact
        .source()
        .measurement_rows(&train.batch(0..3).expect("a batch"))
        .expect("rows");
    let plain = rows
        .like(rows.to_host().expect("values").view())
        .expect("rows");
    let solution = compact.solve(&plain).expect("solved");
    assert!(
        solution
            .reports
            .iter()
            .all(|report| report.status == Status::Converged)
    );
    let expected = exact.solve(&rows).expect("solved").rows;
    let (found, expected) = (values(&solution.rows.tensor()), values(&expected.tensor()));
    assert!(difference(&found, &expected) < 1e-12);
}

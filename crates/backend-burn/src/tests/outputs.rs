//! The second derivative of the loss by the outputs, against formulas: whatever a task declares,
//! the curvature is that of its loss.

#![expect(
    clippy::needless_pass_by_value,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "losses are of one type, and numbers small"
)]

mod kronecker;
mod losses;
pub(super) mod oracle;
mod refusals;
mod sampling;
mod sequences;

use std::sync::Arc;

use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, Linear, LinearConfig},
    tensor::{
        Device, Int, Tensor, TensorData,
        activation::{log_sigmoid, log_softmax},
    },
};
use influence_core::{
    Precision, Rows,
    block::BlockStructure,
    linalg::{Eigen, eigen},
    operator::LinearOperator,
    testing,
};
use ndarray::{Array1, Array2, Array3, s};

use super::{data, floats, models::settled, source, wave};
use crate::{
    ArrayDataset, Batch, Curvature, Fit, Kronecker, ModelGradients, OutputLoss, Outputs, Stack,
    Task, tensors::host, trace::Function,
};
use losses::{
    Line, Loss, Own, class_weighted, cross_entropy, focal, huber, log_cosh, masked_binary,
    mean_squares, normal, poisson, residual_targets, sharp_focal, smoothed, summed_squares,
    targets,
};
use oracle::Second;

const SAMPLES: usize = 9;

/// The Jacobian `(n, c, dim)` by one backward pass per output.
pub(super) fn jacobian(source: &ModelGradients, batch: &Batch) -> (Array2<f64>, Array3<f64>) {
    let graph = source
        .trace
        .graph(Function::Outputs, batch)
        .expect("a graph");
    let outputs = source.engine.output(&graph, batch).expect("outputs");
    let [n, width] = outputs.dims();
    let mut whole = Array3::zeros((n, width, source.layout().dim()));
    for column in 0..width {
        let unit = outputs
            .zeros_like()
            .slice_fill([0..n, column..column + 1], 1.0);
        let rows = source.gradients_of(Function::Outputs, batch, Some(&unit));
        let rows = host(&rows.expect("gradients").to_rows()).expect("values");
        let rows = Array2::from_shape_vec((n, source.layout().dim()), rows).expect("rows");
        whole.slice_mut(s![.., column, ..]).assign(&rows);
    }
    let outputs = host(&outputs).expect("values");
    (
        Array2::from_shape_vec((n, width), outputs).expect("rows"),
        whole,
    )
}

/// The mean of `Jᵀ H J`, and the least eigenvalue of `H`.
fn expected(source: &ModelGradients, batch: &Batch, second: Second) -> (Array2<f64>, f64) {
    let (outputs, jacobian) = jacobian(source, batch);
    let targets: Vec<f64> = batch.fields()[1].floats().collect();
    let targets = Array2::from_shape_vec((batch.len(), targets.len() / batch.len()), targets);
    let targets = targets.expect("rows");
    let dim = source.layout().dim();
    let (mut sum, mut least) = (Array2::zeros((dim, dim)), f64::INFINITY);
    for sample in 0..batch.len() {
        let own = second(&outputs.row(sample).to_vec(), &targets.row(sample).to_vec());
        let Eigen { values, .. } = eigen(&own).expect("eigenvalues");
        least = values.iter().copied().fold(least, f64::min);
        let jacobian = jacobian.slice(s![sample, .., ..]);
        sum += &jacobian.t().dot(&own.dot(&jacobian));
    }
    (sum / batch.len() as f64, least)
}

fn largest(matrix: &Array2<f64>) -> f64 {
    matrix.iter().fold(0.0_f64, |most, x| most.max(x.abs()))
}

/// A curvature as it is formed, as its products with unit vectors, and its trace, with a last batch
/// that is smaller.
fn formed(
    source: &ModelGradients,
    fields: Vec<TensorData>,
    curvature: Curvature,
) -> [Array2<f64>; 2] {
    let blocks = BlockStructure::Full.resolve(source.layout());
    let blocks = blocks.expect("blocks");
    let operator = curvature
        .operators(source, &data(fields, 4), &blocks, 1 << 20)
        .remove(0);
    let units = operator.rows(Array2::eye(operator.dim()).view());
    let products = operator.apply(&units.expect("rows")).expect("products");
    let dense = operator.to_dense().expect("dense");
    let trace = operator.trace().expect("a trace").value;
    let rounding = match source.precision {
        Precision::F64 => 1e-12,
        Precision::F32 => 1e-4,
    };
    assert!((trace - dense.diag().sum()).abs() <= rounding * dense.diag().sum().abs().max(1.0));
    let diagonal = operator.diagonal().expect("a diagonal");
    let off = largest(&Array2::from_diag(&(diagonal - dense.diag())));
    assert!(off <= rounding * largest(&dense));
    [dense, products.to_host().expect("values")]
}

/// The products of Gauss-Newton with unit vectors, by differentiating.
fn differentiated(source: &ModelGradients, batch: &Batch) -> Array2<f64> {
    let hessian = source.output_hessian(batch).expect("second derivatives");
    let graph = source.trace.graph(Function::Outputs, batch);
    let all: Vec<usize> = (0..source.layout().parameters().len()).collect();
    let units = Stack::from_host(
        &Array2::eye(source.layout().dim()).view(),
        &source.device,
        source.precision,
    );
    let curved = |direction: &Tensor<2>| hessian.along(direction);
    let products = source.engine.gauss_newton_products(
        &graph.expect("a graph"),
        batch,
        &all,
        &units.tensor(),
        &curved,
    );
    let sum = Stack::new(products.expect("products")).to_host();
    sum.expect("values") / batch.len() as f64
}

/// Gauss-Newton against the formula, and against the Hessian where the model is linear in its
/// parameters.
fn agrees<T: Task>(
    task: T,
    module: &T::Module,
    fields: &[TensorData],
    second: Second,
    name: &str,
) -> f64 {
    let batch = crate::batch_of(fields.to_vec()).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let (expected, least) = expected(&source, &batch, second);
    assert!(largest(&expected) > 1e-3, "{name}: nothing to compare");
    for found in formed(&source, fields.to_vec(), Curvature::GaussNewton) {
        let worst = largest(&(&found - &expected)) / largest(&expected);
        assert!(worst < 1e-10, "{name}: gauss-newton {worst:e}");
    }
    let differentiated = differentiated(&source, &batch);
    let worst = largest(&(&differentiated - &expected)) / largest(&expected);
    assert!(worst < 1e-10, "{name}: differentiated {worst:e}");
    if source.layout().parameters().len() <= 2 {
        for found in formed(&source, fields.to_vec(), Curvature::Hessian) {
            let worst = largest(&(&found - &expected)) / largest(&expected);
            assert!(worst < 1e-10, "{name}: hessian {worst:e}");
        }
    }
    least
}

const DECLARED: [OutputLoss; 5] = [
    OutputLoss::CrossEntropy,
    OutputLoss::MeanSquaredError,
    OutputLoss::BinaryCrossEntropy,
    OutputLoss::SequenceCrossEntropy { classes: 2 },
    OutputLoss::Derived,
];

#[test]
fn gauss_newton_is_that_of_the_loss_whatever_is_declared() {
    let cases: [(&str, Loss, Second); 10] = [
        ("cross-entropy", cross_entropy, oracle::cross_entropy),
        ("class weights", class_weighted, oracle::class_weighted),
        ("label smoothing", smoothed, oracle::cross_entropy),
        ("mean of squares", mean_squares, oracle::mean_squares),
        ("sum of squares", summed_squares, oracle::summed_squares),
        ("huber", huber, oracle::huber),
        ("log-cosh", log_cosh, oracle::log_cosh),
        ("poisson", poisson, oracle::poisson),
        ("masked binary", masked_binary, oracle::masked_binary),
        ("focal", focal, oracle::focal),
    ];
    for (name, loss, second) in cases {
        for declared in DECLARED {
            for deep in [false, true] {
                let module = if deep { Line::new(4) } else { Line::single(4) };
                let task = Own {
                    deep,
                    ..Own::new(loss, declared)
                };
                let classes = matches!(
                    name,
                    "cross-entropy" | "class weights" | "label smoothing" | "focal"
                );
                let last = if classes {
                    targets(4)
                } else {
                    residual_targets(4)
                };
                let fields = [floats(&[SAMPLES, 4], 1.0), last];
                let name = format!("{name} declared as {declared:?}, deep: {deep}");
                agrees(task, &module, &fields, second, &name);
            }
        }
    }
}

#[test]
fn losses_that_are_not_convex_count_negatively() {
    let cases: [(&str, Loss, Second); 2] = [
        ("focal", sharp_focal, oracle::sharp_focal),
        ("normal", normal, oracle::normal),
    ];
    for (name, loss, second) in cases {
        for deep in [false, true] {
            let module = if deep { Line::new(4) } else { Line::single(4) };
            let task = Own {
                deep,
                ..Own::new(loss, OutputLoss::Derived)
            };
            let last = if name == "focal" {
                targets(4)
            } else {
                residual_targets(4)
            };
            let fields = [floats(&[SAMPLES, 4], 1.0), last];
            let least = agrees(task, &module, &fields, second, name);
            assert!(least < -1e-3, "{name} is convex here: {least:e}");
        }
    }
}

//! The second derivative of the loss by the outputs, against formulas: whatever a task declares,
//! the curvature is that of its loss.

#![expect(
    clippy::needless_pass_by_value,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "losses are of one type, and numbers small"
)]

mod oracle;
mod refusals;

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
    ArrayDataset, Batch, Curvature, Fit, Kronecker, ModelGradients, OutputLoss, Outputs, Task,
    tensors::host, trace::Function,
};
use oracle::Second;

const SAMPLES: usize = 9;

#[derive(Module, Debug)]
struct Line {
    layer: Linear,
    /// Before the layer, where there is more than one.
    before: Linear,
}

impl Line {
    fn new(outputs: usize) -> Self {
        let device = Device::flex();
        let line = Self {
            layer: LinearConfig::new(4, outputs).init(&device),
            before: LinearConfig::new(4, 4).init(&device),
        };
        settled(line, 2.0)
    }

    /// One layer; the other is frozen.
    fn single(outputs: usize) -> Self {
        let line = Self::new(outputs);
        Self {
            before: line.before.no_grad(),
            ..line
        }
    }
}

/// A loss of outputs `(n, c)` and targets.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;
/// Weights that a task declares, from the targets.
type Weights = fn(Tensor<2>) -> Tensor<2>;

#[derive(Clone, Copy)]
struct Own {
    loss: Loss,
    declared: OutputLoss,
    weights: Option<Weights>,
    /// Whether there are two layers with a residual around the first, which is no chain of maps.
    deep: bool,
}

impl Own {
    fn new(loss: Loss, declared: OutputLoss) -> Self {
        Self {
            loss,
            declared,
            weights: None,
            deep: false,
        }
    }

    fn forward(&self, line: &Line, x: Tensor<2>) -> Tensor<2> {
        if self.deep {
            let x = line.before.forward(x.clone()).tanh() + x;
            return line.layer.forward(x);
        }
        line.layer.forward(x)
    }
}

impl Task for Own {
    type Module = Line;
    type Inputs = (Tensor<2>, Tensor<2>);

    fn loss(&self, line: &Line, (x, targets): Self::Inputs) -> Tensor<1> {
        (self.loss)(self.forward(line, x), targets)
    }

    fn outputs(&self, line: &Line, (x, targets): Self::Inputs) -> Option<Outputs> {
        let outputs = Outputs::new(self.forward(line, x), self.declared);
        Some(match self.weights {
            Some(weights) => outputs.with_weights(weights(targets)),
            None => outputs,
        })
    }
}

fn picked(logits: Tensor<2>, targets: &Tensor<2>) -> Tensor<2> {
    let [n, _] = targets.dims();
    let labels = targets.clone().slice([0..n, 0..1]).int();
    log_softmax(logits, 1).gather(1, labels)
}

fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    picked(logits, &targets).neg().squeeze_dim(1)
}

/// 5 for class 1, else 1.
fn class_weights(targets: Tensor<2>) -> Tensor<2> {
    let [n, _] = targets.dims();
    targets.slice([0..n, 0..1]).equal_elem(1.0).float() * 4.0 + 1.0
}

fn class_weighted(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let weights = class_weights(targets.clone());
    (picked(logits, &targets).neg() * weights).squeeze_dim(1)
}

fn smoothed(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let logs = log_softmax(logits.clone(), 1).mean_dim(1);
    let loss = picked(logits, &targets) * 0.9 + logs * 0.1;
    loss.neg().squeeze_dim(1)
}

fn mean_squares(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).square().mean_dim(1).squeeze_dim(1)
}

fn summed_squares(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).square().sum_dim(1).squeeze_dim(1)
}

/// Squared within 1/2, linear beyond.
fn huber(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let residual = (outputs - targets).abs();
    let near = residual.clone().lower_elem(0.5);
    let far = residual.clone() * 0.5 - 0.125;
    let loss = far.mask_where(near, residual.square() * 0.5);
    loss.sum_dim(1).squeeze_dim(1)
}

fn log_cosh(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).cosh().log().sum_dim(1).squeeze_dim(1)
}

fn poisson(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let loss = outputs.clone().exp() - outputs * targets;
    loss.sum_dim(1).squeeze_dim(1)
}

fn masked_binary(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let masked = targets.clone().lower_equal_elem(0.5);
    let loss = log_sigmoid(logits) * -3.0;
    loss.mask_fill(masked, 0.0).sum_dim(1).squeeze_dim(1)
}

fn focal(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let log = picked(logits, &targets);
    let missed = log.clone().exp().neg() + 1.0;
    (missed.square() * log).neg().squeeze_dim(1)
}

/// Far from uniform, where the focal loss is not convex.
fn sharp_focal(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    focal(logits * oracle::SHARP, targets)
}

fn normal(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [n, _] = outputs.dims();
    let pairs: Tensor<3> = outputs.reshape([n, 2, 2]);
    let of = |index: usize| pairs.clone().slice([0..n, 0..2, index..index + 1]);
    let (mean, log_variance): (Tensor<2>, Tensor<2>) = (of(0).squeeze_dim(2), of(1).squeeze_dim(2));
    let squares = (targets.slice([0..n, 0..2]) - mean).square();
    let loss = log_variance.clone() + squares * log_variance.neg().exp();
    (loss * 0.5).sum_dim(1).squeeze_dim(1)
}

/// Class numbers in the first column, and numbers around zero in the others.
fn targets(columns: usize) -> TensorData {
    let mut values = wave(SAMPLES * columns, 5.0);
    for (sample, row) in values.chunks_exact_mut(columns).enumerate() {
        // The first three samples are of a class with a weight of 1.
        row[0] = if sample < 3 {
            0.0
        } else {
            ((sample * 7 + 1) % 3) as f64
        };
    }
    TensorData::new(values, [SAMPLES, columns])
}

fn residual_targets(columns: usize) -> TensorData {
    TensorData::new(wave(SAMPLES * columns, 5.0), [SAMPLES, columns])
}

/// The Jacobian `(n, c, dim)` by one backward pass per output.
fn jacobian(source: &ModelGradients, batch: &Batch) -> (Array2<f64>, Array3<f64>) {
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
    let targets: Vec<f64> = batch.fields()[1].iter::<f64>().collect();
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
    [dense, products.to_host().expect("values")]
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
    let batch = Batch::new(fields.to_vec()).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let (expected, least) = expected(&source, &batch, second);
    assert!(largest(&expected) > 1e-3, "{name}: nothing to compare");
    for found in formed(&source, fields.to_vec(), Curvature::GaussNewton) {
        let worst = largest(&(&found - &expected)) / largest(&expected);
        assert!(worst < 1e-10, "{name}: gauss-newton {worst:e}");
    }
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

/// Tokens looked up and mapped to logits at each position.
#[derive(Module, Debug)]
struct Sequence {
    tokens: Embedding,
    layer: Linear,
}

const LENGTH: usize = 5;
const CLASSES: usize = 3;

impl Sequence {
    fn new() -> Self {
        let device = Device::flex();
        let sequence = Self {
            tokens: EmbeddingConfig::new(6, 3).init(&device),
            layer: LinearConfig::new(3, CLASSES).init(&device),
        };
        settled(sequence, 3.0)
    }

    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.layer.forward(self.tokens.forward(tokens))
    }
}

/// How a loss of a sequence brings logits `(n, t, c)` and labels `(n, t)`, none below zero,
/// together: minus the log-probability `(n, t)` of each label.
type Picked = fn(Tensor<3>, Tensor<2, Int>) -> Tensor<2>;
/// What becomes of these and the targets.
type Reduced = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

struct Labelled {
    picked: Picked,
    reduced: Reduced,
    declared: OutputLoss,
}

impl Task for Labelled {
    type Module = Sequence;
    type Inputs = (Tensor<2, Int>, Tensor<2>);

    fn loss(&self, module: &Sequence, (tokens, targets): Self::Inputs) -> Tensor<1> {
        let labels = targets.clone().clamp_min(0.0).int();
        (self.reduced)((self.picked)(module.forward(tokens), labels), targets)
    }

    fn outputs(&self, module: &Sequence, (tokens, _): Self::Inputs) -> Option<Outputs> {
        let logits = module.forward(tokens);
        Some(Outputs::new(logits.flatten(1, 2), self.declared))
    }
}

fn by_position(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let picked = log_softmax(logits, 2).gather(2, labels.unsqueeze_dim(2));
    picked.neg().squeeze_dim(2)
}

/// As `PyTorch` has it, the classes along the second axis.
fn classes_second(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let picked = log_softmax(logits.swap_dims(1, 2), 1).gather(1, labels.unsqueeze_dim(1));
    picked.neg().squeeze_dim(1)
}

/// All positions of all samples in one column.
fn in_one_column(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let [n, t, classes] = logits.dims();
    let logs = log_softmax(logits.reshape([n * t, classes]), 1);
    let picked = logs.gather(1, labels.reshape([n * t, 1]));
    picked.neg().reshape([n, t])
}

fn mean(losses: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
    losses.mean_dim(1).squeeze_dim(1)
}

fn summed(losses: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
    losses.sum_dim(1).squeeze_dim(1)
}

fn without_padding(losses: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let counted = targets.greater_equal_elem(0.0).float();
    let sum = (losses * counted.clone()).sum_dim(1);
    (sum / counted.sum_dim(1)).squeeze_dim(1)
}

/// Two of five positions are padding in seven of nine rows.
fn padded() -> TensorData {
    let label = |entry: usize| {
        let (row, position) = (entry / LENGTH, entry % LENGTH);
        if row >= 2 && position >= 3 {
            -100.0
        } else {
            ((entry * 5 + 2) % CLASSES) as f64
        }
    };
    let values: Vec<f64> = (0..SAMPLES * LENGTH).map(label).collect();
    TensorData::new(values, [SAMPLES, LENGTH])
}

fn sequences() -> TensorData {
    let tokens = (0..SAMPLES * LENGTH).map(|index| ((index * index + 3 * index) % 6) as i64);
    TensorData::new(tokens.collect::<Vec<i64>>(), [SAMPLES, LENGTH])
}

#[test]
fn sequences_are_averaged_summed_or_masked_as_in_their_loss() {
    let reduced: [(&str, Reduced, Second); 3] = [
        ("mean", mean, oracle::mean_over_positions),
        ("sum", summed, oracle::summed_over_positions),
        ("padding ignored", without_padding, oracle::padding_ignored),
    ];
    let picked: [Picked; 3] = [by_position, classes_second, in_one_column];
    for (name, reduced, second) in reduced {
        for picked in picked {
            for declared in [
                OutputLoss::SequenceCrossEntropy { classes: CLASSES },
                OutputLoss::Derived,
            ] {
                let task = Labelled {
                    picked,
                    reduced,
                    declared,
                };
                let name = format!("{name} as {declared:?}");
                agrees(
                    task,
                    &Sequence::new(),
                    &[sequences(), padded()],
                    second,
                    &name,
                );
            }
        }
    }
}

/// Kronecker factors of one layer under class weights and sums, against the matrix written out.
#[test]
fn kronecker_factors_have_the_weights_of_the_loss() {
    let cases: [(&str, Loss, OutputLoss, Second); 3] = [
        (
            "class weights",
            class_weighted,
            OutputLoss::CrossEntropy,
            oracle::class_weighted,
        ),
        (
            "sum of squares",
            summed_squares,
            OutputLoss::MeanSquaredError,
            oracle::summed_squares,
        ),
        ("poisson", poisson, OutputLoss::Derived, oracle::poisson),
    ];
    for (name, loss, declared, second) in cases {
        for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
            let (module, damping) = (Line::single(4), 0.05);
            let fields = vec![floats(&[SAMPLES, 4], 1.0), targets(4)];
            let train = Arc::new(ArrayDataset::new(fields.clone()).expect("a data set"));
            let influence = Fit::new(Own::new(loss, declared))
                .with_curvature(Curvature::GaussNewton)
                .with_kronecker(kronecker)
                .with_precision(Precision::F64)
                .with_tolerance(0.0)
                .with_damping(damping)
                .with_batch_size(4)
                .fit(&module, train)
                .expect("fitted");
            let dim = influence.source().layout().dim();
            let rhs = Array2::from_shape_vec((3, dim), wave(3 * dim, 5.0)).expect("rows");
            let rows = influence_core::GradientSource::rows(influence.source(), rhs.view());
            let solution = influence.solve(&rows.expect("rows")).expect("solved");
            let factors = solution.converged().and_then(|rows| rows.to_host());
            let batch = Batch::new(fields).expect("a batch");
            let mut matrix = factored(influence.source(), &batch, second, kronecker);
            matrix.diag_mut().mapv_inplace(|value| value + damping);
            let expected = testing::solve(&matrix, &rhs);
            let worst = largest(&(&factors.expect("factors") - &expected)) / largest(&expected);
            assert!(worst < 1e-9, "{name} {kronecker:?}: {worst:e}");
        }
    }
}

/// `A ⊗ S` of a linear layer with its bias last, or its eigenvectors with the curvature along them.
fn factored(
    source: &ModelGradients,
    batch: &Batch,
    second: Second,
    kronecker: Kronecker,
) -> Array2<f64> {
    let (outputs, _) = jacobian(source, batch);
    let read = |field: usize| -> Vec<f64> { batch.fields()[field].iter::<f64>().collect() };
    let (inputs, targets) = (read(0), read(1));
    let (n, width) = (batch.len(), 4);
    let (mut of_inputs, mut of_gradients) = (Array2::zeros((5, 5)), Array2::zeros((width, width)));
    let mut samples = Vec::new();
    for sample in 0..n {
        let mut a = Array1::ones(5);
        a.slice_mut(s![..4])
            .assign(&Array1::from(inputs[4 * sample..4 * (sample + 1)].to_vec()));
        let own = second(
            &outputs.row(sample).to_vec(),
            &targets[4 * sample..4 * (sample + 1)],
        );
        let column = a.clone().insert_axis(ndarray::Axis(1));
        of_inputs += &(column.dot(&column.t()) / n as f64);
        of_gradients += &(&own / n as f64);
        samples.push((a, own));
    }
    let (inner, outer) = (eigen(&of_inputs), eigen(&of_gradients));
    let (inner, outer) = (inner.expect("eigenvectors"), outer.expect("eigenvectors"));
    let mut matrix = Array2::zeros((5 * width, 5 * width));
    for (i, j) in (0..5).flat_map(|i| (0..width).map(move |j| (i, j))) {
        let (u, q) = (inner.vectors.column(i), outer.vectors.column(j));
        let value = match kronecker {
            Kronecker::Kfac => inner.values[i] * outer.values[j],
            Kronecker::Ekfac => {
                let along = samples
                    .iter()
                    .map(|(a, own)| a.dot(&u).powi(2) * q.dot(&own.dot(&q)));
                along.sum::<f64>() / n as f64
            }
        };
        let direction: Array1<f64> = u
            .iter()
            .flat_map(|u| q.iter().map(move |q| u * q))
            .collect();
        let column = direction.insert_axis(ndarray::Axis(1));
        matrix += &(column.dot(&column.t()) * value);
    }
    matrix
}

#[test]
fn draws_have_the_second_derivative_of_the_loss_as_their_second_moment() {
    let cases: [(&str, Loss, OutputLoss, Second); 3] = [
        (
            "class weights",
            class_weighted,
            OutputLoss::CrossEntropy,
            oracle::class_weighted,
        ),
        (
            "masked binary",
            masked_binary,
            OutputLoss::BinaryCrossEntropy,
            oracle::masked_binary,
        ),
        ("log-cosh", log_cosh, OutputLoss::Derived, oracle::log_cosh),
    ];
    for (name, loss, declared, second) in cases {
        let fields = vec![floats(&[SAMPLES, 4], 1.0), targets(4)];
        let batch = Batch::new(fields).expect("a batch");
        let source = source(
            Own::new(loss, declared),
            &Line::single(4),
            &batch,
            Precision::F64,
        );
        let source = source.expect("a source");
        let (expected, _) = expected(&source, &batch, second);
        let errors = [10, 400].map(|draws| {
            let curvature = Curvature::Fisher { draws, seed: 3 };
            let drawn = source.curvature_vectors(curvature, &batch, 0);
            let dim = source.layout().dim();
            let mut found = Array2::<f64>::zeros((dim, dim));
            for vectors in drawn.expect("draws").plus {
                let rows = host(&vectors.to_rows()).expect("values");
                let rows = Array2::from_shape_vec((SAMPLES, dim), rows).expect("rows");
                found += &(rows.t().dot(&rows) / SAMPLES as f64);
            }
            largest(&(&found - &expected)) / largest(&expected)
        });
        assert!(
            errors[1] < 0.2 && errors[1] < 0.6 * errors[0],
            "{name}: {errors:?}"
        );
    }
}

/// Where the softmax saturates, 32 bits keep the curvature of the closed form.
#[test]
fn closed_forms_do_not_cancel_in_32_bits() {
    let steep: Vec<f64> = wave(SAMPLES * 4, 1.0).iter().map(|x| 20.0 * x).collect();
    let steep = TensorData::new(steep, [SAMPLES, 4]);
    let batch = Batch::new(vec![steep, targets(4)]).expect("a batch");
    let of = |precision| {
        let task = Own::new(class_weighted, OutputLoss::CrossEntropy);
        source(task, &Line::single(4), &batch, precision).expect("a source")
    };
    let (expected, _) = expected(&of(Precision::F64), &batch, oracle::class_weighted);
    let fields = batch.fields().to_vec();
    let [rounded, _] = formed(&of(Precision::F32), fields, Curvature::GaussNewton);
    let worst = largest(&(&rounded - &expected)) / largest(&expected);
    assert!(worst < 1e-4, "{worst:e}");
}

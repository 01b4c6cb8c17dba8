//! Trainings in segments: against matrices written out by hand, and against the exact derivative.

use burn::{module::Param, tensor::DType};
use influence_core::{
    SegmentedUnrolling,
    linalg::{Eigen, eigen},
    solver::Solution,
    testing,
};
use ndarray::{Array1, Axis, s};

use super::*;
use crate::{Kronecker, ModelGradients, Regression, Segmentation, SegmentedTraining, Task};

const CLASSES: usize = 3;
const CUT: Segmentation = Segmentation {
    segments: 2,
    checkpoints: 2,
};
const DECAY: f32 = 0.05;

fn segmented<T: Task + 'static>(
    task: T,
    module: &T::Module,
    descent: TrainingSteps,
    cut: Segmentation,
    train: Vec<TensorData>,
) -> CoreResult<SegmentedTraining> {
    let fit = Fit::new(task).with_curvature(crate::Curvature::GaussNewton);
    let fit = fit
        .with_kronecker(Kronecker::Ekfac)
        .with_precision(Precision::F64);
    let train = Arc::new(ArrayDataset::new(train)?);
    fit.segmented(module, descent, cut, train)
}

fn of_segments(
    model: &SegmentedUnrolling<ModelGradients>,
    train: Vec<TensorData>,
    test: Vec<TensorData>,
) -> Array2<f64> {
    let [train, test] = [train, test].map(|fields| batch_of(fields).expect("a batch"));
    let factors = model.factors(&test).and_then(Solution::converged);
    let gradients = model.gradients(&train).expect("gradients");
    let scores = model.scores(&factors.expect("factors"), &gradients);
    let scores = scores.expect("scores").into_dimensionality();
    scores.expect("a matrix")
}

/// A softmax regression and its data, by hand.
struct ByHand {
    network: Perceptron,
    /// `(n, 6)`, a 1 appended.
    inputs: Array2<f64>,
    classes: Vec<usize>,
}

impl ByHand {
    fn of(inputs: &TensorData, classes: &TensorData) -> Self {
        let plain = matrix(inputs);
        let mut inputs = Array2::ones((plain.nrows(), plain.ncols() + 1));
        inputs.slice_mut(s![.., ..plain.ncols()]).assign(&plain);
        Self {
            network: perceptron(&[5, CLASSES], &[0]),
            inputs,
            classes: numbers(classes),
        }
    }

    /// The gradients of all points, `(n, 18)`.
    fn gradients(&self, parameters: &[f64]) -> Array2<f64> {
        let of_point = |(input, &class): (ndarray::ArrayView1<'_, f64>, _)| {
            let plain = input.slice(s![..5]).to_owned();
            self.network.loss(parameters, plain, class).1
        };
        let rows = self.inputs.rows().into_iter().zip(&self.classes);
        let all: Vec<f64> = rows.flat_map(of_point).collect();
        Array2::from_shape_vec((self.classes.len(), all.len() / self.classes.len()), all)
            .expect("a matrix")
    }

    /// The second derivative of the loss of each point by its outputs.
    fn output_hessians(&self, parameters: &[f64]) -> Vec<Array2<f64>> {
        let map = Array2::from_shape_vec((6, CLASSES), parameters.to_vec()).expect("a matrix");
        let outputs = self.inputs.dot(&map).mapv(f64::exp);
        let of_point = |exponentials: ndarray::ArrayView1<'_, f64>| {
            let probable = &exponentials / exponentials.sum();
            let column = probable.view().insert_axis(Axis(1));
            Array2::from_diag(&probable) - column.dot(&probable.view().insert_axis(Axis(0)))
        };
        outputs.rows().into_iter().map(of_point).collect()
    }

    /// The curvature of EK-FAC, mean over checkpoints, `Σ Λ_as (q_a ⊗ q_s)(q_a ⊗ q_s)ᵀ (18, 18)`,
    /// with the eigenvectors `q` of the mean second moments of inputs and output gradients.
    fn curvature(&self, checkpoints: &[Vec<f64>]) -> Array2<f64> {
        let hessians: Vec<_> = checkpoints
            .iter()
            .map(|it| self.output_hessians(it))
            .collect();
        let count = (checkpoints.len() * self.classes.len()) as f64;
        let mut of_outputs = Array2::zeros((CLASSES, CLASSES));
        hessians.iter().flatten().for_each(|one| of_outputs += one);
        let of_inputs = self.inputs.t().dot(&self.inputs) / self.classes.len() as f64;
        let vectors = |matrix: &Array2<f64>| -> Eigen { eigen(matrix).expect("symmetric") };
        let (left, right) = (
            vectors(&of_inputs).vectors,
            vectors(&(of_outputs / count)).vectors,
        );
        let mut sum = Array2::zeros((18, 18));
        for a in left.columns() {
            for s in right.columns() {
                let mut value = 0.0;
                for hessians in &hessians {
                    for (input, hessian) in self.inputs.rows().into_iter().zip(hessians) {
                        value += input.dot(&a).powi(2) * s.dot(&hessian.dot(&s)) / count;
                    }
                }
                let vector: Array1<f64> = a
                    .iter()
                    .flat_map(|a| s.iter().map(move |s| a * s))
                    .collect();
                let column = vector.view().insert_axis(Axis(1));
                sum += &(column.dot(&vector.view().insert_axis(Axis(0))) * value);
            }
        }
        sum
    }
}

/// `exp(−T M)` and `∫ exp(−t M) dt` from 0 to `T`, by their series.
fn exponential(matrix: &Array2<f64>, time: f64) -> [Array2<f64>; 2] {
    let mut term = Array2::<f64>::eye(matrix.nrows());
    let mut sums = [term.clone(), &term * time];
    for k in 1..100 {
        term = term.dot(matrix) * (-time / f64::from(k));
        sums[0] += &term;
        sums[1].scaled_add(time / f64::from(k + 1), &term);
    }
    sums
}

#[test]
fn influences_are_those_of_matrices_written_out() {
    const RATE: f64 = 0.4;
    let module = settled(LinearConfig::new(5, CLASSES).init(&Device::flex()), 2.0);
    let descent = descent(MOMENTUM, RATE, DECAY);
    let steps = descent.steps.clone();
    let train = ByHand::of(&inputs(), &labels(SAMPLES, CLASSES));
    let [test_inputs, test_classes] = test();
    let test_points = ByHand::of(&test_inputs, &test_classes);
    let after = |count: usize| {
        let reference = Reference {
            network: perceptron(&[5, CLASSES], &[0]),
            inputs: matrix(&inputs()),
            classes: numbers(&labels(SAMPLES, CLASSES)),
            steps: &steps[..count],
            rule: MOMENTUM,
            weight_decay: f64::from(DECAY),
        };
        reference.trained(&parameter_values(&module), &[1.0; SAMPLES])
    };
    let mut rows = test_points.gradients(&after(9));
    let (mut expected, mut flat) = (Array2::zeros((2, SAMPLES)), Array2::zeros((2, SAMPLES)));
    for (range, checkpoints) in [(4..9, [6, 9]), (0..4, [2, 4])] {
        let checkpoints = checkpoints.map(after);
        let rates: f64 = steps[range].iter().map(|step| step.learning_rate).sum();
        let time = rates / (1.0 - f64::from(0.9_f32));
        let decay = Array2::<f64>::eye(18) * f64::from(DECAY);
        let [decayed, response] = exponential(&(train.curvature(&checkpoints) + decay), time);
        let gradients = checkpoints.map(|it| train.gradients(&it) / 2.0);
        let mean = &gradients[0] + &gradients[1];
        expected += &rows.dot(&response).dot(&mean.t());
        flat += &(rows.dot(&mean.t()) * time);
        rows = rows.dot(&decayed);
    }
    let task = Classification::new(Linear::forward);
    let data = || vec![inputs(), labels(SAMPLES, CLASSES)];
    let found = segmented(task, &module, descent, CUT, data()).expect("a training");
    assert!(difference(&found.trained, &after(9)) < 1e-12);
    let scores = of_segments(&found.influence, data(), test().to_vec());
    let values = |array: &Array2<f64>| array.iter().copied().collect::<Vec<_>>();
    let off = difference(&values(&scores), &values(&expected));
    assert!(off < 1e-9, "{off}");
    let dropped = difference(&values(&scores), &values(&flat));
    assert!(dropped > 0.2, "the curvature counts: {dropped}");
}

/// At the minimum of least squares, trained on all points at a time, gradients and curvature stay
/// as they are, and what is left is `(1 − η h)ᴷ` in place of `exp(−η K h)`.
#[test]
fn at_a_minimum_short_steps_give_the_exact_derivative() {
    let targets = || floats(&[SAMPLES, 2], 5.0);
    let data = || vec![inputs(), targets()];
    let by_hand = ByHand::of(&inputs(), &labels(SAMPLES, 2));
    let square = by_hand.inputs.t().dot(&by_hand.inputs);
    let side = matrix(&targets()).t().dot(&by_hand.inputs);
    let map = testing::solve(&square, &side).t().to_owned();
    let place = (&Device::flex(), DType::F64);
    let values = |rows: std::ops::Range<usize>| map.slice(s![rows, ..]).iter().copied().collect();
    let values = |rows, shape: Vec<usize>| TensorData::new::<f64, _>(values(rows), shape);
    let mut module = LinearConfig::new(5, 2).init(&Device::flex());
    module.weight = Param::from_tensor(Tensor::from_data(values(0..5, vec![5, 2]), place));
    module.bias = Some(Param::from_tensor(Tensor::from_data(
        values(5..6, vec![2]),
        place,
    )));
    let test = || vec![floats(&[2, 5], 3.0), floats(&[2, 2], 8.0)];

    let off = |count: usize, segments: usize| {
        let descent = whole_steps(data(), count, 4.0 / count as f64);
        let task = || Regression::new(Linear::forward);
        let fit = Fit::new(task()).with_precision(Precision::F64);
        let exact = fit.unrolled(&module, descent.clone()).expect("a training");
        let exact = exact.factors(&batch_of(test()).expect("a batch"));
        let exact = exact.and_then(Solution::converged).expect("factors");
        let cut = Segmentation {
            segments,
            checkpoints: 1,
        };
        let found = segmented(task(), &module, descent, cut, data()).expect("a training");
        let found = of_segments(&found.influence, data(), test());
        difference(
            &found.into_iter().collect::<Vec<_>>(),
            &exact.into_iter().collect::<Vec<_>>(),
        )
    };
    let [long, short, halved] = [off(20, 1), off(200, 1), off(400, 1)];
    assert!(short < 0.01 && long > 2.0 * short, "{long} {short}");
    assert!((halved / short - 0.5).abs() < 0.02, "{short} {halved}");
    assert!((off(200, 4) / short - 1.0).abs() < 1e-6);
}

/// Steps of one length along the gradient of all samples.
fn whole_steps(data: Vec<TensorData>, count: usize, rate: f64) -> TrainingSteps {
    let whole = ArrayDataset::new(data).expect("a data set");
    let step = TrainingStep {
        batch: (0..SAMPLES).collect(),
        learning_rate: rate,
    };
    TrainingSteps {
        gather: Arc::new(move |_| whole.batch(0..SAMPLES)),
        steps: vec![step; count],
        ..descent(UpdateRule::Sgd { momentum: 0.0 }, 1.0, 0.0)
    }
}

#[test]
fn what_has_no_closed_form_is_refused() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let data = || vec![inputs(), labels(SAMPLES, CLASSES)];
    let refused = |rule, segments| {
        let cut = Segmentation { segments, ..CUT };
        let task = Classification::new(Mlp::tanh);
        let found = segmented(task, &mlp, descent(rule, 0.1, 0.0), cut, data());
        found.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(refused(MOMENTUM, 4), Ok(()));
    let error = refused(UpdateRule::ADAM, 2).expect_err("Adam");
    assert!(error.contains("gradient descent"), "{error}");
    let error = refused(MOMENTUM, 5).expect_err("ten checkpoints in nine steps");
    assert!(error.contains("9 steps"), "{error}");
    let fit = Fit::new(Classification::new(Mlp::tanh));
    let train = Arc::new(ArrayDataset::new(data()).expect("a data set"));
    let found = fit.segmented(&mlp, descent(MOMENTUM, 0.1, 0.0), CUT, train);
    let error = found.map(drop).expect_err("direct").to_string();
    assert!(error.contains("Kronecker"), "{error}");
}

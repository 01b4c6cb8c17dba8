//! Losses of a small network: what curvatures make of them, against dense matrices of torch.

mod golden;
mod learnt;
mod refusals;

use std::sync::Arc;

use burn::tensor::{Device, TensorData};
use influence_backend_burn::{ArrayDataset, Curvature, Evaluator, Fit, Influence, Kronecker};
use influence_core::{Dataset, InfluenceModel, Precision};

use super::{LossKind, Measurement, NetworkLoss, NetworkTask};
use golden::{Golden, field, network};

const TRAIN: usize = 6;
const TEST: usize = 2;
const IGNORED: i64 = -100;
const SMOOTHING: f64 = 0.15;

/// A case of the golden file.
struct Case {
    name: String,
    loss: NetworkLoss,
    inputs: TensorData,
    targets: TensorData,
}

/// The losses of the golden file.
fn cases(golden: &Golden) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in LossKind::ALL {
        for option in [
            "plain",
            "ignore",
            "weights",
            "smoothing",
            "both",
            "all",
            "class",
        ] {
            let name = format!("{kind}/{option}");
            if !golden.has(&format!("{name}/loss")) {
                continue;
            }
            let of = |options: &[&str]| options.contains(&option);
            let ignore = of(&["ignore", "all"]).then_some(IGNORED);
            let weighted = of(&["weights", "both", "all"]);
            let smoothed = of(&["smoothing", "both", "all"]);
            cases.push(Case {
                loss: NetworkLoss {
                    kind,
                    ignore: ignore.or(of(&["class"]).then_some(2)),
                    class_weights: weighted.then(|| vec![0.3, 1.7, 0.9]),
                    label_smoothing: if smoothed { SMOOTHING } else { 0.0 },
                },
                inputs: golden.data(&format!("{kind}/inputs")),
                targets: golden.data(&format!("{name}/targets")),
                name,
            });
        }
    }
    assert_eq!(cases.len(), 18);
    cases
}

impl Case {
    fn task(&self, golden: &Golden, measurement: Measurement) -> NetworkTask {
        let model = network(golden, self.inputs.shape().len());
        let sample = self.inputs.shape()[1..].to_vec();
        NetworkTask::new(&model, self.loss.clone(), measurement, &[sample]).expect("a task")
    }

    fn points(&self, first: usize, count: usize) -> Arc<ArrayDataset> {
        let fields = [&self.inputs, &self.targets].map(|data| field(data, first, count));
        Arc::new(ArrayDataset::new(fields.into()).expect("a data set"))
    }

    fn fitted(
        &self,
        golden: &Golden,
        measurement: Measurement,
        settings: impl FnOnce(Fit<NetworkTask>) -> Fit<NetworkTask>,
    ) -> Influence {
        let network = network(golden, self.inputs.shape().len()).network(&Device::flex());
        let damping = golden.numbers(&format!("{}/damping", self.name))[0];
        let fit = Fit::new(self.task(golden, measurement))
            .with_curvature(Curvature::GaussNewton)
            .with_damping(damping)
            .with_batch_size(4)
            .with_tolerance(0.0)
            .with_precision(Precision::F64);
        let fitted = settings(fit).fit(&network, self.points(0, TRAIN));
        fitted.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// The influences of the training points on the test points.
    fn influences(&self, influence: &Influence) -> Vec<f64> {
        let batch = |first, count| {
            let points = self.points(first, count);
            points.batch(0..count).expect("a batch")
        };
        let factors = influence.factors(&batch(TRAIN, TEST)).expect("factors");
        let factors = factors.converged().expect("solved");
        let gradients = influence.gradients(&batch(0, TRAIN)).expect("gradients");
        let scores = influence.scores(&factors, &gradients).expect("scores");
        scores.iter().copied().collect()
    }
}

/// The largest difference, relative to the largest of the expected numbers.
fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let pairs = found.iter().zip(expected);
    let difference = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(largest > 0.0 && difference.is_finite());
    difference / largest
}

#[test]
fn losses_are_those_of_torch_and_zero_where_nothing_counts() {
    let golden = Golden::read();
    for case in cases(&golden) {
        let network = network(&golden, case.inputs.shape().len()).network(&Device::flex());
        let task = case.task(&golden, Measurement::Loss);
        let evaluator = Evaluator::new(task, &network, &Device::flex());
        let batch = case.points(0, TRAIN).batch(0..TRAIN).expect("a batch");
        let losses = evaluator.losses(&batch).expect("losses");
        let expected = golden.numbers(&format!("{}/loss", case.name));
        assert!(
            worst(&losses, &expected) < 1e-6,
            "{}: {losses:?}",
            case.name
        );
        if case.loss.ignore == Some(IGNORED) {
            assert!(losses[3] == 0.0, "{}: {losses:?}", case.name);
        }
    }
}

#[test]
fn gauss_newton_has_the_weights_of_every_loss() {
    let golden = Golden::read();
    for case in cases(&golden) {
        let expected = golden.numbers(&format!("{}/influence/loss", case.name));
        for (precision, tolerance) in [(Precision::F64, 1e-10), (Precision::F32, 2e-4)] {
            let fitted = case.fitted(&golden, Measurement::Loss, |fit| {
                fit.with_precision(precision)
            });
            let worst = worst(&case.influences(&fitted), &expected);
            assert!(worst < tolerance, "{} {precision:?}: {worst:e}", case.name);
        }
    }
}

#[test]
fn measurements_are_those_of_torch() {
    let golden = Golden::read();
    let measurements = [
        ("margin", Measurement::Margin),
        ("logit", Measurement::Logit { class: None }),
        ("logit-1", Measurement::Logit { class: Some(1) }),
        ("log-probability", Measurement::LogProbability),
    ];
    let mut compared = 0;
    for case in cases(&golden) {
        for (name, measurement) in measurements {
            let key = format!("{}/influence/{name}", case.name);
            if golden.has(&key) {
                let fitted = case.fitted(&golden, measurement, |fit| fit);
                let worst = worst(&case.influences(&fitted), &golden.numbers(&key));
                assert!(worst < 1e-10, "{key}: {worst:e}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 14 * 4 + 2 * 3 + 2);
}

#[test]
fn kronecker_factors_have_the_weights_of_every_loss() {
    let golden = Golden::read();
    for case in cases(&golden) {
        let fitted = case.fitted(&golden, Measurement::Loss, |fit| {
            fit.with_kronecker(Kronecker::Kfac)
        });
        let expected = golden.numbers(&format!("{}/kfac", case.name));
        let worst = worst(&case.influences(&fitted), &expected);
        assert!(worst < 1e-9, "{}: {worst:e}", case.name);
    }
}

#[test]
fn drawn_labels_have_the_weights_of_every_loss() {
    let golden = Golden::read();
    let all_settings = |case: &Case| case.name.ends_with("all") || case.name.ends_with("ignore");
    for case in cases(&golden).into_iter().filter(all_settings) {
        let expected = golden.numbers(&format!("{}/influence/loss", case.name));
        let [few, many] = [20, 2000].map(|draws| {
            let fitted = case.fitted(&golden, Measurement::Loss, |fit| {
                fit.with_curvature(Curvature::Fisher { draws, seed: 3 })
            });
            worst(&case.influences(&fitted), &expected)
        });
        assert!(many < 0.1 && many < few, "{}: {few:e}, {many:e}", case.name);
    }
}

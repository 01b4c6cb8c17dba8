//! What a task learns of a network that ends in probabilities, or predicts tokens.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use burn::tensor::{Device, TensorData};
use influence_backend_burn::Evaluator;
use influence_core::{Dataset, FieldKind};
use tracing::{Event, Metadata, Subscriber, field::Visit, span};

use super::{
    cases,
    golden::{Golden, input, model, node},
    *,
};
use crate::NetworkFile;

/// `softmax(x w)`, `sigmoid(x w)` or `x w`, perhaps in another shape.
fn product(end: &[&str]) -> NetworkFile {
    let weight = TensorData::new(vec![0.3_f32, -0.2, 0.5, 0.7, -0.4, 0.1], [3, 2]);
    let mut nodes = vec![node("MatMul", &["x", "w"], "t0")];
    for (place, kind) in end.iter().enumerate() {
        nodes.push(node(
            kind,
            &[&format!("t{place}")],
            &format!("t{}", place + 1),
        ));
    }
    let inputs = [input("x", FieldKind::Float, 2)];
    model(&inputs, &[("w", weight)], nodes, &format!("t{}", end.len()))
}

fn losses(model: &NetworkFile, kind: LossKind, targets: TensorData) -> (Vec<f64>, Vec<String>) {
    let loss = NetworkLoss::new(kind);
    let task = NetworkTask::new(model, loss, Measurement::Loss, &[vec![3]]).expect("a task");
    let remarks = task.remarks().to_vec();
    let network = model.network(&Device::flex());
    let x = TensorData::new(vec![1.0_f32, 2.0, -1.0, 0.5, -2.0, 1.5], [2, 3]);
    let points = ArrayDataset::new(vec![x, targets]).expect("a data set");
    let batch = points.batch(0..2).expect("a batch");
    let evaluator = Evaluator::new(task, &network, &Device::flex());
    (evaluator.losses(&batch).expect("losses"), remarks)
}

#[test]
fn losses_are_taken_of_the_logits_before_probabilities() {
    let classes = || TensorData::new(vec![1_i64, 0], [2]);
    let labels = || TensorData::new(vec![1.0_f32, 0.0, 0.0, 1.0], [2, 2]);
    for (kind, end, targets) in [
        (LossKind::CrossEntropy, &["Softmax"][..], classes()),
        (LossKind::CrossEntropy, &["Softmax", "Identity"], classes()),
        (LossKind::BinaryCrossEntropy, &["Sigmoid"], labels()),
        (
            LossKind::BinaryCrossEntropy,
            &["Sigmoid", "Flatten"],
            labels(),
        ),
    ] {
        let (of_logits, none) = losses(&product(&[]), kind, targets.clone());
        let (found, remarks) = losses(&product(end), kind, targets);
        assert!(none.is_empty(), "{none:?}");
        assert!(
            remarks[0].contains("is taken of `t0` before it"),
            "{remarks:?}"
        );
        assert!(worst(&found, &of_logits) < 1e-6, "{end:?}");
    }
    // A sigmoid is no softmax, and the logarithm of one does not change the loss.
    let (of_logits, _) = losses(&product(&[]), LossKind::CrossEntropy, classes());
    let (of_logs, remarks) = losses(&product(&["LogSoftmax"]), LossKind::CrossEntropy, classes());
    assert!(worst(&of_logs, &of_logits) < 1e-6 && remarks.is_empty());
    let (of_sigmoids, remarks) = losses(&product(&["Sigmoid"]), LossKind::CrossEntropy, classes());
    assert!(worst(&of_sigmoids, &of_logits) > 1e-2 && remarks.is_empty());
    // Nothing says what made probabilities, but they look like it.
    let (_, remarks) = losses(
        &product(&["Softmax", "Flatten"]),
        LossKind::CrossEntropy,
        classes(),
    );
    assert!(
        remarks[0].contains("look like probabilities"),
        "{remarks:?}"
    );
}

/// A table of logits for each token, `(n, t)` to `(n, t, 5)`, with other inputs that are not read.
fn tokens(names: &[&str]) -> NetworkFile {
    let numbers = (0..25).map(|number| ((number * 7 % 11) as f32 - 5.0) / 4.0);
    let table = TensorData::new(numbers.collect::<Vec<_>>(), [5, 5]);
    let inputs: Vec<_> = names
        .iter()
        .map(|name| input(name, FieldKind::Int, 2))
        .collect();
    let known = ["input_ids", "words"];
    let read = known.into_iter().find(|name| names.contains(name));
    let read = read.unwrap_or(names[0]);
    model(
        &inputs,
        &[("table", table)],
        vec![node("Gather", &["table", read], "y")],
        "y",
    )
}

/// Losses of next tokens, and of the same by given targets.
#[test]
fn next_tokens_are_the_inputs_shifted_by_one_and_masked() {
    let ids = TensorData::new(vec![0_i64, 3, 1, 4, 2, 2, 1, 0, 3, 4, 1, 1], [3, 4]);
    let mask = TensorData::new(vec![1_i64, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0], [3, 4]);
    let shifted = vec![
        3_i64, 1, 4, -100, 2, -100, -100, -100, -100, -100, -100, -100,
    ];
    let shifted = TensorData::new(shifted, [3, 4]);
    let run = |names: &[&str], loss: NetworkLoss, fields: Vec<TensorData>| {
        let model = tokens(names);
        let shapes = vec![vec![4]; names.len()];
        let task = NetworkTask::new(&model, loss, Measurement::Loss, &shapes).expect("a task");
        let remarks = task.remarks().to_vec();
        let evaluator = Evaluator::new(task, &model.network(&Device::flex()), &Device::flex());
        let batch = ArrayDataset::new(fields).expect("a data set");
        let batch = batch.batch(0..3).expect("a batch");
        let outputs = evaluator
            .outputs(&batch)
            .expect("outputs")
            .expect("declared");
        let losses = evaluator.losses(&batch).expect("losses");
        (losses, outputs, remarks)
    };
    let given = NetworkLoss {
        ignore: Some(-100),
        ..NetworkLoss::new(LossKind::SequenceCrossEntropy)
    };
    let (expected, _, _) = run(&["input_ids"], given, vec![ids.clone(), shifted]);
    let next = || NetworkLoss::new(LossKind::NextToken);
    let names = ["token_type_ids", "attention_mask", "input_ids"];
    let zeros = TensorData::new(vec![0_i64; 12], [3, 4]);
    let fields = vec![zeros, mask.clone(), ids.clone()];
    let (masked, outputs, remarks) = run(&names, next(), fields);
    assert!(remarks.is_empty(), "{remarks:?}");
    assert!(worst(&masked, &expected) < 1e-6, "{masked:?} {expected:?}");
    assert!(masked[2] == 0.0);
    assert_eq!(outputs.values.dim(), (3, 15));
    let targets = outputs
        .targets
        .expect("next tokens")
        .integers()
        .collect::<Vec<_>>();
    assert_eq!(targets[..4], [3, 1, 4, 2]);
    // By another name, and without a mask.
    let (unmasked, outputs, _) = run(
        &["attention_mask", "words"],
        next(),
        vec![mask.clone(), ids.clone()],
    );
    assert!(worst(&unmasked, &masked) < 1e-6);
    assert!(outputs.weights.is_some());
    // A mask whose name does not say so counts for nothing, and a remark says that.
    let (uncovered, _, remarks) = run(&["values_0", "values_1"], next(), vec![ids.clone(), mask]);
    assert!(uncovered[2] > 0.1);
    assert!(
        remarks[0].contains("`values_1` of the same shape"),
        "{remarks:?}"
    );
    let (all, outputs, _) = run(&["words"], next(), vec![ids]);
    assert!((all[0] - masked[0]).abs() < 1e-6 && all[2] > 0.1);
    assert!(outputs.weights.is_none());
}

/// Collects warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                // Writing to a string does not fail.
                let _ = write!(self.0, "{value:?}");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("no panic").push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn declared_weights_are_those_of_the_loss() {
    let golden = Golden::read();
    for case in cases(&golden) {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || {
            case.fitted(&golden, Measurement::Loss, |fit| fit);
        });
        let warnings = warnings.0.lock().expect("no panic");
        assert!(warnings.is_empty(), "{}: {warnings:?}", case.name);
    }
}

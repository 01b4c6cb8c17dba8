//! What a task refuses, and what it learns of a network.

use burn::tensor::TensorData;
use influence_core::FieldKind;

use super::{
    super::{LossKind, Measurement, NetworkLoss, NetworkTask, TargetForm},
    golden::{Golden, input, model, network, node},
};
use crate::{AxisLength, Error, NetworkFile, Result};

fn task(loss: NetworkLoss, measurement: Measurement) -> Result<NetworkTask> {
    let model = network(&Golden::read(), 2);
    NetworkTask::new(&model, loss, measurement, &[vec![3]])
}

fn setting(loss: NetworkLoss, measurement: Measurement) -> String {
    match task(loss, measurement) {
        Err(Error::Setting(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_that_are_out_of_range_or_of_another_loss_are_refused() {
    let classes = NetworkLoss::new(LossKind::CrossEntropy);
    let weights = |weights: &[f64]| NetworkLoss {
        class_weights: Some(weights.to_vec()),
        ..classes.clone()
    };
    let smoothing = |label_smoothing| NetworkLoss {
        label_smoothing,
        ..classes.clone()
    };
    for (loss, expected) in [
        (weights(&[1.0, 2.0]), "3 classes, got 2 weights"),
        (weights(&[]), "3 classes, got 0 weights"),
        (
            weights(&[1.0, -1.0, 1.0]),
            "class 1 (counted from 0) has -1",
        ),
        (
            weights(&[1.0, 1.0, f64::NAN]),
            "class 2 (counted from 0) has NaN",
        ),
        (smoothing(1.0), "below 1, got 1"),
        (smoothing(-0.1), "got -0.1"),
        (smoothing(f64::NAN), "got NaN"),
    ] {
        let message = setting(loss, Measurement::Loss);
        assert!(message.contains(expected), "{message}");
    }
    for kind in [
        LossKind::MeanSquaredError,
        LossKind::BinaryCrossEntropy,
        LossKind::InFile,
    ] {
        for loss in [weights(&[1.0; 3]), smoothing(0.1)] {
            let message = setting(NetworkLoss { kind, ..loss }, Measurement::Loss);
            assert!(
                message.contains("belongs to losses of classes"),
                "{message}"
            );
        }
    }
    let ignore = Some(2);
    assert!(task(NetworkLoss { ignore, ..classes }, Measurement::Loss).is_ok());
    let in_file = NetworkLoss {
        ignore,
        ..NetworkLoss::new(LossKind::InFile)
    };
    assert!(setting(in_file, Measurement::Loss).contains("ignore belongs to"));
}

#[test]
fn measurements_that_are_not_defined_are_refused() {
    let logit = |class| Measurement::Logit { class };
    for (kind, measurement, expected) in [
        (
            LossKind::MeanSquaredError,
            Measurement::Margin,
            "not defined for numbers",
        ),
        (
            LossKind::MeanSquaredError,
            Measurement::LogProbability,
            "not defined for numbers",
        ),
        (
            LossKind::MeanSquaredError,
            logit(None),
            "there are 3 outputs",
        ),
        (
            LossKind::CrossEntropy,
            logit(Some(3)),
            "output 3, and there are 3",
        ),
        (LossKind::InFile, logit(None), "a loss inside the file"),
    ] {
        let message = setting(NetworkLoss::new(kind), measurement);
        assert!(message.contains(expected), "{message}");
    }
    let margin = task(
        NetworkLoss::new(LossKind::BinaryCrossEntropy),
        Measurement::Margin,
    );
    assert!(margin.is_ok());
}

#[test]
fn losses_of_outputs_of_another_rank_are_refused() {
    for (kind, expected) in [
        (
            LossKind::SequenceCrossEntropy,
            "(n, positions, classes); that of this network is (n, 3)",
        ),
        (
            LossKind::NextToken,
            "(n, positions, classes); that of this network is (n, 3)",
        ),
        (
            LossKind::InFile,
            "(n) that is the loss of each sample; that of this network is (n, 3)",
        ),
    ] {
        let message = setting(NetworkLoss::new(kind), Measurement::Loss);
        assert!(message.contains(expected), "{message}");
    }
    let long = network(&Golden::read(), 3);
    let loss = NetworkLoss::new(LossKind::CrossEntropy);
    let refused = NetworkTask::new(&long, loss, Measurement::Loss, &[vec![4, 3]]);
    let message = refused.expect_err("refused").to_string();
    assert!(
        message.contains("(n, classes); that of this network is (n, 4, 3)"),
        "{message}"
    );
}

#[test]
fn targets_have_the_form_of_the_output() {
    let of = |kind| {
        let task = task(NetworkLoss::new(kind), Measurement::Loss).expect("a task");
        task.targets().clone()
    };
    assert_eq!(of(LossKind::CrossEntropy), TargetForm::Class { classes: 3 });
    assert_eq!(
        of(LossKind::MeanSquaredError),
        TargetForm::Numbers { shape: vec![3] }
    );
}

/// `x + w`, whatever their shapes.
fn sum(x: Vec<AxisLength>, w: TensorData) -> NetworkFile {
    let mut input = input("x", FieldKind::Float, x.len());
    input.sides = Some(x);
    model(
        &[input],
        &[("w", w)],
        vec![node("Add", &["x", "w"], "y")],
        "y",
    )
}

fn samples(model: &NetworkFile, sample: &[usize]) -> String {
    let loss = NetworkLoss::new(LossKind::CrossEntropy);
    match NetworkTask::new(model, loss, Measurement::Loss, &[sample.to_vec()]) {
        Err(Error::Samples(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn ones<const D: usize>(shape: [usize; D]) -> TensorData {
    TensorData::new(vec![1.0_f32; shape.iter().product()], shape)
}

#[test]
fn a_number_of_samples_in_the_file_is_refused() {
    let (free, fixed) = (AxisLength::Free(None), AxisLength::Fixed);
    let input = samples(&sum(vec![fixed(5), fixed(3)], ones([3])), &[3]);
    assert!(
        input.contains("`x` (5, 3) was exported for exactly 5 samples"),
        "{input}"
    );
    assert!(
        input.contains("dynamic_shapes") && !input.contains("batch_first"),
        "{input}"
    );
    let recurrent = samples(
        &sum(vec![fixed(5), free.clone(), fixed(3)], ones([3])),
        &[2, 3],
    );
    assert!(recurrent.contains("batch_first=True"), "{recurrent}");
    // A tensor of the file that has a row for each of four samples.
    let baked = samples(&sum(vec![free.clone(), fixed(3)], ones([4, 3])), &[3]);
    assert!(
        baked.contains("other samples") || baked.contains("first axis"),
        "{baked}"
    );
}

#[test]
fn the_number_and_shapes_of_inputs_are_checked() {
    let model = network(&Golden::read(), 2);
    let with = |inputs: &[Vec<usize>]| {
        let loss = NetworkLoss::new(LossKind::CrossEntropy);
        let refused = NetworkTask::new(&model, loss, Measurement::Loss, inputs);
        refused.expect_err("refused").to_string()
    };
    assert!(with(&[]).contains("1 inputs (x), the data have 0"));
    assert!(with(&[vec![3, 3]]).contains("`x` has shape (?, ?), that of the data is (n, 3, 3)"));
}

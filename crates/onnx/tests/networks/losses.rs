//! Losses of exported networks against PyTorch, and what they need of a network.

use std::sync::Arc;

use burn::tensor::Device;
use influence_backend_burn::{ArrayDataset, Curvature, Fit};
use influence_core::{InfluenceModel, Precision, solver::Direct};
use influence_onnx::{
    InputForm, LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask, ReadSettings,
};
use ndarray::Array2;

use crate::{
    golden::{Golden, difference},
    opened::Opened,
};

/// The exports whose parameters are as they were.
const EXPORTS: [&str; 3] = ["old.onnx", "new.onnx", "model.pt2"];

/// The influences of all samples on each other.
fn influences(opened: &Opened, curvature: Curvature) -> Array2<f64> {
    let fitted = opened.fit(|fit| {
        fit.with_precision(Precision::F64)
            .with_curvature(curvature)
            .with_solver(Direct)
            .with_damping(opened.reference.damping())
    });
    let factors = fitted.factors(&opened.batch()).expect("factors");
    let gradients = fitted.gradients(&opened.batch()).expect("gradients");
    let scores = fitted.scores(&factors.rows, &gradients).expect("scores");
    scores.into_dimensionality().expect("a matrix")
}

/// References by torch of losses and their settings, with the largest difference that is allowed.
const LOSSES: [(&str, &str, f64); 7] = [
    ("mlp", "reference-mse", 1e-11),
    ("mlp", "reference-binary-cross-entropy", 1e-11),
    ("mlp", "reference-class-weights", 1e-11),
    ("mlp", "reference-label-smoothing", 1e-11),
    ("nano_gpt", "reference-ignore", 1e-6),
    ("nano_gpt", "reference-next-token", 1e-6),
    ("with_loss", "reference", 1e-11),
];

#[test]
fn losses_have_the_curvature_that_torch_gives_them() {
    let mut wrong = Vec::new();
    for (model, reference, allowed) in LOSSES {
        let golden = Golden::new(model);
        for export in EXPORTS {
            let opened = Opened::new(&golden, export, reference);
            for (name, curvature) in [
                ("hessian", Curvature::Hessian),
                ("gauss-newton", Curvature::GaussNewton),
            ] {
                // A loss that the file computes has no outputs.
                if model == "with_loss" && name == "gauss-newton" {
                    continue;
                }
                let found = influences(&opened, curvature);
                let difference = difference(&found, &opened.reference.influences(name), 0.0);
                println!("{model}/{reference}/{export} {name}: {difference:.1e}");
                if difference > allowed {
                    wrong.push(format!("{reference}/{export} {name}: {difference:.1e}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Exports of `with_loss`, and their logits.
const WITH_LOSS: [(&str, &str); 3] = [
    ("old.onnx", "/net/fc2/Gemm_output_0"),
    ("new.onnx", "linear_1"),
    ("model.pt2", "linear_1"),
];

/// `with_loss` with another output, and whatever it computed as its own loss.
fn measuring(file: &str, settings: ReadSettings) -> Result<NetworkFile, String> {
    let path = Golden::new("with_loss").path(file);
    let whole = NetworkFile::read(&path, &ReadSettings::default()).expect("a model");
    let settings = ReadSettings {
        measured: settings.measured.or(whole.outputs.first().cloned()),
        ..settings
    };
    NetworkFile::read(&path, &settings).map_err(|error| error.to_string())
}

#[test]
fn any_tensor_of_a_file_is_measured() {
    let golden = Golden::new("with_loss");
    for (file, logits) in WITH_LOSS {
        let reference = golden.reference("reference");
        let settings = ReadSettings {
            output: Some(logits.into()),
            ..ReadSettings::default()
        };
        let model = measuring(file, settings).expect(file);
        let [x, target] = ["x", "target"].map(|name| reference.input(name));
        let shapes = [x.shape()[1..].to_vec(), Vec::new()];
        let loss = NetworkLoss::new(LossKind::CrossEntropy);
        let task = NetworkTask::new(&model, loss, Measurement::InFile, &shapes).expect(file);
        let opened = Opened {
            data: ArrayDataset::new(vec![x, target.clone(), target]).expect("a data set"),
            task: Arc::new(task),
            model,
            reference,
        };
        // The loss is that of the file, and so is the measurement, each by a way of its own.
        let expected = opened.reference.influences("hessian");
        let difference = difference(&influences(&opened, Curvature::Hessian), &expected, 0.0);
        assert!(difference < 1e-11, "{file}: {difference:e}");
    }
}

#[test]
fn what_is_measured_is_one_number_of_what_the_loss_trains() {
    for (file, logits) in WITH_LOSS {
        let named = |output: &str, measured: Option<&str>| ReadSettings {
            output: Some(output.to_owned()),
            measured: measured.map(str::to_owned),
            ..ReadSettings::default()
        };
        let unknown = measuring(file, named(logits, Some("nothing"))).expect_err(file);
        assert!(unknown.contains("no node computes `nothing`"), "{unknown}");
        let hidden = ["/net/Tanh_output_0", "tanh"][usize::from(logits == "linear_1")];
        let untrained = measuring(file, named(hidden, None)).expect_err(file);
        assert!(untrained.contains("`net.fc2."), "{untrained}");
        let frozen = ReadSettings {
            frozen: vec!["net.fc2.*".into()],
            ..named(hidden, None)
        };
        measuring(file, frozen).expect(file);

        let many = measuring(file, named(logits, Some(hidden))).expect(file);
        let task = |measured| {
            let loss = NetworkLoss::new(LossKind::CrossEntropy);
            let shape = |input: &InputForm| vec![4; usize::from(input.name == "x")];
            let shapes: Vec<Vec<usize>> = many.inputs.iter().map(shape).collect();
            let refused = NetworkTask::new(&many, loss, measured, &shapes);
            refused.map(|_| ()).map_err(|error| error.to_string())
        };
        let refused = task(Measurement::InFile).expect_err(file);
        assert!(
            refused.contains("must have one number for each sample"),
            "{refused}"
        );
        task(Measurement::Loss).expect(file);
    }
}

#[test]
fn a_loss_inside_the_file_needs_the_hessian_and_a_number_for_each_sample() {
    let golden = Golden::new("with_loss");
    let opened = Opened::new(&golden, "new.onnx", "reference");
    let network = opened.model.network(&Device::flex());
    let fit = Fit::new(opened.task.clone()).with_curvature(Curvature::GaussNewton);
    let refused = fit.fit(&network, Arc::new(opened.data.clone()));
    let source = refused.expect_err("no outputs");
    let message = std::error::Error::source(&source).map(ToString::to_string);
    assert!(
        message
            .as_ref()
            .is_some_and(|text| text.contains("hessian")),
        "{message:?}"
    );
    for export in ["old-mean.onnx", "new-mean.onnx"] {
        let model =
            NetworkFile::read(&golden.path(export), &ReadSettings::default()).expect("a model");
        let shapes = model.inputs.iter().map(|input| {
            let shape = opened.reference.input(&input.name).shape().to_vec();
            shape[1..].to_vec()
        });
        let shapes: Vec<Vec<usize>> = shapes.collect();
        let loss = opened.reference.loss();
        let refused = NetworkTask::new(&model, loss, Measurement::Loss, &shapes);
        let message = refused.expect_err("one number").to_string();
        assert!(
            message.contains("reduction=\"none\""),
            "{export}: {message}"
        );
    }
}

#[test]
fn samples_are_along_the_first_axis_and_of_any_number() {
    for (model, export, shape, expected) in [
        ("time_first", "old.onnx", vec![5, 3], "batch_first=True"),
        ("time_first", "new.onnx", vec![5, 3], "batch_first=True"),
        (
            "mlp",
            "old-fixed-batch.onnx",
            vec![4],
            "samples; export it with the first axis free",
        ),
        (
            "mlp",
            "new-fixed-batch.onnx",
            vec![4],
            "samples; export it with the first axis free",
        ),
    ] {
        let file = Golden::new(model).path(export);
        let model = NetworkFile::read(&file, &ReadSettings::default()).expect("a model");
        let loss = NetworkLoss::new(LossKind::CrossEntropy);
        let refused = NetworkTask::new(&model, loss, Measurement::Loss, &[shape]);
        let message = refused.expect_err("refused").to_string();
        assert!(message.contains(expected), "{export}: {message}");
    }
}

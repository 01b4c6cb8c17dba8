//! Which files are refused, and what a state dict and settings do to parameters.

use std::collections::BTreeMap;

use crate::golden::{Golden, difference, largest};
use crate::opened::Opened;
use burn::tensor::TensorData;
use influence_core::Precision;
use influence_onnx::{NetworkFile, ReadSettings};

/// A file that is refused, and words of the message.
const REFUSED: [(&str, &str, &[&str]); 14] = [
    (
        "residual_cnn",
        "new-default.onnx",
        &["was replaced by", "optimize=False", "dynamic_shapes"],
    ),
    (
        "residual_cnn",
        "old-folded.onnx",
        &["`onnx::Conv_", "do_constant_folding=False"],
    ),
    (
        "batch_norm",
        "new-default.onnx",
        &["was replaced by something computed from it"],
    ),
    (
        "batch_norm",
        "old-training.onnx",
        &["statistics of the batch", "model.eval()"],
    ),
    (
        "nano_gpt",
        "new-default.onnx",
        &["was computed from", "model.weights"],
    ),
    (
        "nano_gpt",
        "old-folded.onnx",
        &["`onnx::MatMul_", "do_constant_folding=False"],
    ),
    (
        "lstm",
        "new-default.onnx",
        &["was computed from `rnn.", "optimize=False"],
    ),
    ("lstm", "old-folded.onnx", &["`onnx::LSTM_"]),
    ("gpt2", "new-default.onnx", &["was computed from"]),
    ("gpt2", "old-folded.onnx", &["`onnx::MatMul_"]),
    ("bert", "new-default.onnx", &["was computed from"]),
    ("bert", "old-folded.onnx", &["`onnx::MatMul_"]),
    (
        "vision_transformer",
        "new-default.onnx",
        &["was computed from"],
    ),
    ("fresh", "new-default.onnx", &["optimize=False"]),
];

#[test]
fn files_with_other_parameters_are_refused() {
    for (name, file, words) in REFUSED {
        let read = NetworkFile::read(&Golden::new(name).path(file), &ReadSettings::default());
        let message = read
            .map(|_| ())
            .expect_err(&format!("{name}/{file}"))
            .to_string();
        for word in words {
            assert!(message.contains(word), "{name}/{file}: {message}");
        }
    }
}

fn with_weights(golden: &Golden) -> ReadSettings {
    ReadSettings {
        weights: Some(golden.tensors("weights")),
        weights_file: "weights.safetensors".into(),
        ..ReadSettings::default()
    }
}

/// Checks names and gradients against the module.
fn check(name: &'static str, file: &str, settings: &ReadSettings) {
    let opened = Opened::with(&Golden::new(name), file, "reference", settings);
    let expected = opened.reference.gradients();
    let found = opened.gradients(Precision::F64);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{name}/{file}"
    );
    let least = 1e-3 * largest(expected.values().flatten());
    for (parameter, expected) in &expected {
        let difference = difference(&found[parameter], expected, least);
        assert!(
            difference < 1e-6,
            "{name}/{file} {parameter}: {difference:e}"
        );
    }
}

#[test]
fn exports_that_changed_nothing_are_read() {
    check("mlp", "new-default.onnx", &ReadSettings::default());
    check("mlp", "old-folded.onnx", &ReadSettings::default());
    check("batch_norm", "old-folded.onnx", &ReadSettings::default());
    // Zeros and ones of a network that is not trained are merged by the old exporter.
    check("fresh", "old.onnx", &ReadSettings::default());
    check("fresh", "new.onnx", &ReadSettings::default());
}

#[test]
fn a_state_dict_restores_names_and_ties() {
    for name in ["nano_gpt", "bert", "gpt2"] {
        let golden = Golden::new(name);
        check(name, "old-folded.onnx", &with_weights(&golden));
        check(name, "old.onnx", &with_weights(&golden));
        check(name, "new.onnx", &with_weights(&golden));
    }
}

#[test]
fn a_state_dict_shows_what_was_folded() {
    for (name, file) in [
        ("residual_cnn", "new-default.onnx"),
        ("residual_cnn", "old-folded.onnx"),
        ("batch_norm", "new-default.onnx"),
        ("lstm", "old-folded.onnx"),
    ] {
        let golden = Golden::new(name);
        let read = NetworkFile::read(&golden.path(file), &with_weights(&golden));
        let message = read
            .map(|_| ())
            .expect_err(&format!("{name}/{file}"))
            .to_string();
        assert!(
            message.contains("weights.safetensors"),
            "{name}/{file}: {message}"
        );
    }
}

#[test]
fn another_state_dict_takes_the_place_of_the_numbers() {
    let golden = Golden::new("residual_cnn");
    let double = |data: TensorData| {
        let numbers: Vec<f32> = data.iter::<f32>().map(|number| 2.0 * number).collect();
        TensorData::new(numbers, data.shape().to_vec())
    };
    let mut weights: BTreeMap<String, TensorData> = golden.tensors("weights");
    weights.retain(|_, data| data.dtype().is_float());
    let doubled = weights
        .clone()
        .into_iter()
        .map(|(name, data)| (name, double(data)))
        .collect();
    let mut settings = ReadSettings {
        weights: Some(doubled),
        ..with_weights(&golden)
    };
    let model = NetworkFile::read(&golden.path("new.onnx"), &settings).expect("a checkpoint");
    for parameter in &model.parameters {
        assert_eq!(
            parameter.data,
            double(weights[&parameter.name].clone()),
            "{}",
            parameter.name
        );
    }
    let weights = settings.weights.as_mut().expect("weights");
    let moved = weights.remove("fc.bias").expect("a bias");
    let read = |settings: &ReadSettings| {
        NetworkFile::read(&golden.path("new.onnx"), settings)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    assert!(
        read(&settings).contains("lacks parameters of the network: `fc.bias`"),
        "{}",
        read(&settings)
    );
    let weights = settings.weights.as_mut().expect("weights");
    weights.insert("fc.bias".into(), moved.clone());
    weights.insert("extra.bias".into(), moved);
    assert!(
        read(&settings).contains("does not have: `extra.bias`"),
        "{}",
        read(&settings)
    );
}

#[test]
fn padding_and_frozen_parameters_are_as_in_the_module() {
    let padding = ReadSettings {
        padding: [("emb.weight".to_owned(), 0)].into(),
        ..ReadSettings::default()
    };
    check("padding", "old.onnx", &padding);
    check("padding", "new.onnx", &padding);

    let golden = Golden::new("frozen");
    let trained = golden.reference("reference").gradients();
    let model =
        NetworkFile::read(&golden.path("new.onnx"), &ReadSettings::default()).expect("a model");
    let frozen = model
        .parameters
        .iter()
        .map(|parameter| parameter.name.clone());
    let frozen: Vec<String> = frozen.filter(|name| !trained.contains_key(name)).collect();
    assert!(!frozen.is_empty());
    let settings = ReadSettings {
        frozen,
        ..ReadSettings::default()
    };
    check("frozen", "new.onnx", &settings);
    check("frozen", "old.onnx", &settings);

    let wrong = |settings: ReadSettings| {
        NetworkFile::read(&golden.path("new.onnx"), &settings)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    let none = ReadSettings {
        frozen: vec!["nothing.*".into()],
        ..ReadSettings::default()
    };
    assert!(wrong(none).contains("no parameter is called `nothing.*`"));
    let all = ReadSettings {
        frozen: vec!["*".into()],
        ..ReadSettings::default()
    };
    assert!(wrong(all).contains("all parameters are frozen"));
    let row = ReadSettings {
        padding: [("fc1.weight".to_owned(), 1000)].into(),
        ..ReadSettings::default()
    };
    assert!(wrong(row).contains("has rows 0 to"));
    let output = ReadSettings {
        output: Some("elsewhere".into()),
        ..ReadSettings::default()
    };
    assert!(wrong(output).contains("no node computes `elsewhere`"));
}

#[test]
fn networks_of_other_libraries_are_read() {
    for name in [
        "sklearn_mlp",
        "logistic_regression",
        "linear_regression",
        "scaled_logistic_regression",
    ] {
        let golden = Golden::new(name);
        let model = NetworkFile::read(&golden.path("sklearn.onnx"), &ReadSettings::default());
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            model
                .remarks
                .iter()
                .any(|remark| remark.contains("skl2onnx")),
            "{:?}",
            model.remarks
        );
        assert!(
            model
                .parameters
                .iter()
                .all(|parameter| parameter.name.contains('.')),
            "{name}"
        );
    }
}

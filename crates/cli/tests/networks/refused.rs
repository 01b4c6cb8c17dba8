//! Messages about networks and data that do not fit.

use std::fs;

use crate::network::{DATA, Network};

/// Settings of a run that is refused, and what its message has.
type Case = (&'static [&'static str], &'static [&'static str]);

fn refused(network: &Network, (settings, parts): Case) {
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    let command = ["run", "influence.toml"].into_iter();
    let said = network.complaint(&command.chain(set).collect::<Vec<_>>());
    for part in parts {
        assert!(said.contains(part), "{settings:?}: `{said}` lacks `{part}`");
    }
    assert!(!network.path("influences.zarr").exists(), "{settings:?}");
}

const CASES: &[Case] = &[
    (
        &["model.layers=[{ kind = 'relu' }]"],
        &["model.layers", "model.onnx stands in place of layers"],
    ),
    (
        &["model.loss=cross-entrop"],
        &["model.loss", "did you mean `cross-entropy`?"],
    ),
    (
        &["model.frozn=['a']"],
        &["model.frozn: unknown key", "did you mean `frozen`?"],
    ),
    (
        &["model.measurement=margn"],
        &[
            "model.measurement: unknown value `margn`",
            "did you mean `margin`?",
        ],
    ),
    (
        &["model.measurement={ logits = 3 }"],
        &[
            "model.measurement",
            "{ logit = 3 } for the logit of a class",
        ],
    ),
    (
        &["model.label_smoothing=1.0"],
        &["model.label_smoothing must be at least 0 and below 1, got 1"],
    ),
    (
        &["model.class_weights=[1.0, -1.0, 1.0]"],
        &["model.class_weights[1]", "0 or more, got -1"],
    ),
    (
        &["model.class_weights=[1.0, 2.0]"],
        &["class_weights", "3 classes", "2 weights"],
    ),
    (&["model.output=nowhere"], &["model", "nowhere"]),
    (&["model.frozen=['nothing.*']"], &["model", "nothing.*"]),
    (&["model.onnx=none.onnx"], &["model.onnx", "none.onnx"]),
    (
        &["model.loss=sequence-cross-entropy"],
        &["model.loss", "(n, positions, classes)", "(n, 3)"],
    ),
    (
        &[
            "data.train.inputs={ y = 'data.safetensors#input/x' }",
            "data.test.inputs={ y = 'data.safetensors#input/x' }",
        ],
        &[
            "data.train.inputs",
            "the network reads x (n, 4) of floats",
            "the data have y",
        ],
    ),
    (
        &[
            "data.train.inputs=['data.safetensors#input/x', 'data.safetensors#input/x']",
            "data.test.inputs=['data.safetensors#input/x', 'data.safetensors#input/x']",
        ],
        &[
            "data.train.inputs",
            "the network reads x (n, 4)",
            "inputs[0], inputs[1]",
        ],
    ),
    (
        &["data.train.inputs=wide.npy", "data.test.inputs=wide.npy"],
        &[
            "data.train.inputs",
            "x (n, 4) of floats",
            "samples of shape [5]",
        ],
    ),
    (
        &["data.train.targets=high.npy"],
        &[
            "data.train",
            "high.npy: row 2 (counted from 0) has class 3",
            "classes 0 to 2",
        ],
    ),
    (
        &["data.train.targets=half.npy"],
        &[
            "data.train",
            "half.npy: targets must be integers of shape (n)",
        ],
    ),
    (
        &[
            "model.loss=binary-cross-entropy",
            "data.train.targets=many.npy",
        ],
        &["data.train", "many.npy: row 0", "holds 2", "from 0 to 1"],
    ),
];

#[test]
fn settings_and_data_that_do_not_fit_are_named_with_their_key() {
    let network = Network::mlp("new.onnx");
    network.array("wide.npy", &[0.5_f32; 30], &[6, 5]);
    network.array("high.npy", &[0_i64, 1, 3, 0, 1, 2], &[6]);
    network.array("half.npy", &[0.5_f32; 6], &[6]);
    network.array("many.npy", &[2.0_f32; 18], &[6, 3]);
    for case in CASES {
        refused(&network, *case);
    }
}

#[test]
fn keys_that_are_missing_are_named() {
    let network = Network::mlp("new.onnx");
    let text = network.text("influence.toml");
    let without = |piece: &str, parts| {
        assert!(text.contains(piece));
        fs::write(network.path("influence.toml"), text.replace(piece, "")).expect("written");
        refused(&network, (&[], parts));
    };
    without(
        "loss = \"cross-entropy\"",
        &["influence.toml:2", "missing key `loss`", "next-token"],
    );
    without(
        ", targets = \"data.safetensors#target\"",
        &["influence.toml:6", "data.train: missing key `targets`"],
    );
    without(
        "onnx = \"model.onnx\"",
        &["influence.toml:2", "missing key `weights`"],
    );
    let other = text.replace(
        "onnx = \"model.onnx\"",
        "weights = \"w.pt\"\nfrozen = [\"fc1.*\"]",
    );
    fs::write(network.path("influence.toml"), other).expect("written");
    refused(&network, (&[], &["model.frozen", "there is no model.onnx"]));
}

#[test]
fn targets_that_nobody_reads_are_refused() {
    let data = format!("{IDS}, targets = \"data.safetensors#target\"");
    let sections = ["loss = \"next-token\"", data.as_str()];
    let network = Network::new("nano_gpt", "new.onnx", "reference-next-token", sections);
    refused(
        &network,
        (
            &[],
            &["data.train: targets", "reads no targets", "leave them out"],
        ),
    );
}

const IDS: &str = "inputs = \"data.safetensors#input/ids\"";

#[test]
fn ids_outside_the_embedding_and_floats_are_refused() {
    let sections = ["loss = \"next-token\"", IDS];
    let network = Network::new("nano_gpt", "new.onnx", "reference-next-token", sections);
    network.array("high.npy", &[1_i64, 2, 3, 4, 5, 1, 2, 11, 4, 5], &[2, 5]);
    refused(
        &network,
        (
            &["data.train.inputs=high.npy"],
            &["data.train", "high.npy: row 1 holds 11", "rows 0 to 10"],
        ),
    );
    network.array("floats.npy", &[0.5_f32; 10], &[2, 5]);
    refused(
        &network,
        (
            &["data.train.inputs=floats.npy"],
            &[
                "data.train",
                "inputs must be integers of shape (n, _), got floating-point numbers",
            ],
        ),
    );
}

#[test]
fn files_that_are_not_the_network_as_it_was_are_refused_with_the_line_to_type() {
    for (name, file, parts) in [
        (
            "residual_cnn",
            "old-folded.onnx",
            &["model.onnx", "do_constant_folding=False"][..],
        ),
        (
            "residual_cnn",
            "new-default.onnx",
            &["model.onnx", "optimize=False"],
        ),
        (
            "mlp",
            "old-fixed-batch.onnx",
            &["model.onnx", "dynamic_axes"],
        ),
    ] {
        let network = Network::new(name, file, "reference", ["loss = \"cross-entropy\"", DATA]);
        refused(&network, (&[], parts));
    }
}

#[test]
fn unknown_operators_and_other_files_are_refused() {
    let network = Network::mlp("old.onnx");
    let bytes = fs::read(network.path("model.onnx")).expect("the network");
    let at = bytes
        .windows(6)
        .position(|window| window == b"\"\x04Tanh")
        .expect("an activation");
    let mut unknown = bytes.clone();
    unknown[at + 2..at + 6].copy_from_slice(b"Tank");
    for (bytes, part) in [
        (unknown, "Tank"),
        (bytes[..bytes.len() / 2].to_vec(), "cut off"),
        (b"not a network".to_vec(), "no ONNX file"),
    ] {
        fs::write(network.path("model.onnx"), bytes).expect("written");
        let said = network.complaint(&["run", "influence.toml"]);
        for part in ["influence.toml:3: model.onnx", part] {
            assert!(said.contains(part), "`{said}` lacks `{part}`");
        }
    }
}

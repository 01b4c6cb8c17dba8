//! Networks that are trained on from the weights of their files.

use crate::{difference::difference, network::Network};

const TRAIN: [&str; 8] = [
    "--set",
    "model.weights=tuned.safetensors",
    "--set",
    "train.epochs=4",
    "--set",
    "train.checkpoints=2",
    "--set",
    "train.learning_rate=0.05",
];

#[test]
fn trained_weights_have_the_names_and_layouts_of_the_file() {
    let network = Network::mlp("new.onnx");
    let said = network.done(&[&["train", "influence.toml"][..], &TRAIN].concat());
    assert!(said.contains("tuned.safetensors"), "{said}");
    let [before, after] =
        ["weights.safetensors", "tuned.safetensors"].map(|it| network.weights(it));
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    for (name, tensor) in &before {
        assert_eq!(tensor.len(), after[name].len(), "{name}");
        let moved = tensor.iter().zip(&after[name]).map(|(a, b)| (a - b).abs());
        let moved = moved.fold(0.0_f32, f32::max);
        // Four steps of Adam at a rate of 0.05.
        assert!((1e-3..0.5).contains(&moved), "{name}: {moved}");
    }
    // The same bytes a second time.
    let bytes = std::fs::read(network.path("tuned.safetensors")).expect("weights");
    network.done(&[&["train", "influence.toml", "--overwrite"][..], &TRAIN].concat());
    let again = std::fs::read(network.path("tuned.safetensors")).expect("weights");
    assert_eq!(bytes, again);
}

#[test]
fn trained_weights_and_checkpoints_are_taken_in_place_of_those_of_the_file() {
    let network = Network::mlp("new.onnx");
    network.done(&[&["train", "influence.toml"][..], &TRAIN].concat());
    let own = network.influences(&[]);
    let tuned = network.influences(&["model.weights=tuned.safetensors"]);
    assert!(difference(&tuned, &own) > 1e-2);
    let same = network.influences(&["model.weights=weights.safetensors"]);
    assert_eq!(same, own);
    // A trajectory over one checkpoint is the gradient dot product there.
    let traced = network.influences(&[
        "model.weights=tuned.safetensors",
        "method.name=tracin",
        "method.checkpoints=[{ weights = 'tuned.epoch4.safetensors', learning_rate = 1.0 }]",
    ]);
    assert!(difference(&traced, &tuned) < 1e-12);
    let moved = network.influences(&[
        "method.name=tracin",
        "method.checkpoints=[{ weights = 'tuned.epoch2.safetensors', learning_rate = 1.0 }]",
    ]);
    assert!(difference(&moved, &tuned) > 1e-3);
}

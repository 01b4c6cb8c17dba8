//! The first commands on an exported network: what it is, and a configuration to begin with.

use toml::Table;

use crate::network::{DATA, MODEL, Network};

const X: &str = "data.safetensors#input/x";
const Y: &str = "data.safetensors#target";

/// The section of the model that `init` proposes, and what it prints.
fn proposed(network: &Network, arguments: &[&str]) -> (Table, String) {
    let first = ["init", "begun.toml", "--overwrite", "--onnx", "model.onnx"];
    let said = network.done(&[&first, arguments].concat());
    assert!(!said.contains("edit it before running"), "{said}");
    let text = network.text("begun.toml");
    (text.parse().expect("TOML"), said)
}

fn loss(config: &Table) -> &str {
    config["model"]["loss"].as_str().expect("a loss")
}

#[test]
fn a_configuration_begins_with_what_network_and_data_show() {
    let network = Network::mlp("new.onnx");
    let (config, said) = proposed(&network, &["--train", X, Y, "--test", X, Y]);
    assert_eq!(loss(&config), "cross-entropy");
    assert_eq!(config["method"]["name"].as_str(), Some("direct"));
    assert!(said.contains("reads x (n, 4) of floats"), "{said}");
    let text = network.text("begun.toml");
    assert!(
        text.contains("# a guess: outputs (n, 3), targets"),
        "{text}"
    );
    network.done(&["run", "begun.toml"]);
}

#[test]
fn the_loss_follows_from_outputs_and_targets() {
    let network = Network::mlp("new.onnx");
    network.array("numbers.npy", &[0.5_f32; 18], &[6, 3]);
    network.array("binary.npy", &[0.0_f32, 1.0, 1.0].repeat(6), &[6, 3]);
    for (targets, expected) in [
        ("numbers.npy", "mse"),
        ("binary.npy", "binary-cross-entropy"),
    ] {
        let (config, said) = proposed(&network, &["--train", X, targets]);
        assert_eq!(loss(&config), expected);
        let told = said.contains("targets are 0 and 1, taken for yes and no");
        assert_eq!(told, expected == "binary-cross-entropy", "{said}");
    }
    let data = "inputs = \"data.safetensors#input/ids\", targets = \"data.safetensors#target\"";
    let sections = ["loss = \"sequence-cross-entropy\"", data];
    let network = Network::new("nano_gpt", "new.onnx", "reference-ignore", sections);
    let ids = "data.safetensors#input/ids";
    let (config, _) = proposed(&network, &["--train", ids, Y]);
    assert_eq!(loss(&config), "sequence-cross-entropy");
    assert_eq!(config["model"]["ignore"].as_integer(), Some(-100));
    let (config, _) = proposed(&network, &["--train", ids]);
    assert_eq!(loss(&config), "next-token");
    assert!(config["data"]["train"].get("targets").is_none());
}

#[test]
fn inputs_are_found_by_name_in_order_or_by_shape() {
    let network = Network::new("two_inputs", "new.onnx", "reference", [MODEL, DATA]);
    let [features, categories] =
        ["features", "categories"].map(|name| format!("data.safetensors#input/{name}"));
    let named = format!("categories={categories},features={features}");
    let (config, _) = proposed(&network, &["--train", &named, Y]);
    let expected = config["data"]["train"]["inputs"].clone();
    assert_eq!(expected["features"].as_str(), Some(features.as_str()));
    network.array("f.npy", &[0.5_f32; 18], &[6, 3]);
    network.array("c.npy", &[1_i64; 12], &[6, 2]);
    for inputs in ["f.npy,c.npy", "c.npy,f.npy"] {
        let (config, _) = proposed(&network, &["--train", inputs, Y]);
        let inputs = &config["data"]["train"]["inputs"];
        assert_eq!(inputs["features"].as_str(), Some("f.npy"));
        assert_eq!(inputs["categories"].as_str(), Some("c.npy"));
    }
    let first = ["init", "begun.toml", "--overwrite", "--onnx", "model.onnx"];
    let said = network.complaint(&[&first[..], &["--train", "f.npy", Y]].concat());
    for part in ["the network reads features (n, 3)", "the data have inputs"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_network_is_described_or_its_refusal() {
    let sections = [
        "loss = \"next-token\"",
        "inputs = \"data.safetensors#input/ids\"",
    ];
    let network = Network::new("nano_gpt", "new.onnx", "reference-next-token", sections);
    let said = network.done(&["inspect", "model.onnx"]);
    for part in [
        "ids (n, 5) integer, rows 0 to 10 of an embedding",
        "out (n, 5, 11)",
        "LayerNormalization",
        "ln_f.weight [8]",
        "numbers are trained",
        "untapped",
    ] {
        assert!(said.contains(part), "`{said}` lacks `{part}`");
    }
    let json = network.done(&["inspect", "model.onnx", "--json"]);
    let facts: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(facts["inputs"][0]["entries"], 11);
    assert_eq!(facts["output_shape"], serde_json::json!([5, 11]));
    let folded = Network::new(
        "residual_cnn",
        "old-folded.onnx",
        "reference",
        [MODEL, DATA],
    );
    let said = folded.complaint(&["inspect", "model.onnx"]);
    assert!(said.contains("do_constant_folding=False"), "{said}");
}

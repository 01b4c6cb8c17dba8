//! Influences of networks in files.

use std::fs;

use safetensors::{Dtype, tensor::TensorView};

use crate::{
    difference::difference,
    network::{DATA, MODEL, Network, dynamic},
};

const IDS: &str = "inputs = \"data.safetensors#input/ids\"";
/// The perceptron as layers.
const LAYERS: &str = "weights = \"weights.safetensors\"\nlayers = [{ kind = \"linear\", name = \"fc1\" }, \
                      { kind = \"tanh\" }, { kind = \"linear\", name = \"fc2\" }]";
const DIRECT: [&str; 2] = ["method.name=direct", "method.damping=0.5"];

/// A model, one of its losses, and the sections of its configuration.
const CASES: &[(&str, &str, [&str; 2], f64)] = &[
    ("mlp", "reference", [MODEL, DATA], 1e-11),
    (
        "mlp",
        "reference-class-weights",
        [
            "loss = \"cross-entropy\"\nclass_weights = [0.5, 1.0, 2.0]",
            DATA,
        ],
        1e-11,
    ),
    (
        "mlp",
        "reference-label-smoothing",
        ["loss = \"cross-entropy\"\nlabel_smoothing = 0.1", DATA],
        1e-11,
    ),
    ("mlp", "reference-mse", ["loss = \"mse\"", DATA], 1e-11),
    (
        "mlp",
        "reference-binary-cross-entropy",
        ["loss = \"binary-cross-entropy\"", DATA],
        1e-11,
    ),
    (
        "two_inputs",
        "reference",
        [
            MODEL,
            "inputs = { categories = \"data.safetensors#input/categories\", features = \"data.safetensors#input/features\" }, targets = \"data.safetensors#target\"",
        ],
        1e-11,
    ),
    (
        "two_inputs",
        "reference",
        [
            MODEL,
            "inputs = [\"data.safetensors#input/features\", \"data.safetensors#input/categories\"], targets = \"data.safetensors#target\"",
        ],
        1e-11,
    ),
    (
        "nano_gpt",
        "reference",
        [
            "loss = \"sequence-cross-entropy\"",
            "inputs = \"data.safetensors#input/ids\", targets = \"data.safetensors#target\"",
        ],
        1e-6,
    ),
    (
        "nano_gpt",
        "reference-ignore",
        [
            "loss = \"sequence-cross-entropy\"\nignore = -100",
            "inputs = \"data.safetensors#input/ids\", targets = \"data.safetensors#target\"",
        ],
        1e-6,
    ),
    (
        "nano_gpt",
        "reference-next-token",
        ["loss = \"next-token\"", IDS],
        1e-6,
    ),
];

#[test]
fn influences_are_those_of_torch() {
    for (name, reference, sections, tolerance) in CASES {
        for file in ["old.onnx", "new.onnx"] {
            let network = Network::new(name, file, reference, *sections);
            let found = network.influences(&[]);
            let error = difference(&found, &network.reference.products());
            assert!(error < *tolerance, "{name} {reference} {file}: {error:e}");
        }
        let network = Network::new(name, "new.onnx", reference, *sections);
        for curvature in ["hessian", "gauss-newton"] {
            let set = format!("method.curvature={curvature}");
            let found = network.influences(&[&DIRECT[..], &[&set]].concat());
            let expected = network.reference.rows(&format!("influence/{curvature}"));
            let error = difference(&found, &dynamic(&expected.view()));
            assert!(
                error < *tolerance,
                "{name} {reference} {curvature}: {error:e}"
            );
        }
    }
}

#[test]
fn every_command_takes_a_network() {
    let network = Network::mlp("new.onnx");
    let sections = [
        "method.name=ekfac",
        "method.damping={relative=0.1}",
        "method.curvature=fisher",
    ];
    let set: Vec<&str> = sections
        .iter()
        .flat_map(|setting| ["--set", setting])
        .collect();
    let run = |first: &[&str]| network.done(&[first, &set].concat());
    let planned = run(&["plan", "influence.toml"]);
    assert!(planned.contains("parameters"), "{planned}");
    run(&["fit", "influence.toml", "--fitted", "fit.safetensors"]);
    run(&["run", "influence.toml", "--fitted", "fit.safetensors"]);
    let fitted = network.read("influences.zarr", "influences");
    assert_eq!(fitted.shape(), [6, 6]);
    assert_eq!(network.influences(&sections), fitted);
    network.done(&["verify", "influences.zarr"]);
    network.done(&["report", "influences.zarr"]);
    network.done(&["top", "influences.zarr"]);
    network.done(&["mislabelled", "influences.zarr"]);
    let facts = network.done(&["inspect", "influences.zarr"]);
    assert!(facts.contains("onnx sha256:"), "{facts}");
    run(&["self", "influence.toml", "--set", "output.path=self.zarr"]);
    run(&[
        "sweep",
        "influence.toml",
        "--damping",
        "0.1,1.0",
        "--set",
        "output.path=sweep.zarr",
    ]);
    run(&[
        "declare",
        "influence.toml",
        "--set",
        "output.path=shares.zarr",
    ]);
    run(&[
        "run",
        "influence.toml",
        "--share",
        "0/2",
        "--set",
        "output.path=shares.zarr",
    ]);
    run(&[
        "finish",
        "influence.toml",
        "--set",
        "output.path=shares.zarr",
    ]);
    assert_eq!(network.read("shares.zarr", "influences"), fitted);
}

#[test]
fn points_of_a_language_model_need_no_targets() {
    let sections = ["loss = \"next-token\"", IDS];
    let network = Network::new("nano_gpt", "new.onnx", "reference-next-token", sections);
    network.influences(&[]);
    for command in ["top", "report", "mislabelled", "verify"] {
        network.done(&[command, "influences.zarr"]);
    }
}

#[test]
fn an_output_is_tied_to_the_network_and_to_the_files_beside_it() {
    let network = Network::mlp("new.onnx");
    network.influences(&[]);
    let mut bytes = fs::read(network.path("model.onnx")).expect("the network");
    // Another name of the producer: the network computes the same.
    let at = bytes
        .windows(7)
        .position(|window| window == b"pytorch")
        .expect("the producer");
    bytes[at] = b'P';
    fs::write(network.path("model.onnx"), bytes).expect("written");
    let said = network.complaint(&["verify", "influences.zarr"]);
    assert!(said.contains("model.onnx has changed since"), "{said}");
    assert!(said.contains("--set model.onnx="), "{said}");
}

#[test]
fn a_measurement_replaces_the_loss_of_test_points() {
    let network = Network::mlp("new.onnx");
    let loss = network.influences(&[]);
    let probability = network.influences(&["model.measurement=log-probability"]);
    // The loss is the negative logarithm of the probability.
    assert!(difference(&(-probability), &loss) < 1e-12);
    let [first, second] = [0, 1]
        .map(|class| network.influences(&[&format!("model.measurement={{ logit = {class} }}")]));
    assert!(difference(&first, &second) > 1e-2);
    let margin = network.influences(&["model.measurement=margin"]);
    assert!(difference(&margin, &loss) > 1e-2);
}

#[test]
fn models_of_layers_measure_what_networks_in_files_do() {
    const MEASUREMENTS: [&str; 4] = ["margin", "logit", "{ logit = 2 }", "log-probability"];
    let network = Network::mlp("new.onnx");
    let all =
        || MEASUREMENTS.map(|name| network.influences(&[&format!("model.measurement={name}")]));
    let of_file = all();
    let text = network.text("influence.toml");
    let text = text.replace("onnx = \"model.onnx\"", LAYERS);
    fs::write(network.path("influence.toml"), text).expect("written");
    for (name, (of_file, of_layers)) in MEASUREMENTS.iter().zip(of_file.iter().zip(&all())) {
        let difference = difference(of_layers, of_file);
        assert!(difference < 1e-12, "{name}: {difference:e}");
    }
    for (measurement, expected) in [
        ("{ logit = 3 }", "there are 3, counted from 0"),
        ("{ output = 'tanh' }", "is for networks in files"),
    ] {
        let set = format!("model.measurement={measurement}");
        let said = network.complaint(&["run", "influence.toml", "--overwrite", "--set", &set]);
        assert!(said.contains("model.measurement"), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// Second moments for the parameters of the perceptron, each with its shape.
fn second_moments() -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
    let shapes = [
        ("fc1.weight", vec![8, 4]),
        ("fc1.bias", vec![8]),
        ("fc2.weight", vec![3, 8]),
        ("fc2.bias", vec![3]),
    ];
    let moments = shapes.map(|(name, shape): (_, Vec<usize>)| {
        let count: usize = shape.iter().product();
        let value = |place: usize| 1e-3 * (1.1 + (7.0 * place as f32).sin());
        (name, shape, (0..count).map(value).collect())
    });
    moments.into()
}

fn written(network: &Network, name: &str, moments: &[(&'static str, Vec<usize>, Vec<f32>)]) {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let bytes: Vec<Vec<u8>> = moments.iter().map(|(_, _, values)| bytes(values)).collect();
    let views = moments.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor");
        (*name, view)
    });
    safetensors::serialize_to_file(views, None, &network.path(name)).expect("written");
}

#[test]
fn adam_divides_gradients_by_the_roots_of_its_second_moments() {
    let network = Network::mlp("new.onnx");
    let moments = second_moments();
    written(&network, "adam.safetensors", &moments);
    for epsilon in [1e-8, 0.02] {
        let products = moments.iter().map(|(name, _, values)| {
            let gradients = network.reference.rows(&format!("grad/{name}"));
            let divisors = values
                .iter()
                .map(|value| f64::from(*value).sqrt() + epsilon);
            let divided = &gradients / &divisors.collect::<ndarray::Array1<f64>>();
            divided.dot(&gradients.t())
        });
        let expected = products.reduce(|sum, each| sum + each).expect("parameters");
        let set = format!(
            "method={{ name = 'adam', second_moments = 'adam.safetensors', epsilon = {epsilon} }}"
        );
        let of_file = network.influences(&[&set]);
        assert!(difference(&of_file, &expected.clone().into_dyn()) < 1e-11);
        // burn keeps the weights of linear layers the other way round.
        let text = network.text("influence.toml");
        let layers = text.replace("onnx = \"model.onnx\"", LAYERS);
        fs::write(network.path("layers.toml"), layers).expect("written");
        network.done(&["run", "layers.toml", "--overwrite", "--set", &set]);
        let of_layers = network.read("influences.zarr", "influences");
        assert!(difference(&of_layers, &expected.into_dyn()) < 1e-11);
    }
    network.done(&["verify", "influences.zarr"]);

    let mut negative = moments.clone();
    negative[2].2[5] = -1e-9;
    written(&network, "negative.safetensors", &negative);
    for (file, expected) in [
        ("negative.safetensors", "are these the weights themselves?"),
        ("missing.safetensors", "missing.safetensors"),
    ] {
        let set = format!("method={{ name = 'adam', second_moments = '{file}' }}");
        let said = network.complaint(&["run", "influence.toml", "--overwrite", "--set", &set]);
        assert!(said.contains("method.second_moments"), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let said = network.complaint(&[
        "run",
        "influence.toml",
        "--overwrite",
        "--set",
        "method.name=adam",
    ]);
    assert!(said.contains("missing key `second_moments`"), "{said}");
}

#[test]
fn a_tensor_of_the_file_is_measured_by_name() {
    // The network computes a loss, which reads an input more than its logits.
    const BOTH: &str =
        "{ x = 'data.safetensors#input/x', target = 'data.safetensors#input/target' }";
    let sections = [
        "loss = \"cross-entropy\"\noutput = \"linear_1\"",
        "inputs = \"data.safetensors#input/x\", targets = \"data.safetensors#input/target\"",
    ];
    let network = Network::new("with_loss", "new.onnx", "reference", sections);
    let loss = network.influences(&[]);
    assert!(difference(&loss, &network.reference.products()) < 1e-11);
    let inputs = ["train", "test"].map(|side| format!("data.{side}.inputs={BOTH}"));
    let [train, test] = &inputs;
    let measured = "model.measurement={ output = 'out' }";
    let of_file = network.influences(&[measured, train, test]);
    assert!(difference(&of_file, &loss) < 1e-12);
    let set = "model.measurement={ output = 'tanh' }";
    let said = network.complaint(&["run", "influence.toml", "--overwrite", "--set", set]);
    assert!(said.contains("one number for each sample"), "{said}");
}

#[test]
fn a_state_dict_gives_names_or_other_weights() {
    let network = Network::mlp("old-folded.onnx");
    let expected = network.reference.products();
    let found = network.influences(&["model.weights=weights.safetensors"]);
    assert!(difference(&found, &expected) < 1e-11);
}

#[test]
fn frozen_parameters_have_no_influence() {
    let network = Network::mlp("new.onnx");
    let found = network.influences(&["model.frozen=['fc1.*']"]);
    let [weight, bias] = ["grad/fc2.weight", "grad/fc2.bias"].map(|name| {
        let rows = network.reference.rows(name);
        rows.dot(&rows.t())
    });
    assert!(difference(&found, &(weight + bias).into_dyn()) < 1e-11);
}

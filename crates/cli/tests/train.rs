//! `influence train`: steps against explicit gradients, and the whole loop without given weights.

#[path = "support/npy.rs"]
mod npy;
#[path = "support/program.rs"]
mod program;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use ndarray::{Array1, Array2, Axis};
use safetensors::SafeTensors;

const INPUTS: usize = 3;
const OUTPUTS: usize = 2;
const POINTS: usize = 12;

const LINE: &str = r#"
[model]
weights = "line.safetensors"
loss = "mse"
layers = [{ kind = "linear", name = "line", outputs = 2 }]
[data]
train = { inputs = "x.npy", targets = "y.npy" }
test = { inputs = "x.npy", targets = "y.npy" }
[train]
optimiser = "sgd"
momentum = 0.9
weight_decay = 0.01
learning_rate = 0.05
epochs = 3
batch = 12
checkpoints = 1
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    /// A regression of twelve points.
    fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let numbers = |count: usize, step: f32| -> Vec<f32> {
            (0..count)
                .map(|index| (index as f32 * step).sin())
                .collect()
        };
        let (x, y) = (
            numbers(POINTS * INPUTS, 0.7),
            numbers(POINTS * OUTPUTS, 1.3),
        );
        npy::write(&folder.path("x.npy"), &x, &[POINTS as u64, INPUTS as u64]);
        npy::write(&folder.path("y.npy"), &y, &[POINTS as u64, OUTPUTS as u64]);
        fs::write(folder.path("config.toml"), config).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn outcome(&self, arguments: &[&str]) -> Output {
        program::outcome(self.0.path(), arguments)
    }

    fn influence(&self, arguments: &[&str]) -> String {
        program::influence(self.0.path(), arguments)
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let outcome = self.outcome(arguments);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&outcome.stderr).into_owned()
    }
}

fn tensors(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let bytes = fs::read(path).expect("the weights are written");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let values = file.iter().map(|(name, view)| {
        let numbers = view.data().chunks_exact(4);
        let numbers = numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")));
        (name.to_owned(), numbers.map(f64::from).collect())
    });
    values.collect()
}

/// The gradient of the mean squared error of `x Wᵀ + b`, mean over points and outputs.
fn gradient(
    x: &Array2<f64>,
    y: &Array2<f64>,
    weight: &Array2<f64>,
    bias: &Array1<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let residual = x.dot(&weight.t()) + bias - y;
    let scale = 2.0 / (POINTS * OUTPUTS) as f64;
    (
        residual.t().dot(x) * scale,
        residual.sum_axis(Axis(0)) * scale,
    )
}

#[test]
fn steps_are_gradients_with_momentum_and_decay() {
    let folder = Folder::new(LINE);
    folder.influence(&["train", "config.toml"]);
    let after = |epoch: usize| {
        let tensors = tensors(&folder.path(&format!("line.epoch{epoch}.safetensors")));
        let weight = tensors["line.weight"].clone();
        (
            Array2::from_shape_vec((OUTPUTS, INPUTS), weight).expect("(out, in)"),
            Array1::from_vec(tensors["line.bias"].clone()),
        )
    };
    let matrix = |columns: usize, step: f64| {
        Array2::from_shape_fn((POINTS, columns), |(row, column)| {
            ((row * columns + column) as f64 * step).sin()
        })
    };
    let (x, y) = (matrix(INPUTS, 0.7), matrix(OUTPUTS, 1.3));
    let [first, second, third] = [1, 2, 3].map(after);
    let (weight, bias) = gradient(&x, &y, &second.0, &second.1);
    // v₃ = g(w₂) + decay w₂ + momentum v₂, with v = (before − behind) / rate.
    let expected = weight + 0.01 * &second.0 + 0.9 * (&first.0 - &second.0) / 0.05;
    let expected_bias = bias + 0.01 * &second.1 + 0.9 * (&first.1 - &second.1) / 0.05;
    let step = (&second.0 - &third.0) / 0.05;
    let step_bias = (&second.1 - &third.1) / 0.05;
    let largest = expected
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(largest > 1e-2, "{expected}");
    let errors = (&step - &expected)
        .into_iter()
        .chain(&step_bias - &expected_bias);
    for error in errors {
        assert!(error.abs() < 1e-4 * largest, "{error} of {largest}");
    }
    assert_eq!(
        tensors(&folder.path("line.safetensors"))["line.bias"],
        third.1.to_vec()
    );
}

#[test]
fn equal_seeds_give_equal_weights() {
    let weights = |seed: &str| {
        let folder = Folder::new(LINE);
        folder.influence(&[
            "train",
            "config.toml",
            "--set",
            seed,
            "--set",
            "train.batch=5",
        ]);
        fs::read(folder.path("line.safetensors")).expect("written")
    };
    assert_eq!(weights("seed=1"), weights("seed=1"));
    assert_ne!(weights("seed=1"), weights("seed=2"));
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let folder = Folder::new(LINE);
    for (set, expected) in [
        ("model.weights=line.pt", "name a file .safetensors"),
        (
            "model.layers=[{ kind = \"linear\", name = \"line\" }]",
            "layer 1 (linear `line`): give its size, such as outputs = 10",
        ),
        (
            "train.learning_rate=0",
            "train.learning_rate must be positive",
        ),
        ("train.optimiser=adam", "train.momentum belongs to sgd"),
        ("train.learning_rate=1e30", "no longer finite"),
    ] {
        let complaint = folder.refusal(&["train", "config.toml", "--set", set]);
        assert!(complaint.contains(expected), "{complaint}");
        assert!(!folder.path("line.safetensors").exists(), "{set}");
    }
    // The training that failed has left a checkpoint.
    let complaint = folder.refusal(&["train", "config.toml"]);
    assert!(
        complaint.contains("line.epoch1.safetensors exists"),
        "{complaint}"
    );
    folder.influence(&["train", "config.toml", "--overwrite"]);
    let complaint = folder.refusal(&["train", "config.toml"]);
    assert!(complaint.contains("line.safetensors exists"), "{complaint}");
    folder.influence(&["train", "config.toml", "--overwrite"]);
    // A size in the configuration is compared with the weights.
    let layers = "model.layers=[{ kind = \"linear\", name = \"line\", outputs = 3 }]";
    let complaint = folder.refusal(&[
        "run",
        "config.toml",
        "--set",
        layers,
        "--set",
        "method.damping=1",
    ]);
    assert!(
        complaint.contains("outputs = 3, but its weights have 2"),
        "{complaint}"
    );
}

#[test]
fn two_arrays_are_enough_for_a_report() {
    let folder = Folder::new("");
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits");
    let [images, labels] = ["images.npy", "labels.npy"].map(|name| digits.join(name));
    let data = [
        images.to_str().expect("text"),
        labels.to_str().expect("text"),
    ];
    folder.influence(&["init", "--all", data[0], data[1], "digits.toml"]);
    let said = folder.influence(&["train", "digits.toml"]);
    let accuracy = said.split("accuracy ").nth(2).expect("of the test points");
    let accuracy: f64 = accuracy
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!(accuracy > 90.0, "{said}");
    folder.influence(&["run", "digits.toml"]);
    folder.influence(&["report", "influences.zarr"]);
    let page = fs::read_to_string(folder.path("influences.html")).expect("written");
    assert!(
        page.contains("data:image/png;base64,"),
        "digits are pictures"
    );
}

#[test]
fn checkpoints_are_those_that_tracin_takes() {
    let folder = Folder::new(LINE);
    folder.influence(&["train", "config.toml"]);
    let checkpoints = "method={ name = \"tracin\", checkpoints = [\
        { weights = \"line.epoch1.safetensors\", learning_rate = 0.05 },\
        { weights = \"line.epoch3.safetensors\", learning_rate = 0.05 }] }";
    let said = folder.influence(&["run", "config.toml", "--set", checkpoints]);
    assert!(said.contains("tracin"), "{said}");
}

#[test]
fn a_training_is_followed_and_an_output_keeps_its_settings() {
    let folder = Folder::new(&format!("{LINE}[method]\nname = \"magic\"\n"));
    let refusal = folder.refusal(&["run", "config.toml"]);
    assert!(refusal.contains("run `influence train`"), "{refusal}");
    folder.influence(&["train", "config.toml"]);
    let said = folder.influence(&["run", "config.toml"]);
    assert!(said.contains("magic"), "{said}");
    // What is recorded of the training is enough to go through it again.
    let said = folder.influence(&["verify", "influences.zarr"]);
    assert!(said.contains(" 0 numbers differ"), "{said}");
    let longer = ["run", "config.toml", "--resume", "--set", "train.epochs=4"];
    let refusal = folder.refusal(&longer);
    assert!(refusal.contains("training"), "{refusal}");
}

#[test]
fn a_training_in_segments_is_followed_and_an_output_keeps_its_settings() {
    let folder = Folder::new(&format!(
        "{LINE}[method]\nname = \"source\"\nsegments = 1\n"
    ));
    folder.influence(&["train", "config.toml"]);
    let said = folder.influence(&["run", "config.toml"]);
    assert!(
        said.contains("source, 1 segments of 2 checkpoints"),
        "{said}"
    );
    let said = folder.influence(&["verify", "influences.zarr"]);
    assert!(said.contains(" 0 numbers differ"), "{said}");
    let more = "method.checkpoints_per_segment=3";
    let refusal = folder.refusal(&["run", "config.toml", "--resume", "--set", more]);
    assert!(refusal.contains("checkpoints_per_segment"), "{refusal}");
}

#[test]
fn an_ensemble_is_trained_from_seeds_that_follow_each_other() {
    let folder = Folder::new(LINE);
    let list = "model.weights=[\"line.safetensors\", \"next.safetensors\"]";
    folder.influence(&["train", "config.toml", "--set", list]);
    let next = ["model.weights=alone.safetensors", "seed=1"];
    folder.influence(&["train", "config.toml", "--set", next[0], "--set", next[1]]);
    assert_eq!(
        tensors(&folder.path("next.safetensors")),
        tensors(&folder.path("alone.safetensors"))
    );
    assert_ne!(
        tensors(&folder.path("next.safetensors")),
        tensors(&folder.path("line.safetensors"))
    );
    let method = "method={ curvature = \"gauss-newton\", damping = 0.1 }";
    let run = ["run", "config.toml", "--set", list, "--set", method];
    folder.influence(&run);
    let said = folder.influence(&["verify", "influences.zarr"]);
    assert!(said.contains(" 0 numbers differ"), "{said}");
}

#[test]
fn batch_norm_counts_batches_towards_its_statistics_as_pytorch_does() {
    let folder = Folder::new(LINE);
    let layers = "model.layers=[{ kind = \"batch_norm\", name = \"norm\", momentum = 0.25 }, \
        { kind = \"linear\", name = \"line\", outputs = 2 }]";
    let set = ["--set", layers, "--set", "train.epochs=2"];
    folder.influence(&[&["train", "config.toml"], &set[..]].concat());
    let tensors = tensors(&folder.path("line.safetensors"));
    let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
    let norm = ["bias", "running_mean", "running_var", "weight"].map(|name| format!("norm.{name}"));
    assert_eq!(
        names,
        [
            &["line.bias", "line.weight"][..],
            &norm.each_ref().map(String::as_str)
        ]
        .concat()
    );
    let x = Array2::from_shape_fn((POINTS, INPUTS), |(row, column)| {
        ((row * INPUTS + column) as f64 * 0.7).sin()
    });
    // Every batch is the whole set, and the inputs of the first layer do not change.
    let left = 0.75_f64.powi(2);
    for column in 0..INPUTS {
        let x = x.column(column);
        let mean = x.mean().expect("points");
        let variance = x.var(1.0);
        let found =
            [&tensors["norm.running_mean"], &tensors["norm.running_var"]].map(|of| of[column]);
        let expected = [mean * (1.0 - left), left + variance * (1.0 - left)];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
    let damped = [
        "run",
        "config.toml",
        "--set",
        layers,
        "--set",
        "method.damping=1",
    ];
    folder.influence(&damped);
    let single = [
        &[
            "train",
            "config.toml",
            "--overwrite",
            "--set",
            "train.batch=11",
        ],
        &set[..],
    ];
    let complaint = folder.refusal(&single.concat());
    assert!(
        complaint.contains("train.batch") && complaint.contains("leave one of 1"),
        "{complaint}"
    );
}

#[test]
fn tokens_are_trained_on_and_wrong_ones_refused() {
    let folder = Folder::new(LINE);
    let layers = "model.layers=[{ kind = \"embedding\", name = \"emb\", num_embeddings = 5, embedding_dim = 4, padding_idx = 0 }, \
        { kind = \"flatten\" }, { kind = \"linear\", name = \"line\", outputs = 2 }]";
    let write = |tokens: &[i64]| {
        let shape = [POINTS as u64, INPUTS as u64];
        npy::write(&folder.path("x.npy"), tokens, &shape);
    };
    let set = ["--set", layers, "--set", "method.damping=1"];
    let train = [&["train", "config.toml", "--overwrite"], &set[..]].concat();
    let complaint = folder.refusal(&train);
    assert!(
        complaint.contains("x.npy: inputs must be integers"),
        "{complaint}"
    );
    let mut tokens: Vec<i64> = (0_i64..)
        .take(POINTS * INPUTS)
        .map(|token| token % 5)
        .collect();
    write(&tokens);
    folder.influence(&train);
    let trained = tensors(&folder.path("line.safetensors"));
    let table = &trained["emb.weight"];
    assert_eq!(table.len(), 5 * 4);
    assert!(table[..4].iter().all(|&value| value == 0.0), "{table:?}");
    assert!(table[4..].iter().all(|&value| value != 0.0), "{table:?}");
    folder.influence(&[&["run", "config.toml"], &set[..]].concat());
    for wrong in [5, -1] {
        tokens[7] = wrong;
        write(&tokens);
        let complaint = folder.refusal(&train);
        let expected =
            format!("row 2 holds {wrong}, but the embedding that looks it up has rows 0 to 4");
        assert!(complaint.contains(&expected), "{complaint}");
    }
}

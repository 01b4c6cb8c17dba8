//! The proposals of `influence init`, and its comments on guesses.

#[path = "support/npy.rs"]
mod npy;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use safetensors::{Dtype, serialize, tensor::TensorView};
use toml::Table;

const DATA: [&str; 6] = ["--train", "x.npy", "y.npy", "--test", "xt.npy", "yt.npy"];

struct Folder(tempfile::TempDir);

impl Folder {
    /// Forty training and eight test points with this many numbers each, of classes 0 to 2.
    fn new(inputs: usize) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (side, points) in [("", 40_u64), ("t", 8)] {
            let numbers: Vec<f32> = (0..points * inputs as u64)
                .map(|index| (index as f32 * 0.7).sin())
                .collect();
            npy::write(
                &folder.path(&format!("x{side}.npy")),
                &numbers,
                &[points, inputs as u64],
            );
            let classes = (0..points).map(|point| i64::try_from(point % 3).expect("small"));
            let classes: Vec<i64> = classes.collect();
            folder.targets(&format!("y{side}.npy"), &classes);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn targets(&self, name: &str, values: &[i64]) {
        npy::write(&self.path(name), values, &[values.len() as u64]);
    }

    /// Weights of linear layers of these sizes: `fc1`, `fc2`, ...
    fn weights(&self, sizes: &[usize]) {
        let shapes: Vec<(String, Vec<usize>)> = sizes
            .windows(2)
            .enumerate()
            .flat_map(|(index, pair)| {
                let name = format!("fc{}", index + 1);
                [
                    (format!("{name}.weight"), vec![pair[1], pair[0]]),
                    (format!("{name}.bias"), vec![pair[1]]),
                ]
            })
            .collect();
        let bytes: Vec<Vec<u8>> = shapes
            .iter()
            .map(|(_, shape)| 0.01_f32.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = shapes.iter().zip(&bytes).map(|((name, shape), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.as_str(), view.expect("bytes fit the shape"))
        });
        let file = serialize(views, None).expect("serialised");
        fs::write(self.path("model.safetensors"), file).expect("written");
    }

    fn outcome(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command.current_dir(self.0.path());
        let outcome = command
            .args(["init", "--overwrite"])
            .args(arguments)
            .output();
        outcome.expect("the binary runs")
    }

    /// The configuration, its text, and the output on stderr.
    fn proposed(&self, arguments: &[&str]) -> (Table, String, String) {
        let outcome = self.outcome(&[arguments, &DATA].concat());
        let said = String::from_utf8(outcome.stderr).expect("text");
        assert!(outcome.status.success(), "{arguments:?}: {said}");
        let text = fs::read_to_string(self.path("influence.toml")).expect("written");
        (text.parse().expect("TOML"), text, said)
    }
}

fn method(config: &Table) -> [String; 3] {
    ["name", "curvature", "damping"].map(|key| config["method"][key].to_string())
}

#[test]
fn the_method_is_exact_while_it_is_quick_and_the_damping_fits_it() {
    let decay = ["--weight-decay", "1e-3"];
    for (sizes, arguments, expected) in [
        (&[64, 3][..], &[][..], ["\"direct\"", "{ relative = 1.0 }"]),
        // One layer: convex.
        (&[64, 3], &decay, ["\"direct\"", "0.001"]),
        (&[2000, 3], &decay, ["\"cg\"", "0.001"]),
        (&[64, 32, 3], &decay, ["\"direct\"", "{ relative = 1.0 }"]),
        (&[64, 64, 3], &[], ["\"cg\"", "{ relative = 1.0 }"]),
        (&[784, 380, 3], &[], ["\"ekfac\"", "{ relative = 0.1 }"]),
        (&[784, 380, 3], &decay, ["\"ekfac\"", "{ relative = 0.1 }"]),
    ] {
        let folder = Folder::new(sizes[0]);
        folder.weights(sizes);
        let weights = ["--weights", "model.safetensors"];
        let (config, text, said) = folder.proposed(&[&weights, arguments].concat());
        let [name, curvature, damping] = method(&config);
        assert_eq!([name.as_str(), &damping], expected, "{sizes:?}");
        assert_eq!(curvature, "\"gauss-newton\"", "{text}");
        assert!(!said.contains("edit it before running"), "{said}");
    }
}

#[test]
fn a_model_to_be_trained_has_the_decay_that_is_asked_for() {
    let folder = Folder::new(64);
    for (arguments, decay) in [(&[][..], 1e-4), (&["--weight-decay", "0.01"], 0.01)] {
        let (config, text, _) = folder.proposed(arguments);
        assert_eq!(config["train"]["weight_decay"].as_float(), Some(decay));
        // Two layers: the decay is not used as their damping, and the file says why.
        let expected = ["\"cg\"", "\"gauss-newton\"", "{ relative = 1.0 }"];
        assert_eq!(method(&config), expected);
        assert!(
            text.contains(&format!("# A damping of {decay:?}, the weight decay, ")),
            "{text}"
        );
    }
    let outcome = folder.outcome(&[&["--weight-decay=-1"][..], &DATA].concat());
    let complaint = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(
        complaint.contains("a weight decay is finite and not negative"),
        "{complaint}"
    );
}

#[test]
fn what_integers_are_taken_for_is_said() {
    let folder = Folder::new(4);
    let loss = |config: &Table| config["model"]["loss"].to_string();
    let (config, text, _) = folder.proposed(&[]);
    assert_eq!(loss(&config), "\"cross-entropy\"");
    let guess =
        "a guess: targets are 3 integers from 0 to 2, taken as class numbers; \"mse\" for numbers";
    assert!(text.contains(guess), "{text}");
    // Ages.
    let ages: Vec<i64> = (0..40).map(|point| 20 + point * 7 % 61).collect();
    folder.targets("y.npy", &ages);
    let (config, text, _) = folder.proposed(&[]);
    assert_eq!(loss(&config), "\"mse\"");
    assert!(
        text.contains("few points share one: taken as numbers"),
        "{text}"
    );
    let last = config["model"]["layers"]
        .as_array()
        .and_then(|layers| layers.last());
    assert_eq!(
        last.map(|layer| layer["outputs"].to_string()).as_deref(),
        Some("1")
    );
    // A model with one output has no classes.
    folder.targets(
        "y.npy",
        &(0..40).map(|point| point % 2).collect::<Vec<i64>>(),
    );
    folder.weights(&[4, 1]);
    let (config, text, said) = folder.proposed(&["--weights", "model.safetensors"]);
    assert_eq!(loss(&config), "\"mse\"");
    assert!(
        text.contains("the model has one output: taken as numbers"),
        "{text}"
    );
    assert!(!said.contains("edit it before running"), "{said}");
}

#[test]
fn a_single_class_is_refused() {
    let folder = Folder::new(4);
    folder.targets("y.npy", &[3; 40]);
    let outcome = folder.outcome(&DATA);
    let complaint = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(outcome.status.code(), Some(2), "{complaint}");
    assert!(
        complaint.contains("y.npy: all 40 targets are 3"),
        "{complaint}"
    );
    assert!(!folder.path("influence.toml").exists());
}

#[test]
fn classes_of_test_points_count_and_those_without_training_points_are_named() {
    let folder = Folder::new(4);
    folder.targets("yt.npy", &[0, 1, 2, 4, 6, 1, 0, 2]);
    let (config, _, said) = folder.proposed(&[]);
    let last = config["model"]["layers"]
        .as_array()
        .and_then(|layers| layers.last());
    assert_eq!(
        last.map(|layer| layer["outputs"].to_string()).as_deref(),
        Some("7")
    );
    assert!(
        said.contains("warning: no training point is of class 4, 6, but test points are"),
        "{said}"
    );
}

#[test]
fn a_model_that_cannot_be_built_is_told_in_one_line_and_in_the_file() {
    let folder = Folder::new(4);
    folder.weights(&[5, 3]);
    let (_, text, said) = folder.proposed(&["--weights", "model.safetensors"]);
    let told: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("edit it before running"))
        .collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(
        told[0].starts_with("warning: influence.toml: edit it before running: "),
        "{said}"
    );
    assert!(text.starts_with("# edit it before running: "), "{text}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let run = command
        .current_dir(folder.path(""))
        .args(["run", "influence.toml"]);
    let outcome = run.output().expect("the binary runs");
    assert_eq!(outcome.status.code(), Some(2));
    assert!(!Path::new(&folder.path("influences.zarr")).exists());
}

#[test]
fn without_test_points_it_is_for_self_influences() {
    let folder = Folder::new(4);
    folder.weights(&[4, 3]);
    let train = ["--train", "x.npy", "y.npy"];
    let outcome = folder.outcome(&train);
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(outcome.status.success(), "{said}");
    let next = "`influence train influence.toml` and `influence self influence.toml`";
    assert!(said.contains(next), "{said}");
    let outcome = folder.outcome(&[&["--weights", "model.safetensors"], &train[..]].concat());
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(outcome.status.success(), "{said}");
    for part in [
        "there are no test points, so it is for self-influences",
        "40 training points\n",
        "then `influence self influence.toml`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let text = fs::read_to_string(folder.path("influence.toml")).expect("written");
    let config: Table = text.parse().expect("TOML");
    assert!(config["data"].get("test").is_none(), "{text}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let command = command.current_dir(folder.path(""));
    let outcome = command.args(["self", "influence.toml"]).output();
    let outcome = outcome.expect("the binary runs");
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(folder.path("self.zarr/self_influences").is_dir());
}

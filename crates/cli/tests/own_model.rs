//! The example `own_model`: the whole command line for a burn module, against the same network as a
//! sequential model.

#[path = "support/difference.rs"]
mod difference;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use difference::difference;
use influence_core::{FieldSource, Values};
use ndarray::ArrayD;

/// The same network, with the names of the module's fields.
const SEQUENTIAL: &str = r#"
loss = "cross-entropy"
layers = [
    { kind = "reshape", shape = [1, 8, 8] },
    { kind = "conv2d", name = "conv1" }, { kind = "relu" },
    { kind = "conv2d", name = "conv2" }, { kind = "relu" },
    { kind = "avg_pool2d", kernel_size = 2 },
    { kind = "flatten" },
    { kind = "linear", name = "head" },
]
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program of the example; it is built with the workspace's tests.
fn example() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.parent()?.join("examples/own_model");
    path.is_file().then_some(path)
}

fn run(program: &Path, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let outcome = command.current_dir(folder).args(arguments).output();
    let outcome = outcome.expect("the program runs");
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{arguments:?}: {said}{complaint}");
    said
}

fn influences(path: &Path) -> ArrayD<f64> {
    let field = influence_calculators::ZarrField::open(path, "influences").expect("an array");
    match field.rows(0..field.shape()[0]).expect("read") {
        Values::F32(values) => values.mapv(f64::from),
        Values::F64(values) => values,
        _ => panic!("influences are floats"),
    }
}

#[test]
fn a_module_of_ones_own_has_the_whole_command_line() {
    let Some(example) = example() else {
        let note = "skipped: the example own_model is not built; test the whole workspace\n";
        std::io::stderr().write_all(note.as_bytes()).expect("open");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = fs::read_to_string(root().join("examples/own_model.toml")).expect("it ships");
    let data = root().join("crates/cli/data");
    let config = config.replace("../crates/cli/data", &data.display().to_string());
    fs::write(folder.path().join("own.toml"), &config).expect("written");

    let said = run(&example, folder.path(), &["train", "own.toml"]);
    let accuracy = said
        .split("accuracy ")
        .nth(2)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    assert!(accuracy.is_some_and(|percent| percent > 85.0), "{said}");

    let small = "--set=method={ name = \"direct\", curvature = \"gauss-newton\", damping = 0.05 }";
    let few = "--set=data.split.test=0.02";
    let sequential = config.replace("[data]", &format!("{SEQUENTIAL}[data]"));
    let sequential = sequential.replace("own_model.zarr", "sequential.zarr");
    fs::write(folder.path().join("sequential.toml"), sequential).expect("written");
    let binary = Path::new(env!("CARGO_BIN_EXE_influence"));
    for (precision, bound) in [("f64", 1e-9), ("f32", 1e-4)] {
        let set = format!("--set=precision={precision}");
        let settings = [small, few, &set, "--overwrite"];
        run(
            &example,
            folder.path(),
            &[&["run", "own.toml"], &settings[..]].concat(),
        );
        run(
            binary,
            folder.path(),
            &[&["run", "sequential.toml"], &settings[..]].concat(),
        );
        let [own, sequential] =
            ["own_model.zarr", "sequential.zarr"].map(|path| influences(&folder.path().join(path)));
        assert_eq!(own.shape(), [36, 1761]);
        let error = difference(&own, &sequential);
        assert!(error < bound, "{precision}: {error}");
    }

    let top = run(
        &example,
        folder.path(),
        &["top", "own_model.zarr", "--format", "json", "--show", "1"],
    );
    let top: serde_json::Value = serde_json::from_str(&top).expect("JSON");
    assert!(
        top[0]["influence"]
            .as_f64()
            .is_some_and(|value| value > 0.0),
        "{top}"
    );
    run(&example, folder.path(), &["report", "own_model.zarr"]);
    assert!(folder.path().join("own_model.html").is_file());
}

#[test]
fn a_configuration_is_proposed_without_layers() {
    let Some(example) = example() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [images, labels] = ["images", "labels"].map(|name| {
        let path = root().join(format!("crates/cli/data/digits/{name}.npy"));
        path.display().to_string()
    });
    let init = [
        "init",
        "--all",
        &images,
        &labels,
        "mine.toml",
        "--overwrite",
    ];
    run(&example, folder.path(), &init);
    let text = fs::read_to_string(folder.path().join("mine.toml")).expect("written");
    assert!(
        !text.contains("layers =") && !text.contains("loss ="),
        "{text}"
    );
    run(
        &example,
        folder.path(),
        &["train", "mine.toml", "--set", "train.epochs=1"],
    );
    let weights = ["--weights", "model.safetensors"];
    let said = run(&example, folder.path(), &[&init[..], &weights].concat());
    assert!(said.contains("the model has 666 parameters"), "{said}");
}

#[test]
fn keys_of_sequential_models_are_refused_by_name() {
    let Some(example) = example() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = fs::read_to_string(root().join("examples/own_model.toml")).expect("it ships");
    let data = root().join("crates/cli/data").display().to_string();
    let config = config.replace("../crates/cli/data", &data);
    let config = config.replace("[data]", "loss = \"mse\"\n[data]");
    fs::write(folder.path().join("own.toml"), config).expect("written");
    let mut command = Command::new(&example);
    let command = command
        .current_dir(folder.path())
        .args(["train", "own.toml"]);
    let outcome = command.output().expect("the program runs");
    assert_eq!(outcome.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(
        complaint.contains("model.loss: the program has a task of its own"),
        "{complaint}"
    );
}

//! What the real binary solves and what it refuses: λ by parameter and as the weight decay of the
//! training, single precision, overflow.

#[path = "support/difference.rs"]
mod difference;
#[path = "support/npy.rs"]
mod npy;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use difference::difference;
use ndarray::{ArrayD, Axis, Slice};
use zarrs::{array::Array, filesystem::FilesystemStore, group::Group};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli/mlp")
}

fn softmax() -> PathBuf {
    golden().with_file_name("softmax")
}

fn reference(name: &str) -> ArrayD<f64> {
    let file = std::fs::File::open(golden().join(format!("reference_{name}.npy")));
    let file = std::io::BufReader::new(file.expect("the references ship"));
    let array = npyz::NpyFile::new(file).expect("a numpy array");
    let shape: Vec<usize> = array
        .shape()
        .iter()
        .map(|&side| usize::try_from(side).expect("small"))
        .collect();
    ArrayD::from_shape_vec(shape, array.into_vec().expect("float64")).expect("an array")
}

/// A run on the golden network under the Gauss-Newton matrix.
fn run(output: &Path, keys: &[&str]) -> Output {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
    binary.arg("run").arg(golden().join("config.toml"));
    let own = [
        format!("output.path={}", output.display()),
        "method.curvature=gauss-newton".into(),
    ];
    for key in own.iter().map(String::as_str).chain(keys.iter().copied()) {
        binary.args(["--set", key]);
    }
    binary.output().expect("the binary runs")
}

fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// The influences of a run, and the attributes of its output.
fn written(keys: &[&str]) -> (ArrayD<f64>, serde_json::Map<String, serde_json::Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.zarr");
    let outcome = run(&output, keys);
    assert!(outcome.status.success(), "{keys:?}: {}", said(&outcome));
    let store = Arc::new(FilesystemStore::new(&output).expect("a store"));
    let group = Group::open(store.clone(), "/").expect("a group");
    let array = Array::open(store, "/influences").expect("the array is there");
    let values = array.retrieve_array_subset(&array.subset_all());
    (values.expect("float64"), group.attributes().clone())
}

const UNDECAYED: &str = "method.damping_by_parameter={ \"*.bias\" = 0.0 }";

#[test]
fn biases_without_decay_equal_the_dense_reference() {
    let expected = reference("undecayed_biases");
    let uniform = reference("gauss_newton");
    let uniform = uniform.slice_axis(Axis(0), Slice::from(0..5)).to_owned();
    assert!(difference(&uniform, &expected) > 0.05, "biases must matter");
    for method in [
        &["method.name=direct"][..],
        &["method.name=cg", "method.rtol=1e-11"],
        &[
            "method.name=cg",
            "method.rtol=1e-11",
            "method.preconditioner=nystroem",
        ],
        &[
            "method.name=cg",
            "method.rtol=1e-11",
            "method.preconditioner=jacobi",
        ],
    ] {
        let (all, attributes) = written(&[method, &[UNDECAYED]].concat());
        let first = all.slice_axis(Axis(0), Slice::from(0..5)).to_owned();
        let error = difference(&first, &expected);
        assert!(error < 1e-8, "{method:?}: {error:e}");
        let own = &attributes["solver"]["damping_by_parameter"];
        assert_eq!(own["*.bias"], 0.0, "{attributes:?}");
    }
}

#[test]
fn a_lambda_of_all_by_parameter_is_one_lambda() {
    let keys = [
        "method.damping=5",
        "method.damping_by_parameter={ \"*\" = 0.04 }",
    ];
    let (all, _) = written(&keys);
    assert!(difference(&all, &reference("gauss_newton")) < 1e-10);
}

#[test]
fn weight_decay_is_taken_from_the_training() {
    let keys = ["method.damping=weight-decay", "train.weight_decay=0.04"];
    let (all, attributes) = written(&keys);
    assert!(difference(&all, &reference("gauss_newton")) < 1e-10);
    // The number is recorded, because the training section is not.
    assert_eq!(attributes["damping"], 0.04);
    assert_eq!(attributes["config"]["method"]["damping"], 0.04);
    let sweep = ["method.sweep=[\"weight-decay\", 1.0]", keys[1]];
    let (both, attributes) = written(&sweep);
    let first = both.index_axis(Axis(2), 0).to_owned();
    assert!(difference(&first, &reference("gauss_newton")) < 1e-10);
    assert_eq!(attributes["damping"], serde_json::json!([0.04, 1.0]));
}

#[test]
fn what_cannot_be_damped_so_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let by_parameter = UNDECAYED;
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["method.damping=weight-decay"],
            &["method.damping", "train.weight_decay", "not given"],
        ),
        (
            &["method.damping=weight-decay", "train.weight_decay=0"],
            &["train.weight_decay", "is 0"],
        ),
        (
            &["method.name=ekfac", by_parameter],
            &["method.damping_by_parameter", "direct, cg, lissa", "ekfac"],
        ),
        (
            &["method.damping_by_parameter={ \"*.biass\" = 0 }"],
            &["method.damping_by_parameter", "*.biass", "fc1.bias"],
        ),
        (
            &["method.damping_by_parameter={ \"fc1.bias\" = -1 }"],
            &["method.damping_by_parameter.fc1.bias", "not negative"],
        ),
    ];
    for (keys, parts) in cases {
        let outcome = run(&folder.path().join("out.zarr"), keys);
        let said = said(&outcome);
        assert!(!outcome.status.success(), "{keys:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{keys:?} does not say {part}: {said}");
        }
    }
}

/// The golden regression on training and test points whose inputs are multiplied by a number; all
/// training points have wrong labels, so that none has a gradient of zero under a saturated
/// softmax.
fn scaled(folder: &Path, train: f32, test: f32) -> [String; 2] {
    let file = std::fs::File::open(softmax().join("y_train.npy")).expect("the data ship");
    let labels = npyz::NpyFile::new(std::io::BufReader::new(file)).expect("a numpy array");
    let labels: Vec<i64> = labels.into_vec().expect("int64");
    let wrong: Vec<i64> = labels.iter().map(|label| (label + 1) % 10).collect();
    npy::write(&folder.join("y_train.npy"), &wrong, &[120]);
    [("train", train, 120), ("test", test, 30)].map(|(side, scale, points)| {
        let file = std::fs::File::open(softmax().join(format!("x_{side}.npy")));
        let file = std::io::BufReader::new(file.expect("the data ship"));
        let array = npyz::NpyFile::new(file).expect("a numpy array");
        let width = array.shape()[1];
        let values: Vec<f32> = array.into_vec().expect("float32");
        let values: Vec<f32> = values.iter().map(|value| value * scale).collect();
        let path = folder.join(format!("x_{side}.npy"));
        npy::write(&path, &values, &[points, width]);
        format!("data.{side}.inputs={}", path.display())
    })
}

const METHODS: [&[&str]; 10] = [
    &["method.name=direct"],
    &["method.name=cg"],
    &["method.name=lissa", "method.depth=50"],
    &["method.name=arnoldi", "method.rank=4"],
    &["method.name=nystroem", "method.rank=4"],
    &[
        "method.name=inverse-harmonic-mean",
        "method.curvature=empirical-fisher",
    ],
    &["method.name=kfac", "method.blocks=layer-wise"],
    &["method.name=ekfac", "method.blocks=layer-wise"],
    &["method.name=identity"],
    &["method.name=tracin"],
];

/// A run in single precision; methods without a curvature omit its keys.
fn run_single(folder: &Path, inputs: &[String; 2], method: &[&str]) -> Output {
    let config = std::fs::read_to_string(softmax().join("config.toml")).expect("the case ships");
    let bare = ["identity", "cosine", "tracin"];
    let is_bare = bare.iter().any(|name| method[0].ends_with(name));
    let lines = config.lines().filter(|line| {
        let key = line.split(' ').next().unwrap_or_default();
        !(["curvature", "blocks"].contains(&key) || is_bare && key == "damping")
    });
    let path = folder.join("config.toml");
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).expect("written");
    let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
    binary.arg("run").arg(&path);
    let own = [
        format!("output.path={}", folder.join("out.zarr").display()),
        "precision=f32".into(),
        format!(
            "model.weights={}",
            softmax().join("model.safetensors").display()
        ),
        format!(
            "data.train.targets={}",
            folder.join("y_train.npy").display()
        ),
        format!(
            "data.test.targets={}",
            softmax().join("y_test.npy").display()
        ),
    ];
    let keys = own.iter().chain(inputs).map(String::as_str);
    for key in keys.chain(method.iter().copied()) {
        binary.args(["--set", key]);
    }
    binary.output().expect("the binary runs")
}

#[test]
fn numbers_that_overflow_are_never_called_converged() {
    // Finite gradients whose products are not finite; and ten orders of magnitude larger ones.
    for (train, test) in [(1e19, 1e25), (1e30, 1e30)] {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = scaled(folder.path(), train, test);
        for method in METHODS {
            let outcome = run_single(folder.path(), &inputs, method);
            let said = said(&outcome);
            assert!(!outcome.status.success(), "{method:?}, {train:e}: {said}");
            let named = said.contains("not finite") || said.contains("diverged");
            assert!(named, "{method:?}, {train:e}: {said}");
            assert!(!said.contains("panicked"), "{method:?}, {train:e}: {said}");
            let _ = std::fs::remove_dir_all(folder.path().join("out.zarr"));
        }
    }
}

#[test]
fn cosines_do_not_depend_on_the_length_of_gradients() {
    let folder = tempfile::tempdir().expect("a folder");
    // The softmax is saturated under both.
    let [near, far] = [1e10, 1e25].map(|scale| {
        let inputs = scaled(folder.path(), scale, scale);
        let outcome = run_single(folder.path(), &inputs, &["method.name=cosine"]);
        assert!(outcome.status.success(), "{}", said(&outcome));
        let output = folder.path().join("out.zarr");
        let store = Arc::new(FilesystemStore::new(&output).expect("a store"));
        let array = Array::open(store, "/influences").expect("the array is there");
        let values: ArrayD<f32> = array
            .retrieve_array_subset(&array.subset_all())
            .expect("float32");
        std::fs::remove_dir_all(&output).expect("removed");
        values.mapv(f64::from)
    });
    assert!(near.iter().any(|value| value.abs() > 0.4));
    assert!(difference(&far, &near) < 1e-5);
}

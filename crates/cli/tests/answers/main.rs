//! From files to answers with the real binary: `init`, `run`, `self`, `top`, `mislabelled`,
//! `inspect`, `report`.

mod browser;
mod checkpoints;
mod demo;
mod layers;
mod listings;
#[path = "../support/npy.rs"]
mod npy;
mod page;
mod plots;
mod record;
mod weights;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use ndarray::{Array2, ArrayD, Axis};
use serde_json::Value;
use zarrs::{array::Array, filesystem::FilesystemStore};

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/cli/mlp")
        .join(file)
}

/// A folder with the weights and data of a small network of digits.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for file in [
            "model.pt",
            "x_train.npy",
            "y_train.npy",
            "x_test.npy",
            "y_test.npy",
        ] {
            fs::copy(golden(file), folder.path(file)).expect("copied");
        }
        folder
    }

    /// The same with a configuration, influences and self-influences.
    fn computed() -> Self {
        let folder = Self::new();
        folder.init();
        folder.done(&["run", "influence.toml"]);
        folder.done(&["self", "influence.toml", "--set", "output.path=self.zarr"]);
        folder
    }

    fn init(&self) -> String {
        self.done(&[
            "init",
            "--weights",
            "model.pt",
            "--train",
            "x_train.npy",
            "y_train.npy",
            "--test",
            "x_test.npy",
            "y_test.npy",
            "--activation",
            "tanh",
        ])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command.current_dir(self.0.path()).args(arguments);
        command.output().expect("the binary runs")
    }

    /// The output of a command that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The message of a command that fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        complaint
    }

    fn influences(&self) -> Array2<f64> {
        stored(&self.path("influences.zarr"), "influences")
            .into_dimensionality()
            .expect("test by train")
    }
}

fn stored(path: &Path, array: &str) -> ArrayD<f64> {
    let store = Arc::new(FilesystemStore::new(path).expect("a store"));
    let array = Array::open(store, &format!("/{array}")).expect("the array is there");
    let values: ArrayD<f32> = array
        .retrieve_array_subset(&array.subset_all())
        .expect("float32");
    values.mapv(f64::from)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("an index")).expect("small")
}

#[test]
fn a_state_dict_and_arrays_become_a_configuration_that_runs() {
    let folder = Folder::new();
    let said = folder.init();
    assert!(
        said.contains("910 parameters; 120 training points, 30 test points"),
        "{said}"
    );
    folder.done(&["run", "influence.toml"]);
    let complaint = folder.refused(&[
        "init",
        "--weights",
        "model.pt",
        "--train",
        "x_train.npy",
        "y_train.npy",
        "--test",
        "x_test.npy",
        "y_test.npy",
    ]);
    assert!(complaint.contains("--overwrite"), "{complaint}");
}

#[test]
fn the_first_training_points_are_those_of_the_array() {
    let folder = Folder::computed();
    let influences = folder.influences();
    let listed = folder.done(&[
        "top",
        "influences.zarr",
        "--points",
        "3,29",
        "-k",
        "4",
        "--format",
        "json",
    ]);
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    assert_eq!(listed.len(), 2 * 2 * 4);
    for (side, sign) in [("helpful", -1.0), ("harmful", 1.0)] {
        for point in [3, 29] {
            let mut order: Vec<usize> = (0..influences.ncols()).collect();
            let row = influences.row(point);
            order.sort_by(|&a, &b| (sign * row[a]).total_cmp(&(sign * row[b])));
            let entries = listed
                .iter()
                .filter(|entry| entry["side"] == side && entry["test"] == point);
            for (rank, entry) in entries.enumerate() {
                assert_eq!(index(&entry["rank"]), rank + 1);
                assert_eq!(index(&entry["train"]), order[rank]);
                let difference = number(&entry["influence"]) - row[order[rank]];
                assert!(difference.abs() < 1e-12, "{entry}");
                let change = row[order[rank]] / influences.ncols() as f64;
                assert!(
                    (number(&entry["loss_change"]) - change).abs() < 1e-15,
                    "{entry}"
                );
            }
        }
    }
    let lines = folder.done(&["top", "influences.zarr", "--points", "3", "--format", "csv"]);
    assert!(lines.starts_with(
        "test,test_id,target,predicted,side,rank,train,train_id,train_target,influence,loss_change\n3,"
    ));
    assert_eq!(lines.lines().count(), 1 + 2 * 5);
    // By default the points with the largest loss come first: the model is wrong on four of the
    // five.
    let table = folder.done(&["top", "influences.zarr"]);
    assert!(
        table.contains("| 4          | 8      | 6         |"),
        "{table}"
    );
}

#[test]
fn suspicious_labels_are_ranked_and_counted() {
    let folder = Folder::computed();
    let mean = folder.influences().mean_axis(Axis(0)).expect("rows");
    let own = stored(&folder.path("self.zarr"), "self_influences");
    let all = |by: &str| {
        let arguments =
            "mislabelled influences.zarr --self self.zarr --show 120 --format json --by";
        let arguments: Vec<&str> = arguments.split(' ').chain([by]).collect();
        let listed = folder.done(&arguments);
        serde_json::from_str::<Vec<Value>>(&listed).expect("a list")
    };
    let column = |listed: &[Value], name: &str| -> Vec<f64> {
        listed.iter().map(|entry| number(&entry[name])).collect()
    };
    let (by_mean, by_own, by_loss) = (all("mean"), all("self"), all("loss"));
    assert!(column(&by_mean, "mean_influence").is_sorted());
    assert!(column(&by_own, "self_influence").iter().rev().is_sorted());
    assert!(column(&by_loss, "loss").iter().rev().is_sorted());
    for entry in &by_mean {
        let point = index(&entry["train"]);
        assert!((mean[point] - number(&entry["mean_influence"])).abs() < 1e-9);
        assert!((own[point] - number(&entry["self_influence"])).abs() < 1e-12);
        // The predicted class has at least a tenth of the probability.
        let right = entry["predicted"] == entry["label"];
        assert!(!right || number(&entry["loss"]) < 10_f64.ln(), "{entry}");
    }
    // The default is the mean for this model, which has memorised all labels.
    let table = folder.done(&["mislabelled", "influences.zarr"]);
    let why = "ranked by mean influence: the model gets 100.0 % of its training labels right";
    assert!(table.contains(why), "{table}");
    assert!(table.contains("(other rankings: --by loss)"), "{table}");
    // Suppose that the first two by mean influence, and the last, have other true labels.
    let mut truth: Vec<i64> = vec![0; 120];
    for entry in &by_mean {
        truth[index(&entry["train"])] = entry["label"].as_i64().expect("a class");
    }
    for entry in [&by_mean[0], &by_mean[1], &by_mean[119]] {
        let label = &mut truth[index(&entry["train"])];
        *label = (*label + 1) % 10;
    }
    npy::write(&folder.path("truth.npy"), &truth, &[120]);
    let table = folder.done(&["mislabelled", "influences.zarr", "--truth", "truth.npy"]);
    assert!(
        table.contains("3 of 120 training points are mislabelled"),
        "{table}"
    );
    let first = table.lines().find(|line| line.starts_with("|       1 %"));
    let first = first.expect("a row");
    assert!(
        first.ends_with("|              - |       2 (67 %) |"),
        "{first}"
    );

    let listed = folder.done(&[
        "mislabelled",
        "self.zarr",
        "--by",
        "self",
        "--format",
        "json",
    ]);
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(listed.len(), 20);
    assert!((number(&listed[0]["self_influence"]) - largest).abs() < 1e-12);
    npy::write(&folder.path("short.npy"), &[1_i64, 2], &[2]);
    let complaint = folder.refused(&["mislabelled", "self.zarr", "--truth", "short.npy"]);
    assert!(complaint.contains("expected 120 labels"), "{complaint}");
    let complaint = folder.refused(&["mislabelled", "influences.zarr", "--by", "self"]);
    assert!(complaint.contains("--self"), "{complaint}");
    let complaint = folder.refused(&["mislabelled", "self.zarr", "--by", "mean"]);
    assert!(complaint.contains("influence run"), "{complaint}");
}

#[test]
fn labels_that_are_not_learned_are_ranked_by_loss() {
    let folder = Folder::computed();
    let listed = "mislabelled influences.zarr --show 120 --format json";
    let listed = folder.done(&listed.split(' ').collect::<Vec<_>>());
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    let mut labels: Vec<i64> = vec![0; 120];
    for entry in &listed {
        let label = entry["label"].as_i64().expect("a class");
        let point = index(&entry["train"]);
        labels[point] = if point < 12 { (label + 1) % 10 } else { label };
    }
    npy::write(&folder.path("flipped.npy"), &labels, &[120]);
    let run =
        "run influence.toml --set output.path=flipped.zarr --set data.train.targets=flipped.npy";
    folder.done(&run.split(' ').collect::<Vec<_>>());
    let listed = "mislabelled flipped.zarr --show 12 --format json";
    let listed = folder.done(&listed.split(' ').collect::<Vec<_>>());
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    assert!(
        listed.iter().all(|entry| index(&entry["train"]) < 12),
        "{listed:?}"
    );
    let table = folder.done(&["mislabelled", "flipped.zarr"]);
    let why = "ranked by loss: the model gets 90.0 % of its training labels right";
    assert!(table.contains(why), "{table}");
}

#[test]
fn what_an_output_says_of_itself_is_so() {
    let folder = Folder::computed();
    let influences = folder.influences();
    let facts = folder.done(&["inspect", "influences.zarr", "--json"]);
    let facts: Value = serde_json::from_str(&facts).expect("an object");
    let ends = influences
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &value| {
            (lo.min(value), hi.max(value))
        });
    assert!((number(&facts["minimum"]) - ends.0).abs() < 1e-12);
    assert!((number(&facts["maximum"]) - ends.1).abs() < 1e-12);
    let positive = influences.iter().filter(|&&value| value > 0.0).count();
    let share = positive as f64 / 3600.0;
    assert!((number(&facts["positive"]) - share).abs() < 1e-12);
    assert_eq!(facts["shape"], serde_json::json!([30, 120]));
    assert_eq!(facts["complete"], true);
    // Scores with further axes too.
    folder.done(&[
        "run",
        "influence.toml",
        "--set",
        "output.path=blocks.zarr",
        "--set",
        "compute.mode=by-block",
        "--set",
        "method.blocks=layer-wise",
    ]);
    let text = folder.done(&["inspect", "blocks.zarr"]);
    assert!(
        text.contains("[30,120,2]") && text.contains("median"),
        "{text}"
    );
    let complaint = folder.refused(&["top", "blocks.zarr"]);
    assert!(complaint.contains("expected the array `influences` of shape (test, train)"));
}

#[test]
fn answers_are_refused_where_the_files_have_changed() {
    let folder = Folder::computed();
    npy::write(&folder.path("y_test.npy"), &[0_i64; 30], &[30]);
    for command in ["top", "mislabelled", "report"] {
        let complaint = folder.refused(&[command, "influences.zarr"]);
        assert!(complaint.contains("has changed since"), "{complaint}");
    }
    folder.done(&["inspect", "influences.zarr"]);
    let complaint = folder.refused(&[
        "top",
        "influences.zarr",
        "--set",
        "data.test.targets=gone.npy",
    ]);
    assert!(complaint.contains("gone.npy"), "{complaint}");
    let complaint = folder.refused(&["inspect", "nothing.zarr"]);
    assert!(complaint.contains("nothing.zarr"), "{complaint}");
}

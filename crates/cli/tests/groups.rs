//! The real binary on groups of points: rows and columns are sums of those of the references, by
//! every method, and an output knows its groups.

#[path = "support/difference.rs"]
mod difference;
#[path = "support/files.rs"]
mod files;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use difference::difference;
use files::files;
use ndarray::{ArrayD, Axis};
use tempfile::TempDir;
use zarrs::{array::Array, filesystem::FilesystemStore};

fn golden(name: &str) -> PathBuf {
    let mlp = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli/mlp");
    mlp.join(name)
}

fn array(name: &str) -> ArrayD<f64> {
    let file = fs::File::open(golden(name)).expect("the references ship");
    let array = npyz::NpyFile::new(std::io::BufReader::new(file)).expect("a numpy array");
    let shape = array.shape().iter();
    let shape: Vec<usize> = shape
        .map(|&side| usize::try_from(side).expect("small"))
        .collect();
    let numbers: Vec<f64> = match array.dtype() {
        npyz::DType::Plain(kind) if kind.type_char() == npyz::TypeChar::Int => {
            let numbers: Vec<i64> = array.into_vec().expect("integers");
            numbers.into_iter().map(|number| number as f64).collect()
        }
        _ => array.into_vec().expect("float64"),
    };
    ArrayD::from_shape_vec(shape, numbers).expect("an array")
}

fn reference(name: &str) -> ArrayD<f64> {
    array(&format!("reference_{name}.npy"))
}

/// A folder with the outputs of a test, and the files of groups.
struct Job(TempDir);

impl Job {
    /// With labels of all points, uneven groups of which one has a single point, and weights.
    fn new() -> Self {
        let job = Self(tempfile::tempdir().expect("a folder"));
        let lines = |len: usize, line: &dyn Fn(usize) -> String| {
            (0..len).map(|row| line(row) + "\n").collect::<String>()
        };
        let write = |name: &str, text: String| fs::write(job.path(name), text).expect("written");
        for (side, len) in [("test", 30), ("train", 120)] {
            write(&format!("{side}.txt"), lines(len, &|row| label(row).into()));
            let weights = lines(len, &|row| weight(row).to_string());
            write(&format!("{side}.csv"), format!("w\n{weights}"));
        }
        job
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The key of a grouping by label.
    fn labels(&self, side: &str, more: &str) -> String {
        let file = self.path(&format!("{side}.txt"));
        format!("data.{side}.group={{ by = \"{}\"{more} }}", file.display())
    }

    /// A command of the golden network with these keys, whose output has this name.
    fn command(&self, line: &str, output: &str, keys: &[&str]) -> Output {
        let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
        let mut words = line.split(' ');
        binary.arg(words.next().unwrap_or_default());
        binary.arg(golden("config.toml")).args(words);
        let output = format!("output.path={}", self.path(output).display());
        for key in [&[output.as_str()], keys].concat() {
            binary.args(["--set", key]);
        }
        binary.output().expect("the binary runs")
    }

    /// As [`command`](Self::command), which succeeds; what it said.
    fn done(&self, line: &str, output: &str, keys: &[&str]) -> String {
        let outcome = self.command(line, output, keys);
        assert!(
            outcome.status.success(),
            "{line} {keys:?}: {}",
            said(&outcome)
        );
        said(&outcome)
    }

    /// As [`command`](Self::command), which is refused with this text.
    fn refused(&self, line: &str, output: &str, keys: &[&str], expected: &str) {
        let outcome = self.command(line, output, keys);
        assert_eq!(outcome.status.code(), Some(2), "{line} {keys:?}");
        let said = said(&outcome);
        assert!(said.contains(expected), "{line} {keys:?}: {said}");
    }

    /// The influences of a run with these keys.
    fn run(&self, keys: &[&str]) -> ArrayD<f64> {
        self.done("run", "run.zarr", keys);
        let influences = self.read("run.zarr");
        fs::remove_dir_all(self.path("run.zarr")).expect("removed");
        influences
    }

    fn read(&self, output: &str) -> ArrayD<f64> {
        let store = Arc::new(FilesystemStore::new(self.path(output)).expect("a store"));
        let array = Array::open(store, "/influences").expect("the array is there");
        let whole = array.subset_all();
        if array.data_type() == &zarrs::array::data_type::float32() {
            let numbers: ArrayD<f32> = array.retrieve_array_subset(&whole).expect("float32");
            return numbers.mapv(f64::from);
        }
        array.retrieve_array_subset(&whole).expect("float64")
    }

    /// What a command says of an output.
    fn told(&self, command: &str, output: &str, more: &[&str]) -> String {
        let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
        let outcome = binary.arg(command).arg(self.path(output)).args(more);
        let outcome = outcome.output().expect("the binary runs");
        assert!(outcome.status.success(), "{command}: {}", said(&outcome));
        said(&outcome)
    }
}

fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// Point 7 is alone in its group.
fn label(row: usize) -> &'static str {
    match row {
        7 => "alone",
        row if row.is_multiple_of(3) => "web",
        _ => "books",
    }
}

fn weight(row: usize) -> f64 {
    1.0 + (row % 4) as f64 / 2.0
}

/// The labels of points in the order of groups.
const LABELS: [&str; 3] = ["alone", "books", "web"];

/// The weight of each point in each group, `(groups, points)`: of sums, or of means.
fn weights(
    groups: &[Vec<usize>],
    weight: impl Fn(usize) -> f64,
    mean: bool,
) -> Vec<Vec<(usize, f64)>> {
    let of_group = |group: &Vec<usize>| {
        let sum: f64 = group.iter().map(|&point| weight(point)).sum();
        let scale = if mean { 1.0 / sum } else { 1.0 };
        let weighted = group.iter().map(|&point| (point, scale * weight(point)));
        weighted.collect()
    };
    groups.iter().map(of_group).collect()
}

fn by_label(len: usize) -> Vec<Vec<usize>> {
    let of = |wanted| (0..len).filter(|&row| label(row) == wanted).collect();
    LABELS.map(of).to_vec()
}

/// The points of each class that has some.
fn by_class(file: &str) -> Vec<Vec<usize>> {
    let classes = array(file);
    let of = |class: usize| {
        let its = |row: &usize| (classes[*row] - class as f64).abs() < 0.5;
        (0..classes.len()).filter(its).collect()
    };
    let groups = (0..20).map(of);
    groups
        .filter(|group: &Vec<usize>| !group.is_empty())
        .collect()
}

/// Weighted sums along an axis.
fn summed(matrix: &ArrayD<f64>, axis: usize, groups: &[Vec<(usize, f64)>]) -> ArrayD<f64> {
    let mut shape = matrix.shape().to_vec();
    shape[axis] = groups.len();
    let mut sums = ArrayD::zeros(shape);
    for (group, points) in groups.iter().enumerate() {
        for &(point, weight) in points {
            let of_point = matrix.index_axis(Axis(axis), point);
            sums.index_axis_mut(Axis(axis), group)
                .scaled_add(weight, &of_point);
        }
    }
    sums
}

const GAUSS_NEWTON: &str = "method.curvature=gauss-newton";
const LAYERS: &str = "method.blocks=layer-wise";
const TRACIN: &str = r#"method={ name = "tracin", checkpoints = [{ weights = "checkpoint.safetensors", learning_rate = 0.1 }, { weights = "model.safetensors", learning_rate = 0.05 }] }"#;

/// Keys of each method, its reference, and how near it comes.
const CASES: [(&[&str], &str, f64); 14] = [
    // Indefinite: a damping below the most negative eigenvalue.
    (&[], "hessian", 1e-10),
    (&[GAUSS_NEWTON], "gauss_newton", 1e-10),
    (
        &["method.name=cg", "method.rtol=1e-12", GAUSS_NEWTON],
        "gauss_newton",
        1e-9,
    ),
    (
        &[
            "method.name=lissa",
            "method.full_batch=true",
            "method.depth=2000",
            GAUSS_NEWTON,
        ],
        "gauss_newton",
        1e-9,
    ),
    (
        &[
            "method.name=arnoldi",
            "method.rank=130",
            "method.curvature=empirical-fisher",
        ],
        "empirical_fisher",
        1e-7,
    ),
    (
        &[
            "method.name=nystroem",
            "method.rank=130",
            "method.curvature=empirical-fisher",
        ],
        "empirical_fisher",
        1e-6,
    ),
    (
        &[
            "method.name=inverse-harmonic-mean",
            "method.curvature=empirical-fisher",
        ],
        "inverse_harmonic_mean",
        1e-10,
    ),
    (
        &[
            "method.name=kfac",
            "method.tolerance=0",
            GAUSS_NEWTON,
            LAYERS,
        ],
        "kfac",
        1e-10,
    ),
    (
        &[
            "method.name=ekfac",
            "method.tolerance=0",
            GAUSS_NEWTON,
            LAYERS,
        ],
        "ekfac",
        1e-10,
    ),
    (&["method={ name = \"identity\" }"], "identity", 1e-10),
    (&["method={ name = \"cosine\" }"], "cosine", 1e-10),
    (&[TRACIN], "tracin", 1e-10),
    (
        &[GAUSS_NEWTON, LAYERS, "compute.mode=by-block"],
        "by_block",
        1e-10,
    ),
    (&["precision=f32", GAUSS_NEWTON], "gauss_newton", 1e-4),
];

#[test]
fn rows_of_groups_are_sums_of_rows_of_the_references_by_every_method() {
    let job = Job::new();
    let (label, class) = (job.labels("test", ""), by_class("y_test.npy"));
    let file = job.path("test.csv");
    let weighted = format!(
        "data.test.group={{ by = \"class\", take = \"sum\", weights = \"{}\" }}",
        file.display()
    );
    for (index, (keys, name, tolerance)) in CASES.into_iter().enumerate() {
        let whole = reference(name);
        let all = vec![(0..30).collect()];
        // Every method once, the first two with every kind of group.
        let kinds = [
            ("data.test.group=mean", weights(&all, |_| 1.0, true)),
            ("data.test.group=class", weights(&class, |_| 1.0, true)),
            (label.as_str(), weights(&by_label(30), |_| 1.0, true)),
            (weighted.as_str(), weights(&class, weight, false)),
        ];
        let chosen = if index < 2 {
            0..4
        } else {
            index % 4..index % 4 + 1
        };
        for (key, groups) in &kinds[chosen] {
            let got = job.run(&[keys, &[*key]].concat());
            let error = difference(&got, &summed(&whole, 0, groups));
            println!("{name} {key}: {error:.1e}");
            assert!(error < tolerance, "{keys:?} {key}: {error:e}");
        }
    }
    let slopes = job.run(&[
        GAUSS_NEWTON,
        "compute.mode=perturbation",
        "data.test.group=mean",
    ]);
    let expected = reference("perturbation");
    let all = weights(&[(0..30).collect()], |_| 1.0, true);
    let first = slopes
        .slice_axis(Axis(1), (0..expected.shape()[1]).into())
        .to_owned();
    assert!(difference(&first, &summed(&expected, 0, &all)) < 1e-10);
}

#[test]
fn columns_of_groups_are_sums_of_columns_beside_points_or_groups() {
    let job = Job::new();
    let (labels, class) = (job.labels("train", ""), by_class("y_test.npy"));
    let sums = weights(&by_label(120), |_| 1.0, false);
    for (keys, name) in [
        (&[GAUSS_NEWTON][..], "gauss_newton"),
        (&["method={ name = \"cosine\" }"], "cosine"),
        (&[TRACIN], "tracin"),
        (
            &[
                "method.name=ekfac",
                "method.tolerance=0",
                GAUSS_NEWTON,
                LAYERS,
            ],
            "ekfac",
        ),
        (&[GAUSS_NEWTON, LAYERS, "compute.mode=by-block"], "by_block"),
    ] {
        let expected = summed(&reference(name), 1, &sums);
        let got = job.run(&[keys, &[labels.as_str()]].concat());
        assert!(difference(&got, &expected) < 1e-10, "{name}");
        let got = job.run(&[keys, &[labels.as_str(), "data.test.group=class"]].concat());
        let expected = summed(&expected, 0, &weights(&class, |_| 1.0, true));
        assert!(difference(&got, &expected) < 1e-10, "{name}");
    }
    let mean = job.labels("train", ", take = \"mean\"");
    let expected = weights(&by_label(120), |_| 1.0, true);
    let expected = summed(&reference("hessian"), 1, &expected);
    assert!(difference(&job.run(&[&mean]), &expected) < 1e-10);
}

#[test]
fn ensembles_sweeps_and_trainings_that_are_followed_have_groups_too() {
    let job = Job::new();
    let trained = format!(
        "model.weights={}",
        job.path("trained.safetensors").display()
    );
    let layers = r#"model.layers=[{ kind = "linear", name = "fc1", outputs = 12 }, { kind = "tanh" }, { kind = "linear", name = "fc2", outputs = 10 }]"#;
    let short = [
        "train.epochs=2",
        "train.optimiser=sgd",
        "train.learning_rate=0.1",
        "train.batch=40",
        layers,
        trained.as_str(),
    ];
    job.done("train", "none.zarr", &short);
    let rows = weights(&by_class("y_test.npy"), |_| 1.0, true);
    let ensemble = r#"model.weights=["model.safetensors", "checkpoint.safetensors"]"#;
    let magic = [&short[..], &["method={ name = \"magic\" }"]].concat();
    let source = [&short[..], &["method={ name = \"source\", segments = 1 }"]].concat();
    let columns = job.labels("train", "");
    for (name, keys, both) in [
        ("ensemble", &[GAUSS_NEWTON, ensemble][..], true),
        ("sweep", &[GAUSS_NEWTON, "method.sweep=[0.04, 1.0]"], true),
        ("source", &source, true),
        ("magic", &magic, false),
    ] {
        let whole = job.run(keys);
        let expected = summed(&whole, 0, &rows);
        let got = job.run(&[keys, &["data.test.group=class"]].concat());
        assert!(difference(&got, &expected) < 1e-10, "{name}");
        if both {
            let expected = summed(&whole, 1, &weights(&by_label(120), |_| 1.0, false));
            let got = job.run(&[keys, &[columns.as_str()]].concat());
            assert!(difference(&got, &expected) < 1e-10, "{name}");
        }
    }
    let keys = [&magic[..], &[columns.as_str()]].concat();
    job.refused(
        "run",
        "no.zarr",
        &keys,
        "data.train.group: magic gives whole rows",
    );
}

#[test]
fn an_output_of_groups_is_resumed_shared_verified_and_read() {
    let job = Job::new();
    let labels = job.labels("test", "");
    let keys = [
        "method.name=cg",
        GAUSS_NEWTON,
        "compute.test_chunk=2",
        labels.as_str(),
    ];
    let said = job.done("run", "a.zarr", &keys);
    assert!(
        said.contains("influences of 120 training points on 3 groups of 30 test points"),
        "{said}"
    );
    // Another grouping is another output.
    for other in ["data.test.group=class", "data.test.group=mean"] {
        let other = [&keys[..], &[other]].concat();
        job.refused("run --resume", "a.zarr", &other, "was written with");
    }
    fs::write(
        job.path("other.txt"),
        fs::read(job.path("test.txt")).expect("read"),
    )
    .expect("written");
    let moved = format!("data.test.group={{ by = {:?} }}", job.path("other.txt"));
    fs::write(job.path("other.txt"), "x\n".repeat(30)).expect("written");
    let other = [&keys[..], &[moved.as_str()]].concat();
    job.refused("run --resume", "a.zarr", &other, "digests.test.group.by");
    job.done("run --resume", "a.zarr", &keys);

    job.done("declare", "b.zarr", &keys);
    job.done("run --share 1/2", "b.zarr", &keys);
    job.done("run --share 0/2", "b.zarr", &keys);
    job.done("finish", "b.zarr", &keys);
    assert!(
        files(&job.path("a.zarr")) == files(&job.path("b.zarr")),
        "the bytes of shares"
    );
    let said = job.told("verify", "a.zarr", &[]);
    assert!(said.contains(" 0 numbers differ"), "{said}");

    let listing = job.told("top", "a.zarr", &["--count", "1", "--format", "csv"]);
    let row = listing
        .lines()
        .find(|line| line.contains(",alone,"))
        .expect("a row");
    assert!(row.starts_with("0,alone,,,"), "{listing}");
    let table = job.told("top", "a.zarr", &["--points", "web"]);
    assert!(
        table.contains("test group") && table.contains("web"),
        "{table}"
    );
    assert!(!table.contains("books"), "{table}");
    job.told("report", "a.zarr", &[]);
    let page = fs::read_to_string(job.path("a.html")).expect("a page");
    for text in [
        "test group alone",
        "test group books",
        "3 groups of",
        "counts as one",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let facts = job.told("inspect", "a.zarr", &[]);
    assert!(
        facts.contains("\"label\"") || facts.contains("label"),
        "{facts}"
    );
}

#[test]
fn sources_are_columns_with_names_whose_changes_are_those_of_all_their_points() {
    let job = Job::new();
    let labels = job.labels("train", "");
    let keys = [GAUSS_NEWTON, "data.test.group=mean", labels.as_str()];
    job.done("run", "a.zarr", &keys);
    let influences = job.read("a.zarr");
    assert_eq!(influences.shape(), [1, 3]);
    let listing = job.told("top", "a.zarr", &["--format", "csv"]);
    let record = |name: &str| -> Vec<f64> {
        let line = listing
            .lines()
            .find(|line| line.contains(&format!(",{name},")));
        let cells = line
            .unwrap_or_else(|| panic!("{listing}"))
            .split(',')
            .rev()
            .take(2);
        let numbers: Vec<f64> = cells.map(|cell| cell.parse().expect("a number")).collect();
        numbers
    };
    for (column, name) in LABELS.iter().enumerate() {
        let [change, influence] = record(name)[..] else {
            panic!("two numbers")
        };
        assert!((influence - influences[[0, column]]).abs() < 1e-6 * influence.abs());
        assert!((change - influence / 120.0).abs() < 1e-6 * change.abs());
    }
    let table = job.told("top", "a.zarr", &[]);
    assert!(
        table.contains("training group, change of the loss on the test group"),
        "{table}"
    );
    job.told("report", "a.zarr", &[]);
    let page = fs::read_to_string(job.path("a.html")).expect("a page");
    assert!(page.contains("if the training group is left out"));
    let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
    let refused = binary.arg("mislabelled").arg(job.path("a.zarr"));
    let refused = refused.output().expect("the binary runs");
    assert!(
        said(&refused).contains("groups of training points"),
        "{}",
        said(&refused)
    );
}

#[test]
fn plans_say_how_many_are_solved_and_what_cannot_be_grouped_is_refused() {
    let job = Job::new();
    let planned = job.done("plan", "no.zarr", &["data.test.group=mean"]);
    for text in ["1 group of 30 test points", "1 right-hand side,"] {
        assert!(planned.contains(text), "{planned}");
    }
    let rehearsed = job.done("run --dry-run", "no.zarr", &["data.test.group=class"]);
    assert!(rehearsed.contains("right-hand sides"), "{rehearsed}");
    let labels = job.labels("train", "");
    let short = "data.test.group={ by = \"y_train.npy\" }";
    for (keys, expected) in [
        (
            &["data.test.group=median"][..],
            "expected \"mean\", \"sum\", \"class\" or a table",
        ),
        (&["data.test.group.kind=class"], "kind"),
        (
            &[short],
            "expected 30 labels, one for each row of the data, got 120",
        ),
        (
            &[labels.as_str(), "compute.mode=perturbation", GAUSS_NEWTON],
            "data.train.group: the mode perturbation",
        ),
        (
            &[labels.as_str(), "method.leverage=true", GAUSS_NEWTON],
            "data.train.group: with method.leverage",
        ),
    ] {
        job.refused("run", "no.zarr", keys, expected);
    }
    assert!(!job.path("no.zarr").exists());
}

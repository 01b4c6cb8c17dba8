//! Splits, subsets, scales, names and folders of images, against plain arrays with the same
//! content.

#[path = "support/files.rs"]
mod files;
#[path = "support/npy.rs"]
mod npy;
#[path = "support/program.rs"]
mod program;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use files::files;
use serde_json::Value;
use zarrs::{array::Array, filesystem::FilesystemStore};

const PIXELS: usize = 64;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The first `count` digits: pixels of 0 to 16, and classes.
fn digits(count: usize) -> (Vec<u8>, Vec<u8>) {
    let read = |name: &str| -> Vec<u8> {
        let file =
            fs::read(root().join("crates/cli/data/digits").join(name)).expect("the data ship");
        let array = npyz::NpyFile::new(&file[..]).expect("a numpy array");
        array.into_vec().expect("bytes")
    };
    let (images, labels) = (read("images.npy"), read("labels.npy"));
    (images[..count * PIXELS].to_vec(), labels[..count].to_vec())
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// A configuration of the trained network of the golden case, with the given data.
    fn new(data: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let weights = root().join("tests/golden/cli/mlp/model.safetensors");
        let config = format!(
            r#"
[model]
weights = "{}"
loss = "cross-entropy"
layers = [{{ kind = "flatten" }}, {{ kind = "linear", name = "fc1" }}, {{ kind = "tanh" }}, {{ kind = "linear", name = "fc2" }}]
[data]
{data}
[method]
curvature = "gauss-newton"
damping = 0.1
[compute]
train_chunk = 16
test_chunk = 8
"#,
            weights.display()
        );
        fs::write(folder.path("config.toml"), config).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn images(&self, name: &str, pixels: &[u8]) {
        let count = (pixels.len() / PIXELS) as u64;
        npy::write(&self.path(name), pixels, &[count, 8, 8]);
    }

    fn labels(&self, name: &str, labels: &[u8]) {
        npy::write(&self.path(name), labels, &[labels.len() as u64]);
    }

    fn influence(&self, arguments: &[&str]) -> String {
        program::influence(self.0.path(), arguments)
    }

    /// The error message.
    fn refused(&self, arguments: &[&str]) -> String {
        let outcome = program::outcome(self.0.path(), arguments);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&outcome.stderr).into_owned()
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("config.toml")).expect("written")
    }

    /// The bytes of all chunks of influences.
    fn run(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.influence(&["run", "config.toml", "--overwrite"]);
        files(&self.path("influences.zarr/influences/c"))
    }

    fn coordinate(&self, name: &str) -> Vec<String> {
        let store = FilesystemStore::new(self.path("influences.zarr")).expect("a store");
        let array = Array::open(Arc::new(store), &format!("/{name}")).expect("it is there");
        let all = array.subset_all();
        match array.retrieve_array_subset::<Vec<i64>>(&all) {
            Ok(numbers) => numbers.iter().map(ToString::to_string).collect(),
            Err(_) => array.retrieve_array_subset(&all).expect("texts"),
        }
    }
}

/// Some rows of the digits.
fn rows(pixels: &[u8], labels: &[u8], rows: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let image = |&row: &usize| pixels[row * PIXELS..(row + 1) * PIXELS].to_vec();
    (
        rows.iter().flat_map(image).collect(),
        rows.iter().map(|&row| labels[row]).collect(),
    )
}

/// Training and test points in separate files.
const APART: &str = r#"
train = { inputs = "x_train.npy", targets = "y_train.npy" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }
"#;

#[test]
fn a_split_gives_the_influences_of_the_points_that_its_coordinates_name() {
    let (pixels, labels) = digits(60);
    let split = Folder::new(
        "all = { inputs = \"x.npy\", targets = \"y.npy\" }\nsplit = { test = 0.25, seed = 3 }",
    );
    split.images("x.npy", &pixels);
    split.labels("y.npy", &labels);
    let together = split.run();
    let sides = ["train", "test"].map(|side| {
        let rows = split.coordinate(side).into_iter();
        let rows = rows.map(|row| row.parse::<usize>().expect("a row"));
        (side, rows.collect::<Vec<_>>())
    });
    assert_eq!((sides[0].1.len(), sides[1].1.len()), (45, 15));
    let apart = Folder::new(APART);
    for (side, chosen) in &sides {
        let (pixels, labels) = rows(&pixels, &labels, chosen);
        apart.images(&format!("x_{side}.npy"), &pixels);
        apart.labels(&format!("y_{side}.npy"), &labels);
    }
    assert_eq!(apart.run(), together);
    // Another seed gives another result, and is not mistaken for the same.
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command.current_dir(split.0.path());
    let other = [
        "run",
        "config.toml",
        "--resume",
        "--set",
        "data.split.seed=4",
    ];
    let outcome = command.args(other).output().expect("it runs");
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("split"), "{complaint}");
}

#[test]
fn subsets_and_scales_are_those_of_arrays_that_are_cut_and_scaled() {
    let (pixels, labels) = digits(40);
    let chosen: Vec<usize> = (0..30).rev().step_by(2).collect();
    let data = r#"
train = { inputs = "x.npy", targets = "y.npy", subset = "rows.txt" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }
scale = { subtract = 8, divide = 16 }
"#;
    let said = Folder::new(data);
    let done = Folder::new(APART);
    said.images("x.npy", &pixels);
    said.labels("y.npy", &labels);
    let lines: Vec<String> = chosen.iter().map(ToString::to_string).collect();
    fs::write(said.path("rows.txt"), lines.join("\n")).expect("written");
    let (test_pixels, test_labels) = rows(&pixels, &labels, &(30..40).collect::<Vec<_>>());
    said.images("x_test.npy", &test_pixels);
    said.labels("y_test.npy", &test_labels);

    let (train_pixels, train_labels) = rows(&pixels, &labels, &chosen);
    for (side, pixels, labels) in [
        ("train", train_pixels, train_labels),
        ("test", test_pixels, test_labels),
    ] {
        let count = labels.len() as u64;
        let scaled: Vec<f32> = pixels
            .iter()
            .map(|&pixel| (f32::from(pixel) - 8.0) / 16.0)
            .collect();
        npy::write(
            &done.path(&format!("x_{side}.npy")),
            &scaled,
            &[count, 8, 8],
        );
        done.labels(&format!("y_{side}.npy"), &labels);
    }
    assert_eq!(said.run(), done.run());
    assert_eq!(said.coordinate("train"), lines);
    // Without the scale the numbers differ: the comparison does depend on it.
    said.influence(&[
        "run",
        "config.toml",
        "--overwrite",
        "--set",
        "data.scale={ divide = 1 }",
    ]);
    assert_ne!(
        files(&said.path("influences.zarr/influences/c")),
        done.run()
    );
}

#[test]
fn a_folder_of_images_is_an_array_with_names() {
    let (pixels, labels) = digits(40);
    let images = Folder::new(
        "train = { inputs = \"train/\", targets = \"train/#class\" }\n\
         test = { inputs = \"test/\", targets = \"test/#class\" }",
    );
    let arrays = Folder::new(APART);
    let named = |digit: u8| format!("digit-{digit}");
    for (side, range) in [("train", 0..30), ("test", 20..40)] {
        let mut chosen: Vec<usize> = range.collect();
        chosen.sort_by_key(|&row| (labels[row], row));
        for &row in &chosen {
            let folder = images.path(side).join(named(labels[row]));
            fs::create_dir_all(&folder).expect("made");
            let image = pixels[row * PIXELS..(row + 1) * PIXELS].to_vec();
            let image = image::GrayImage::from_raw(8, 8, image).expect("64 pixels");
            image
                .save(folder.join(format!("{row:02}.png")))
                .expect("saved");
        }
        let (pixels, labels) = rows(&pixels, &labels, &chosen);
        arrays.images(&format!("x_{side}.npy"), &pixels);
        arrays.labels(&format!("y_{side}.npy"), &labels);
    }
    assert_eq!(images.run(), arrays.run());
    // A configuration is proposed from the folder alone.
    images.influence(&["init", "--all", "train/", "train/#class", "proposed.toml"]);
    let said = images.influence(&["train", "proposed.toml"]);
    assert!(said.contains("24 training"), "{said}");
    let names = images.coordinate("train");
    assert_eq!(names.len(), 30);
    assert_eq!(names[0], "digit-0/00.png");
    let asked = &images.coordinate("test")[0];
    let top = [
        "top",
        "influences.zarr",
        "--format",
        "json",
        "--points",
        asked,
    ];
    let top = images.influence(&top);
    let top: Value = serde_json::from_str(&top).expect("JSON");
    assert_eq!(top[0]["target"], "digit-0");
    assert_eq!(top[0]["test_id"], images.coordinate("test")[0].as_str());
    let train = top[0]["train"]
        .as_u64()
        .and_then(|train| usize::try_from(train).ok());
    let train = train.expect("a number");
    assert_eq!(top[0]["train_id"], names[train].as_str());
    assert!(names[train].starts_with(top[0]["train_target"].as_str().expect("a name")));
}

/// Writes digits as images in a folder for each class, and returns pixels and labels in the order
/// in which they are read.
fn in_folders(
    folder: &Folder,
    side: &str,
    (pixels, labels): (&[u8], &[u8]),
    keep: impl Fn(usize) -> bool,
) -> (Vec<u8>, Vec<u8>) {
    let mut chosen: Vec<usize> = (0..labels.len()).filter(|&row| keep(row)).collect();
    chosen.sort_by_key(|&row| (labels[row], row));
    for &row in &chosen {
        let class = folder.path(side).join(format!("digit-{}", labels[row]));
        fs::create_dir_all(&class).expect("made");
        let image = pixels[row * PIXELS..(row + 1) * PIXELS].to_vec();
        let image = image::GrayImage::from_raw(8, 8, image).expect("64 pixels");
        let file = class.join(format!("{row:02}.png"));
        image.save(file).expect("saved");
    }
    rows(pixels, labels, &chosen)
}

const FOLDERS: &str = "train = { inputs = \"train/\", targets = \"train/#class\" }\n\
     test = { inputs = \"test/\", targets = \"test/#class\" }\n";

/// A configuration that lists all ten classes.
fn listed() -> String {
    let names: Vec<String> = (0..10).map(|class| format!("\"digit-{class}\"")).collect();
    format!("{FOLDERS}classes = [{}]\n", names.join(", "))
}

#[test]
fn classes_have_the_numbers_of_the_training_points_on_every_side() {
    let (pixels, labels) = digits(60);
    let (images, arrays) = (Folder::new(FOLDERS), Folder::new(APART));
    let all = (&pixels[..], &labels[..]);
    let train = in_folders(&images, "train", all, |row| row < 40);
    // The first classes are missing: without `classes` the others would be renumbered.
    let test = in_folders(&images, "test", all, |row| row >= 40 && labels[row] > 3);
    assert!(test.1.contains(&8) && !test.1.contains(&0));
    for (side, (pixels, labels)) in [("train", &train), ("test", &test)] {
        arrays.images(&format!("x_{side}.npy"), pixels);
        arrays.labels(&format!("y_{side}.npy"), labels);
    }
    let expected = arrays.run();
    // Hidden folders are not classes, on either side.
    for hidden in ["train/.ipynb_checkpoints", "test/__MACOSX", "test/.hidden"] {
        let hidden = images.path(hidden);
        fs::create_dir(&hidden).expect("made");
        let image = image::GrayImage::new(8, 8);
        image.save(hidden.join("a.png")).expect("saved");
    }
    assert_eq!(images.run(), expected);
    let asked = &images.coordinate("test")[0];
    let asked = [
        "top",
        "influences.zarr",
        "--format",
        "json",
        "--points",
        asked,
    ];
    let top: Value = serde_json::from_str(&images.influence(&asked)).expect("JSON");
    assert_eq!(top[0]["target"], "digit-4");
    assert!(images.coordinate("test")[0].starts_with("digit-4/"));
    // A list gives the same, and the names of true labels are numbered like those of training
    // points.
    fs::write(
        images.path("listed.toml"),
        images.config().replace(FOLDERS, &listed()),
    )
    .expect("written");
    let warned = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let outcome = command
            .current_dir(images.0.path())
            .args(["plan", config, "--overwrite"])
            .output();
        String::from_utf8_lossy(&outcome.expect("it runs").stderr).into_owned()
    };
    let order = "classes are numbered in the order of their names: digit-0, digit-1";
    assert!(warned("config.toml").contains(order));
    assert!(!warned("listed.toml").contains(order));
    images.influence(&["run", "listed.toml", "--overwrite"]);
    assert_eq!(
        files(&images.path("influences.zarr/influences/c")),
        expected
    );
    let found = images.influence(&["mislabelled", "influences.zarr", "--truth", "train/#class"]);
    assert!(
        found.contains("0 of 40 training points are mislabelled"),
        "{found}"
    );
    // A class that no training point has is refused.
    fs::rename(images.path("test/digit-4"), images.path("test/four")).expect("renamed");
    let said = images.refused(&["run", "config.toml", "--overwrite"]);
    let expected = "has the class `four`, expected one of data.train: digit-0, digit-1";
    assert!(
        said.contains("data.test") && said.contains(expected),
        "{said}"
    );
    let said = images.refused(&["run", "listed.toml", "--overwrite"]);
    assert!(
        said.contains("`four`, expected one of data.classes"),
        "{said}"
    );
}

#[test]
fn a_model_of_other_classes_than_the_training_points_needs_a_list() {
    let (pixels, labels) = digits(40);
    let images = Folder::new(FOLDERS);
    let all = (&pixels[..], &labels[..]);
    let train = in_folders(&images, "train", all, |row| labels[row] > 2);
    let test = in_folders(&images, "test", all, |row| labels[row] > 5);
    let said = images.refused(&["run", "config.toml"]);
    assert!(
        said.contains("the model has 10 outputs, expected one for each of the 7 classes: digit-3"),
        "{said}"
    );
    assert!(said.contains("data.classes"), "{said}");
    let arrays = Folder::new(APART);
    for (side, (pixels, labels)) in [("train", &train), ("test", &test)] {
        arrays.images(&format!("x_{side}.npy"), pixels);
        arrays.labels(&format!("y_{side}.npy"), labels);
    }
    fs::write(
        images.path("config.toml"),
        images.config().replace(FOLDERS, &listed()),
    )
    .expect("written");
    assert_eq!(images.run(), arrays.run());
    // Names on one side and numbers on the other have no order.
    let mixed = images.config().replace(&listed(), FOLDERS);
    arrays.labels("y_train.npy", &train.1);
    let numbers = arrays.path("y_train.npy").display().to_string();
    fs::write(images.path("config.toml"), mixed).expect("written");
    let setting = format!("data.train.targets={numbers}");
    let said = images.refused(&["run", "config.toml", "--overwrite", "--set", &setting]);
    assert!(
        said.contains("the classes have names here (digit-6"),
        "{said}"
    );
    let said = images.refused(&[
        "run",
        "config.toml",
        "--overwrite",
        "--set",
        "model.loss=mse",
    ]);
    assert!(
        said.contains("targets of mse are numbers, got names of classes: digit-3"),
        "{said}"
    );
}

#[test]
fn init_says_what_it_found_and_the_order_of_classes() {
    let (pixels, labels) = digits(40);
    let images = Folder::new(FOLDERS);
    let all = (&pixels[..], &labels[..]);
    in_folders(&images, "train", all, |_| true);
    in_folders(&images, "test", all, |row| labels[row] == 7);
    fs::write(images.path("train/digit-3/notes.txt"), "").expect("written");
    fs::write(images.path("train/Thumbs.db"), "").expect("written");
    let sides = [
        "--train",
        "train/",
        "train/#class",
        "--test",
        "test/",
        "test/#class",
        "new.toml",
    ];
    let said = images.influence(&[&["init"][..], &sides].concat());
    assert!(said.contains("train/: 40 images of 10 classes"), "{said}");
    assert!(
        said.contains(
            "1 file or folder that is not an image, or is hidden, was left out: digit-3/notes.txt"
        ),
        "{said}"
    );
    assert!(said.contains("of 1 class\n"), "{said}");
    let text = fs::read_to_string(images.path("new.toml")).expect("written");
    assert!(
        text.contains("classes = [\"digit-0\", \"digit-1\", "),
        "{text}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let outcome = command
        .current_dir(images.0.path())
        .args(["train", "new.toml"])
        .output();
    let complaint = outcome.expect("it runs").stderr;
    let complaint = String::from_utf8_lossy(&complaint);
    assert!(
        complaint.contains("warning: ") && complaint.contains("notes.txt"),
        "{complaint}"
    );
    fs::rename(images.path("test/digit-7"), images.path("test/seven")).expect("renamed");
    let said = images.refused(&[&["init"][..], &sides[..6], &["other.toml"]].concat());
    assert!(
        said.contains("--test") && said.contains("`seven`"),
        "{said}"
    );
}

#[test]
fn names_of_classes_and_points_are_told() {
    let (pixels, labels) = digits(30);
    let data = r#"
train = { inputs = "x.npy", targets = "y.npy", ids = "ids.csv#name" }
test = { inputs = "x.npy", targets = "y.npy", subset = "few.txt", ids = "ids.csv#name" }
classes = "classes.txt"
"#;
    let folder = Folder::new(data);
    folder.images("x.npy", &pixels);
    folder.labels("y.npy", &labels);
    let names: Vec<String> = (0..30).map(|row| format!("scan-{row}")).collect();
    let table = [&["name".to_owned()], &names[..]].concat();
    fs::write(folder.path("ids.csv"), table.join(",1\n") + ",1").expect("written");
    fs::write(folder.path("few.txt"), "7\n11\n").expect("written");
    let classes: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    fs::write(folder.path("classes.txt"), classes.join("\n")).expect("written");
    folder.run();
    assert_eq!(folder.coordinate("test"), ["scan-7", "scan-11"]);
    assert_eq!(folder.coordinate("train"), names);
    let csv = folder.influence(&["mislabelled", "influences.zarr", "--format", "csv"]);
    let record = csv.lines().nth(1).expect("a record");
    assert!(
        record.contains("scan-") && record.contains("class "),
        "{csv}"
    );
    let table = folder.influence(&["top", "influences.zarr"]);
    assert!(
        table.contains("scan-7") && table.contains("class "),
        "{table}"
    );
    // Points are named as they are listed.
    let asked = ["top", "influences.zarr", "--points"];
    let csv = folder.influence(&[&asked[..], &["scan-11", "--format", "csv"]].concat());
    assert!(
        csv.lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("1,scan-11,")),
        "{csv}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let command = command.current_dir(folder.0.path()).args(asked).arg("11");
    let refused = command.output().expect("the binary runs");
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        complaint.contains("no test point is called `11`; they have ids, such as `scan-7`"),
        "{complaint}"
    );
    folder.influence(&["report", "influences.zarr"]);
    let page = fs::read_to_string(folder.path("influences.html")).expect("written");
    assert!(
        page.contains("scan-11") && page.contains("class "),
        "names are on the page"
    );
}

/// Selects a column by the name of its training point; ends with code 3 where xarray is not
/// installed.
const SELECT: &str = r#"
import sys
try:
    import numpy, xarray, zarr
except ModuleNotFoundError as error:
    print(f"skipped: {error.name} is missing")
    sys.exit(3)
data = xarray.open_zarr("influences.zarr", chunks=None)
column = data.influences.sel(train="scan-2")
assert numpy.array_equal(column.values, data.influences.values[:, 2]), column
assert list(data.train.values) == ["scan-0", "scan-1", "scan-2", "scan-3"], data.train
"#;

#[test]
fn python_selects_points_by_name() {
    let (pixels, labels) = digits(4);
    let folder = Folder::new(
        "train = { inputs = \"x.npy\", targets = \"y.npy\", ids = \"ids.txt\" }\n\
         test = { inputs = \"x.npy\", targets = \"y.npy\" }",
    );
    folder.images("x.npy", &pixels);
    folder.labels("y.npy", &labels);
    fs::write(folder.path("ids.txt"), "scan-0\nscan-1\nscan-2\nscan-3").expect("written");
    folder.run();
    let python = std::env::var("INFLUENCE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(&python);
    let outcome = command
        .current_dir(folder.0.path())
        .args(["-c", SELECT])
        .output();
    let said = match &outcome {
        Err(error) => format!("skipped: {python} cannot be run ({error})"),
        Ok(outcome) => {
            let complaint = String::from_utf8_lossy(&outcome.stderr);
            let code = outcome.status.code();
            assert!(matches!(code, Some(0 | 3)), "{complaint}");
            String::from_utf8_lossy(&outcome.stdout).into_owned()
        }
    };
    // Past the test harness, which hides the output of passing tests.
    std::io::stderr().write_all(said.as_bytes()).expect("open");
}

#[test]
fn self_influences_need_no_test_points() {
    let (pixels, labels) = digits(40);
    let train = "train = { inputs = \"x.npy\", targets = \"y.npy\" }";
    let computed = |data: &str| {
        let folder = Folder::new(data);
        folder.images("x.npy", &pixels);
        folder.labels("y.npy", &labels);
        folder.images("xt.npy", &pixels[..8 * PIXELS]);
        folder.labels("yt.npy", &labels[..8]);
        folder.influence(&["self", "config.toml", "--set", "output.path=self.zarr"]);
        let bytes = files(&folder.path("self.zarr/self_influences/c"));
        (folder, bytes)
    };
    let test = "test = { inputs = \"xt.npy\", targets = \"yt.npy\" }";
    let (_, with) = computed(&format!("{train}\n{test}"));
    let (folder, without) = computed(train);
    assert!(!without.is_empty() && with == without);

    let ranked = folder.influence(&["mislabelled", "self.zarr", "--format", "json"]);
    let ranked: Value = serde_json::from_str(&ranked).expect("a list");
    let labelled = |row: &Value| {
        let point = row["train"]
            .as_u64()
            .and_then(|point| usize::try_from(point).ok());
        row["label"] == labels[point.expect("a number")]
    };
    assert!(
        ranked.as_array().expect("a list").iter().all(labelled),
        "{ranked}"
    );
    let by_self = [
        "mislabelled",
        "self.zarr",
        "--by",
        "self",
        "--show",
        "7",
        "--format",
        "json",
    ];
    let by_self: Value = serde_json::from_str(&folder.influence(&by_self)).expect("a list");
    let top = folder.influence(&["top", "self.zarr", "-k", "7", "--format", "json"]);
    let top: Value = serde_json::from_str(&top).expect("a list");
    let points = |rows: &Value| -> Vec<Value> {
        let rows = rows.as_array().expect("a list").iter();
        rows.map(|row| row["train"].clone()).collect()
    };
    assert_eq!((points(&top).len(), points(&top)), (7, points(&by_self)));
    for row in top.as_array().expect("a list") {
        let point = row["train"]
            .as_u64()
            .and_then(|point| usize::try_from(point).ok());
        assert_eq!(row["target"], labels[point.expect("a number")]);
        assert!(
            row["predicted"].as_u64().is_some_and(|class| class < 10),
            "{row}"
        );
    }
    folder.influence(&["verify", "self.zarr"]);
    folder.influence(&["inspect", "self.zarr"]);
    folder.influence(&["fit", "config.toml", "--fitted", "fit.safetensors"]);
    let dry = folder.influence(&["self", "config.toml", "--dry-run"]);
    assert!(
        dry.contains("self-influences of 40 training points"),
        "{dry}"
    );
    for command in [
        &["run"][..],
        &["plan"],
        &["sweep", "--damping", "1"],
        &["declare"],
        &["declare", "--dry-run"],
    ] {
        let mut influence = Command::new(env!("CARGO_BIN_EXE_influence"));
        influence
            .current_dir(folder.path(""))
            .args(command)
            .arg("config.toml");
        let outcome = influence.output().expect("the binary runs");
        let complaint = String::from_utf8_lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(2), "{command:?}: {complaint}");
        let expected = "data.test is missing: it names the points on which influences are computed";
        assert!(complaint.contains(expected), "{complaint}");
        assert!(
            complaint.contains("`influence self` does not need it"),
            "{complaint}"
        );
        assert!(!folder.path("influences.zarr").exists());
    }
}

//! Whatever is wrong with a configuration or its files: exit code 2, one message that names it, and nothing written.

#[path = "support/npy.rs"]
mod npy;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use npyz::{AutoSerialize, Serialize};
use safetensors::{Dtype, serialize, tensor::TensorView};
use zarrs::{
    array::{ArrayBuilder, codec::Crc32cCodec, data_type},
    filesystem::FilesystemStore,
    group::GroupBuilder,
};

const CONFIG: &str = r#"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [{ kind = "linear", name = "fc1" }, { kind = "tanh" }, { kind = "linear", name = "fc2" }]
[data]
train = { inputs = "x_train.npy", targets = "y_train.npy" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }
[method]
damping = 0.1
[compute]
threads = 1
"#;

/// A folder with a valid run of 4 inputs, 3 hidden units, 2 classes, 6 training and 2 test points.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        fs::write(folder.path("config.toml"), CONFIG).expect("written");
        folder.weights(
            &[
                ("fc1.weight", &[3, 4]),
                ("fc1.bias", &[3]),
                ("fc2.weight", &[2, 3]),
            ],
            0.5,
        );
        folder.array("x_train.npy", &[0.5_f32; 24], &[6, 4]);
        folder.array("y_train.npy", &[0_u8, 1, 0, 1, 0, 1], &[6]);
        folder.array("x_test.npy", &[0.25_f64; 8], &[2, 4]);
        folder.array("y_test.npy", &[1_i32, 0], &[2]);
        folder
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn array<T: Serialize + AutoSerialize + Copy>(&self, name: &str, values: &[T], shape: &[u64]) {
        npy::write(&self.path(name), values, shape);
    }

    fn weights(&self, shapes: &[(&str, &[usize])], value: f32) {
        self.tensors("model.safetensors", shapes, value);
    }

    fn tensors(&self, file: &str, shapes: &[(&str, &[usize])], value: f32) {
        let bytes: Vec<Vec<u8>> = shapes
            .iter()
            .map(|(_, shape)| value.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = shapes.iter().zip(&bytes).map(|((name, shape), bytes)| {
            (
                *name,
                TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("bytes fit the shape"),
            )
        });
        fs::write(self.path(file), serialize(views, None).expect("serialised")).expect("written");
    }

    /// A zarr group with the inputs of training as its array `x`, two chunks with checksums.
    fn zarr(&self) {
        let store = Arc::new(FilesystemStore::new(self.path("data.zarr")).expect("a store"));
        let group = GroupBuilder::new()
            .build(store.clone(), "/")
            .expect("a group");
        group.store_metadata().expect("written");
        let array = ArrayBuilder::new(vec![6, 4], vec![3, 4], data_type::float32(), 0.0_f32)
            .bytes_to_bytes_codecs(vec![Arc::new(Crc32cCodec::new())])
            .build(store, "/x")
            .expect("an array");
        array.store_metadata().expect("written");
        let whole = array.subset_all();
        array
            .store_array_subset(&whole, vec![0.5_f32; 24])
            .expect("written");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        command
            .current_dir(self.0.path())
            .arg("run")
            .arg("config.toml")
            .args(arguments)
            .output()
            .expect("the binary runs")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

/// What is wrong, the arguments of the run, and what the message must say.
type Case<'a> = (&'a dyn Fn(&Folder), &'a [&'a str], &'a [&'a str]);

const NOTHING: &dyn Fn(&Folder) = &|_| {};

fn check(cases: &[Case<'_>]) {
    for (spoil, arguments, parts) in cases {
        let folder = Folder::new();
        spoil(&folder);
        let before = folder.names();
        let output = folder.run(arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.starts_with("error: ") && output.stdout.is_empty(),
            "{message}"
        );
        for part in *parts {
            assert!(
                message.contains(part),
                "{arguments:?}: `{}` lacks `{part}`",
                message.trim()
            );
        }
        assert_eq!(folder.names(), before, "{arguments:?} wrote something");
    }
}

/// Inputs of training points in a file of this name and these bytes.
fn inputs(name: &'static str, bytes: &'static [u8]) -> impl Fn(&Folder) {
    move |folder| fs::write(folder.path(name), bytes).expect("written")
}

#[test]
fn data_of_other_formats_that_do_not_fit_are_named() {
    check(&[
        (
            &inputs("x.csv", b"a,b,c,d\n1,2,3,4\n1,2,three,4\n"),
            &["--set", "data.train.inputs=x.csv"],
            &["x.csv", "row 1, column `c`", "`three`"],
        ),
        (
            &inputs("x.csv", b"a,b\n1,2\n"),
            &["--set", "data.train.inputs=x.csv#e"],
            &["x.csv", "no column `e`", "a, b"],
        ),
        (
            &inputs("x.csv", b"a,b\n1,2\n1\n"),
            &["--set", "data.train.inputs=x.csv"],
            &["x.csv", "2 fields"],
        ),
        (
            &inputs("x.csv", b"\xff\xfe,1\n"),
            &["--set", "data.train.inputs=x.csv"],
            &["x.csv", "UTF-8"],
        ),
        (
            &inputs("x.csv", b""),
            &["--set", "data.train.inputs=x.csv"],
            &["x.csv", "empty"],
        ),
        (
            &inputs("x.npz", b"PK\x03\x04 cut short"),
            &["--set", "data.train.inputs=x.npz"],
            &["x.npz", "no .npz archive"],
        ),
        (
            &inputs("x.parquet", b"PAR1 and no more"),
            &["--set", "data.train.inputs=x.parquet"],
            &["x.parquet", "not a Parquet file"],
        ),
        (
            &inputs("x.idx", &[0, 0, 0x08, 1, 0, 0, 0, 6, 1, 2, 3]),
            &["--set", "data.train.inputs=x.idx"],
            &["x.idx", "expected 6 bytes", "got 3"],
        ),
        (
            &inputs("x.idx", &[0, 0, 0x0a, 1, 0, 0, 0, 1, 1]),
            &["--set", "data.train.inputs=x.idx"],
            &["x.idx", "no type of number 0x0a"],
        ),
        (
            &inputs(
                "x.idx",
                &[
                    0, 0, 0x0e, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                    255, 255, 255,
                ],
            ),
            &["--set", "data.train.inputs=x.idx"],
            &["x.idx", "too large"],
        ),
        (
            &inputs("x.gz", &[0x1f, 0x8b, 8, 0]),
            &["--set", "data.train.inputs=x.gz"],
            &["x.gz", "cut short or damaged"],
        ),
        (
            &inputs("x.txt", b"some text"),
            &["--set", "data.train.inputs=x.txt"],
            &["x.txt", ".parquet or IDX"],
        ),
    ]);
}

#[test]
fn a_valid_run_succeeds() {
    let folder = Folder::new();
    let output = folder.run(&[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(folder.path("influences.zarr/influences").is_dir());
}

#[test]
fn settings_are_named() {
    check(&[
        (
            NOTHING,
            &["--set", "sead=1"],
            &["config.toml", "unknown field `sead`"],
        ),
        (
            NOTHING,
            &["--set", "method.dampening=1"],
            &["unknown field `dampening`"],
        ),
        (
            NOTHING,
            &["--set", "method.name=magic"],
            &["method.name", "magic", "direct"],
        ),
        (
            NOTHING,
            &["--set", "method.damping=-1"],
            &["method.damping", "-1"],
        ),
        (
            NOTHING,
            &["--set", "method.damping={ fc1 = 1 }"],
            &["method.damping", "full"],
        ),
        (
            NOTHING,
            &[
                "--set",
                "method.damping={ fc1 = 1 }",
                "--set",
                "method.blocks=layer-wise",
            ],
            &["method.damping", "fc2"],
        ),
        (
            NOTHING,
            &["--set", "method.blocks={ a = ['fc1.weight'] }"],
            &["method.blocks", "fc1.bias", "fc2.weight"],
        ),
        (
            NOTHING,
            &["--set", "method.blocks={ a = ['fc3.weight'] }"],
            &["method.blocks", "fc3.weight", "known"],
        ),
        (
            NOTHING,
            &["--set", "method.rtol=1e-3"],
            &["method.rtol", "cg"],
        ),
        (
            NOTHING,
            &["--set", "device=abacus"],
            &["device", "abacus", "cpu"],
        ),
        (
            NOTHING,
            &["--set", "compute.train_chunk=0"],
            &["compute.train_chunk"],
        ),
        (NOTHING, &["--set", "seed"], &["--set seed", "KEY=VALUE"]),
        (
            NOTHING,
            &["--set", "output.path=no/such/folder.zarr"],
            &["output.path", "no/such"],
        ),
        (
            NOTHING,
            &["--set", "output.path=ftp://host/up.zarr"],
            &["output.path", "ftp://", "s3://"],
        ),
        (
            &|folder| fs::write(folder.path("config.toml"), "seed = = 1").expect("written"),
            &[],
            &["config.toml", "line 1"],
        ),
        (
            &|folder| fs::remove_file(folder.path("config.toml")).expect("removed"),
            &[],
            &["config.toml"],
        ),
    ]);
}

#[test]
fn models_that_do_not_fit_are_named() {
    let replaced = |shapes: &'static [(&'static str, &'static [usize])]| {
        move |folder: &Folder| folder.weights(shapes, 0.5)
    };
    check(&[
        (
            &|folder| fs::remove_file(folder.path("model.safetensors")).expect("removed"),
            &[],
            &["model.weights", "model.safetensors"],
        ),
        (
            &|folder| fs::write(folder.path("model.safetensors"), "junk").expect("written"),
            &[],
            &["model.safetensors", "neither a safetensors file"],
        ),
        (
            &|folder| {
                folder.weights(
                    &[("fc1.weight", &[3, 4]), ("fc2.weight", &[2, 3])],
                    f32::NAN,
                );
            },
            &[],
            &["fc1.weight", "not finite"],
        ),
        (
            &replaced(&[("fc1.weight", &[3, 4])]),
            &[],
            &["layer 3", "fc2.weight"],
        ),
        (
            &replaced(&[("fc1.weight", &[3, 4]), ("fc2.weight", &[2, 5])]),
            &[],
            &["layer 3", "5 features", "(3)"],
        ),
        (
            &replaced(&[("fc1.weight", &[3, 4, 1]), ("fc2.weight", &[2, 3])]),
            &[],
            &["layer 1", "fc1.weight", "(3, 4, 1)"],
        ),
        (
            &replaced(&[
                ("fc1.weight", &[3, 4]),
                ("fc2.weight", &[2, 3]),
                ("fc3.weight", &[1]),
            ]),
            &[],
            &["no layer uses", "fc3.weight"],
        ),
        (
            &replaced(&[("fc1.weight", &[3, 4]), ("fc2.weight", &[1, 3])]),
            &[],
            &["model.loss", "at least 2 outputs"],
        ),
        (
            NOTHING,
            &["--set", "model.layers=[{kind='conv2d',name='fc1'}]"],
            &["layer 1", "fc1.weight", "(out, in, height, width)"],
        ),
        (
            NOTHING,
            &["--set", "model.layers=[{kind='lineal',name='fc1'}]"],
            &["model.layers", "layer 1", "lineal"],
        ),
    ]);
}

#[test]
fn data_that_do_not_fit_are_named() {
    let mut tainted = [0.5_f32; 24];
    tainted[9] = f32::INFINITY;
    check(&[
        (
            &|folder| fs::remove_file(folder.path("x_test.npy")).expect("removed"),
            &[],
            &["data.test", "x_test.npy"],
        ),
        (
            &|folder| fs::write(folder.path("x_test.npy"), "junk").expect("written"),
            &[],
            &["data.test", "x_test.npy"],
        ),
        (
            &|folder| folder.array("x_train.npy", &tainted, &[6, 4]),
            &[],
            &["data.train", "x_train.npy", "row 2", "not finite"],
        ),
        (
            &|folder| folder.array("x_train.npy", &[0.5_f32; 30], &[6, 5]),
            &[],
            &["data.test", "[4]", "[5]"],
        ),
        (
            &|folder| folder.array("y_train.npy", &[0_u8; 5], &[5]),
            &[],
            &["data.train", "y_train.npy", "6", "5"],
        ),
        (
            &|folder| folder.array("y_train.npy", &[0_u8, 1, 0, 2, 0, 1], &[6]),
            &[],
            &["y_train.npy", "row 3", "class 2"],
        ),
        (
            &|folder| folder.array("y_test.npy", &[1.0_f32, 0.0], &[2]),
            &[],
            &["y_test.npy", "integers"],
        ),
        (
            &|folder| folder.array("y_test.npy", &[1_i64, 0], &[1, 2]),
            &[],
            &["data.test", "y_test.npy"],
        ),
        (
            NOTHING,
            &["--set", "model.loss=mse"],
            &["y_train.npy", "(n, 2)"],
        ),
    ]);
}

#[test]
fn safetensors_that_do_not_fit_are_named() {
    const DATA: &[&str] = &["--set", "data.train.inputs=data.safetensors"];
    let two = |folder: &Folder| {
        folder.tensors("data.safetensors", &[("x", &[6, 4]), ("z", &[6, 4])], 0.5);
    };
    check(&[
        (
            &|folder| {
                two(folder);
                let whole = fs::read(folder.path("data.safetensors")).expect("readable");
                fs::write(folder.path("data.safetensors"), &whole[..whole.len() - 1])
                    .expect("written");
            },
            DATA,
            &[
                "data.train",
                "data.safetensors",
                "expected 192 bytes of tensors, got 191",
            ],
        ),
        (
            &|folder| fs::write(folder.path("data.safetensors"), "junk").expect("written"),
            DATA,
            &[
                "data.train",
                "data.safetensors",
                "expected at least 8 bytes, got 4",
            ],
        ),
        (
            &two,
            DATA,
            &["data.safetensors", "must be named", "it has x, z"],
        ),
        (
            &two,
            &["--set", "data.train.inputs=data.safetensors#y"],
            &["data.safetensors", "no tensor `y`; it has x, z"],
        ),
    ]);
}

/// Changes a bit of the second chunk.
fn flip(array: &Path) {
    let mut bytes = fs::read(array.join("c/1/0")).expect("readable");
    bytes[5] ^= 1;
    fs::write(array.join("c/1/0"), bytes).expect("written");
}

#[test]
fn zarr_arrays_that_do_not_fit_are_named() {
    const DATA: &[&str] = &["--set", "data.train.inputs=data.zarr/x"];
    let group: &[&str] = &["--set", "data.train.inputs=data.zarr"];
    let spoilt = |spoil: &'static dyn Fn(&Path)| {
        move |folder: &Folder| {
            folder.zarr();
            spoil(&folder.path("data.zarr/x"));
        }
    };
    check(&[
        (
            &Folder::zarr,
            group,
            &[
                "data.train",
                "data.zarr holds a zarr group; name an array in it, it has x",
            ],
        ),
        (
            &spoilt(&flip),
            DATA,
            &[
                "data.train",
                "could not read samples in",
                "data.zarr/x",
                "checksum",
            ],
        ),
        (
            &spoilt(&|array| fs::remove_file(array.join("zarr.json")).expect("removed")),
            DATA,
            &["data.train", "data.zarr/x", "neither zarr.json nor .zarray"],
        ),
        (
            &spoilt(&|array| fs::write(array.join("zarr.json"), "{").expect("written")),
            DATA,
            &["data.train", "could not open the array in", "data.zarr/x"],
        ),
    ]);
}

#[test]
fn an_output_in_the_way_is_left_alone() {
    let taken = |folder: &Folder| {
        fs::create_dir(folder.path("influences.zarr")).expect("made");
        fs::write(folder.path("influences.zarr/precious"), "data").expect("written");
    };
    check(&[
        (
            &taken,
            &[],
            &["output.path", "influences.zarr", "not a zarr group"],
        ),
        (
            &taken,
            &["--overwrite"],
            &["output.path", "influences.zarr", "not a zarr group"],
        ),
        (
            &|folder| fs::write(folder.path("influences.zarr"), "").expect("written"),
            &["--overwrite"],
            &["influences.zarr"],
        ),
    ]);
    let folder = Folder::new();
    taken(&folder);
    folder.run(&["--overwrite"]);
    assert!(Path::exists(&folder.path("influences.zarr/precious")));
}

#[test]
fn overwriting_replaces_an_earlier_output() {
    let folder = Folder::new();
    for (arguments, code) in [
        (&[][..], 0),
        (&[], 2),
        (&["--overwrite", "--set", "method.name=cg"], 0),
    ] {
        assert_eq!(
            folder.run(arguments).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
}

#[test]
fn options_are_named() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--memory", "much"], &["--memory", "much", "512MiB, 2GB"]),
        (&["--memory", "1MiB"], &["--memory", "at least 64MiB"]),
        (&["--threads", "0"], &["--threads"]),
        (&["--progress", "loud"], &["--progress", "loud", "lines"]),
        (&["--log-format", "xml"], &["--log-format", "xml", "json"]),
        (&["--resume", "--overwrite"], &["--resume", "--overwrite"]),
    ];
    for (arguments, parts) in cases {
        let folder = Folder::new();
        let before = folder.names();
        let output = folder.run(arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        for part in *parts {
            assert!(message.contains(part), "{message} lacks `{part}`");
        }
        assert_eq!(folder.names(), before, "{arguments:?} wrote something");
    }
}

#[test]
fn resuming_leaves_what_is_not_ours_alone() {
    check(&[(
        &|folder| {
            fs::create_dir(folder.path("influences.zarr")).expect("made");
            fs::write(folder.path("influences.zarr/precious"), "data").expect("written");
        },
        &["--resume"],
        &[
            "influences.zarr",
            "expected nothing or an output of this library",
        ],
    )]);
}

#[test]
fn the_command_line_goes_before_the_configuration() {
    let folder = Folder::new();
    let arguments = ["--memory", "1GiB", "--threads", "2", "--resume"];
    let output = folder.run(&arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .current_dir(folder.0.path())
        .args(["run", "config.toml"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

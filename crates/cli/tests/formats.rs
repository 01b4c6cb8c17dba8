//! The real binary gives the same bytes from the same numbers, however they are stored.

#[path = "support/files.rs"]
mod files;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use files::files;
use ndarray::ArrayD;
use safetensors::{Dtype, serialize, tensor::TensorView};
use zarrs::{
    array::{ArrayBuilder, data_type},
    filesystem::FilesystemStore,
};

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/cli/mlp")
        .join(file)
}

/// Runs the case with some keys set, and gives the files of its influences.
fn run(folder: &Path, settings: &[String]) -> BTreeMap<PathBuf, Vec<u8>> {
    let output = folder.join("influences.zarr");
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .arg("run")
        .arg(golden("config.toml"))
        .arg("--overwrite");
    command
        .arg("--set")
        .arg(format!("output.path={}", output.display()));
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    let outcome = command.output().expect("the binary runs");
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{settings:?}: {complaint}");
    files(&output.join("influences/c"))
}

/// Both arrays of one side of the case, `x_SIDE` and `y_SIDE`.
fn arrays(side: &str) -> (ArrayD<f32>, ArrayD<i64>) {
    let open = |name: &str| {
        let file = std::fs::File::open(golden(&format!("{name}_{side}.npy")));
        npyz::NpyFile::new(std::io::BufReader::new(file.expect("the data ship")))
            .expect("a numpy array")
    };
    let (x, y) = (open("x"), open("y"));
    let shape = |array: &npyz::NpyFile<_>| -> Vec<usize> {
        let sides = array
            .shape()
            .iter()
            .map(|&side| usize::try_from(side).expect("small"));
        sides.collect()
    };
    let shapes = [shape(&x), shape(&y)];
    (
        ArrayD::from_shape_vec(shapes[0].clone(), x.into_vec().expect("float32")).expect("fits"),
        ArrayD::from_shape_vec(shapes[1].clone(), y.into_vec().expect("int64")).expect("fits"),
    )
}

fn as_safetensors(path: &Path, x: &ArrayD<f32>, y: &ArrayD<i64>) {
    let floats: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    let classes: Vec<u8> = y.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], bytes| {
        TensorView::new(dtype, shape.to_vec(), bytes).expect("bytes fit the shape")
    };
    let views = [
        ("x", view(Dtype::F32, x.shape(), &floats)),
        ("y", view(Dtype::I64, y.shape(), &classes)),
    ];
    std::fs::write(path, serialize(views, None).expect("serialised")).expect("written");
}

/// Chunks of 32 samples, which no batch of the case fits.
fn as_zarr(path: &Path, x: &ArrayD<f32>, y: &ArrayD<i64>) {
    let store = Arc::new(FilesystemStore::new(path).expect("a store"));
    let sides = |shape: &[usize]| -> Vec<u64> { shape.iter().map(|&side| side as u64).collect() };
    let chunks =
        |shape: &[usize]| -> Vec<u64> { std::iter::once(32).chain(sides(&shape[1..])).collect() };
    let floats = ArrayBuilder::new(
        sides(x.shape()),
        chunks(x.shape()),
        data_type::float32(),
        0.0_f32,
    );
    let classes = ArrayBuilder::new(
        sides(y.shape()),
        chunks(y.shape()),
        data_type::int64(),
        -1_i64,
    );
    let floats = floats.build(store.clone(), "/x").expect("an array");
    let classes = classes.build(store, "/y").expect("an array");
    floats.store_metadata().expect("written");
    classes.store_metadata().expect("written");
    floats
        .store_array_subset(&floats.subset_all(), x.clone())
        .expect("written");
    classes
        .store_array_subset(&classes.subset_all(), y.clone())
        .expect("written");
}

#[test]
fn the_same_data_in_any_format_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    for side in ["train", "test"] {
        let (x, y) = arrays(side);
        as_safetensors(&folder.path().join(format!("{side}.safetensors")), &x, &y);
        as_zarr(&folder.path().join(format!("{side}.zarr")), &x, &y);
    }
    let place = |kind: &str, separator: &str| {
        let keys = [
            ("train", "inputs", "x"),
            ("train", "targets", "y"),
            ("test", "inputs", "x"),
            ("test", "targets", "y"),
        ];
        keys.map(|(side, key, name)| {
            let file = folder
                .path()
                .join(format!("{side}.{kind}{separator}{name}"));
            format!("data.{side}.{key}={}", file.display())
        })
    };
    let expected = run(folder.path(), &[]);
    assert!(expected.len() > 1, "several chunks are compared");
    assert_eq!(run(folder.path(), &place("safetensors", "#")), expected);
    assert_eq!(run(folder.path(), &place("zarr", "/")), expected);
}

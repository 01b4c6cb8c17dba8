//! The real binary gives the same bytes from the same numbers, however they are stored.

#[path = "support/files.rs"]
mod files;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use files::files;
use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayD;
use parquet::{
    data_type::{FloatType, Int64Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use safetensors::{Dtype, serialize, tensor::TensorView};
use zarrs::{
    array::{ArrayBuilder, data_type},
    filesystem::FilesystemStore,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

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

/// Stored or compressed, as `numpy.savez` and `numpy.savez_compressed` do.
fn as_npz(path: &Path, source: [&Path; 2], method: CompressionMethod) {
    let mut archive = ZipWriter::new(File::create(path).expect("a file"));
    for (name, source) in ["x.npy", "y.npy"].into_iter().zip(source) {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(name, options).expect("begun");
        archive
            .write_all(&std::fs::read(source).expect("the data ship"))
            .expect("written");
    }
    archive.finish().expect("finished");
}

fn as_csv(path: &Path, x: &ArrayD<f32>, y: &ArrayD<i64>) {
    let columns: Vec<String> = (0..64).map(|pixel| format!("p{pixel}")).collect();
    let mut text = format!("y,{}\n", columns.join(","));
    for (pixels, class) in x.rows().into_iter().zip(y) {
        let pixels: Vec<String> = pixels.iter().map(ToString::to_string).collect();
        text += &[class.to_string(), pixels.join(",")].join(",");
        text += "\n";
    }
    std::fs::write(path, text).expect("written");
}

/// Big-endian floats, and classes as bytes; compressed as MNIST is.
fn as_idx(folder: &Path, side: &str, x: &ArrayD<f32>, y: &ArrayD<i64>) {
    let rows = u32::try_from(y.len()).expect("few").to_be_bytes();
    let mut inputs = [&[0, 0, 0x0d, 2][..], &rows, &64_u32.to_be_bytes()].concat();
    inputs.extend(x.iter().flat_map(|value| value.to_be_bytes()));
    let mut targets = [&[0, 0, 0x08, 1][..], &rows].concat();
    targets.extend(y.iter().map(|&class| u8::try_from(class).expect("a digit")));
    std::fs::write(folder.join(format!("{side}.idx-x")), inputs).expect("written");
    let file = File::create(folder.join(format!("{side}.idx-y"))).expect("a file");
    let mut file = GzEncoder::new(file, Compression::default());
    file.write_all(&targets).expect("written");
    file.finish().expect("finished");
}

/// The pixels as lists, the classes as a column.
fn as_parquet(path: &Path, x: &ArrayD<f32>, y: &ArrayD<i64>) {
    let schema = "message digits {
        required group x (LIST) { repeated group list { required float element; } }
        required int64 y;
    }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let file = File::create(path).expect("a file");
    let mut file = SerializedFileWriter::new(file, schema, Arc::default()).expect("a writer");
    let mut group = file.next_row_group().expect("a group of rows");
    let mut column = group.next_column().expect("open").expect("x");
    let pixels: Vec<f32> = x.iter().copied().collect();
    // A list of 64 begins where the repetition level is 0.
    let repetitions: Vec<i16> = (0..pixels.len())
        .map(|index| i16::from(index % 64 > 0))
        .collect();
    column
        .typed::<FloatType>()
        .write_batch(&pixels, Some(&vec![1; pixels.len()]), Some(&repetitions))
        .expect("written");
    column.close().expect("closed");
    let mut column = group.next_column().expect("open").expect("y");
    let classes: Vec<i64> = y.iter().copied().collect();
    column
        .typed::<Int64Type>()
        .write_batch(&classes, None, None)
        .expect("written");
    column.close().expect("closed");
    group.close().expect("closed");
    file.close().expect("closed");
}

#[test]
fn the_same_data_in_any_format_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    for side in ["train", "test"] {
        let (x, y) = arrays(side);
        as_safetensors(&folder.path().join(format!("{side}.safetensors")), &x, &y);
        as_zarr(&folder.path().join(format!("{side}.zarr")), &x, &y);
        as_csv(&folder.path().join(format!("{side}.csv")), &x, &y);
        as_idx(folder.path(), side, &x, &y);
        as_parquet(&folder.path().join(format!("{side}.parquet")), &x, &y);
        let files = ["x", "y"].map(|name| golden(&format!("{name}_{side}.npy")));
        for (kind, method) in [
            ("stored", CompressionMethod::Stored),
            ("deflated", CompressionMethod::Deflated),
        ] {
            let path = folder.path().join(format!("{side}.{kind}.npz"));
            as_npz(&path, [&files[0], &files[1]], method);
        }
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
    assert_eq!(run(folder.path(), &place("stored.npz", "#")), expected);
    assert_eq!(run(folder.path(), &place("deflated.npz", "#")), expected);
    assert_eq!(run(folder.path(), &place("idx", "-")), expected);
    assert_eq!(run(folder.path(), &place("parquet", "#")), expected);
    // All columns but the class are the pixels.
    let columns = place("csv", "#").map(|setting| setting.replace("#x", "#-y"));
    assert_eq!(run(folder.path(), &columns), expected);
}

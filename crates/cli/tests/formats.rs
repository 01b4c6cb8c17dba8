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

/// Runs the case with some keys set, and returns the files of its influences.
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

/// Chunks of 32 samples, which do not match any batch of the case.
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

/// Big-endian floats, and classes as bytes; compressed like MNIST.
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

/// How a table of text is written.
#[derive(Clone, Copy)]
struct Written<'a> {
    name: &'a str,
    separator: &'a str,
    decimal: &'a str,
    /// The name of the class column and of pixel 0, 1 and so on.
    heading: Option<fn(Option<usize>) -> String>,
    index: bool,
    /// A class as it is written in the file.
    class: fn(i64) -> String,
}

const PLAIN: Written<'_> = Written {
    name: "csv",
    separator: ",",
    decimal: ".",
    heading: Some(|pixel| pixel.map_or("y".into(), |pixel| format!("p{pixel}"))),
    index: false,
    class: |class| class.to_string(),
};

impl Written<'_> {
    /// The class of each point, then its pixels.
    fn text(self, x: &ArrayD<f32>, y: &ArrayD<i64>) -> String {
        let columns = std::iter::once(None).chain((0..x.shape()[1]).map(Some));
        let index = |row: String| self.index.then_some(row);
        let heading = self.heading.map(|name| {
            let names = index(String::new()).into_iter().chain(columns.map(name));
            names.collect::<Vec<_>>()
        });
        let points = x
            .rows()
            .into_iter()
            .zip(y)
            .enumerate()
            .map(|(row, (pixels, class))| {
                let number = |pixel: &f32| pixel.to_string().replace('.', self.decimal);
                let fields = index((row + 5).to_string()).into_iter();
                let fields = fields.chain([(self.class)(*class)]);
                fields.chain(pixels.iter().map(number)).collect()
            });
        let lines = heading.into_iter().chain(points);
        lines
            .map(|fields| fields.join(self.separator) + "\n")
            .collect()
    }
}

/// A way to write tables, its columns of inputs and targets, and the keys that describe it.
type Writing = (
    Written<'static>,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const SEMICOLONS: Written<'_> = Written {
    separator: ";",
    ..PLAIN
};
const HEADLESS: Written<'_> = Written {
    heading: None,
    ..PLAIN
};
const NAMED: Written<'_> = Written {
    class: |class| format!("digit {class}"),
    ..PLAIN
};

fn writings() -> Vec<Writing> {
    let upper = Written {
        name: "CSV",
        ..PLAIN
    };
    let tabs = Written {
        name: "tsv",
        separator: "\t",
        ..PLAIN
    };
    let comma = Written {
        decimal: ",",
        ..SEMICOLONS
    };
    let indexed = Written {
        index: true,
        ..PLAIN
    };
    // As pandas writes an array.
    let counted = Written {
        heading: Some(|pixel| pixel.map_or(0, |pixel| pixel + 1).to_string()),
        ..PLAIN
    };
    let named = Written {
        heading: None,
        ..NAMED
    };
    vec![
        (upper, "-y", "y", &[]),
        (tabs, "-y", "y", &[]),
        (SEMICOLONS, "-y", "y", &[]),
        (comma, "-y", "y", &["data.decimal=,"]),
        (indexed, "-y", "y", &[]),
        (HEADLESS, "-0", "0", &[]),
        (HEADLESS, "-0", "0", &["data.header=false"]),
        (counted, "-0", "0", &[]),
        (NAMED, "-y", "y", &[]),
        (named, "-0", "0", &[]),
    ]
}

#[test]
fn tables_of_text_give_the_same_bytes_however_they_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = run(folder.path(), &[]);
    for (written, inputs, targets, settings) in writings() {
        let settings: Vec<String> = settings.iter().map(|&it| it.to_owned()).collect();
        let places = ["train", "test"].map(|side| {
            let (x, y) = arrays(side);
            let file = folder.path().join(format!("{side}.{}", written.name));
            std::fs::write(&file, written.text(&x, &y)).expect("written");
            let file = file.display();
            [
                format!("data.{side}.inputs={file}#{inputs}"),
                format!("data.{side}.targets={file}#{targets}"),
            ]
        });
        let settings = [places.concat(), settings].concat();
        assert_eq!(run(folder.path(), &settings), expected, "{settings:?}");
    }
}

/// Inputs and targets in separate files, as pandas writes arrays: the inputs decide that `0`, the
/// heading of the single column, is not a point.
#[test]
fn headings_of_numbers_are_no_points() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = run(folder.path(), &[]);
    for (heading, packed) in [(true, false), (false, false), (true, true)] {
        let mut settings = Vec::new();
        for side in ["train", "test"] {
            let (x, y) = arrays(side);
            let columns: Vec<String> = (0..x.shape()[1]).map(|pixel| pixel.to_string()).collect();
            let mut inputs = if heading {
                columns.join(",") + "\n"
            } else {
                String::new()
            };
            for pixels in x.rows() {
                let pixels: Vec<String> = pixels.iter().map(ToString::to_string).collect();
                inputs += &(pixels.join(",") + "\n");
            }
            let mut targets = if heading {
                "0\n".to_owned()
            } else {
                String::new()
            };
            targets.extend(y.iter().map(|class| format!("{class}\n")));
            for (key, text) in [("inputs", inputs), ("targets", targets)] {
                let ending = if packed { "csv.gz" } else { "csv" };
                let file = folder.path().join(format!("{side}.{key}.{ending}"));
                let mut bytes = text.into_bytes();
                if packed {
                    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
                    packing.write_all(&bytes).expect("packed");
                    bytes = packing.finish().expect("packed");
                }
                std::fs::write(&file, bytes).expect("written");
                settings.push(format!("data.{side}.{key}={}", file.display()));
            }
        }
        assert_eq!(run(folder.path(), &settings), expected, "{settings:?}");
    }
}

/// The test points lack the first class, and one side is a text file.
#[test]
fn labels_that_are_text_have_the_numbers_of_the_training_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, y) = arrays("test");
    let keep: Vec<String> = (0..y.len())
        .filter(|&row| y[row] > 0)
        .map(|row| row.to_string())
        .collect();
    assert!(keep.len() < y.len() && keep.len() > 1);
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let subset = format!("data.test.subset={}", file("rows.txt", keep.join("\n")));
    let expected = run(folder.path(), std::slice::from_ref(&subset));
    let names = |side: &str| -> Vec<String> {
        let (_, y) = arrays(side);
        y.iter().map(|class| format!("digit {class}")).collect()
    };
    let (train, test) = (names("train"), names("test"));
    let test: Vec<String> = keep
        .iter()
        .map(|row| test[row.parse::<usize>().expect("a row")].clone())
        .collect();
    let inputs = {
        let (x, y) = arrays("test");
        let text = Written {
            class: |_| "0".into(),
            ..PLAIN
        }
        .text(&x, &y);
        let mut lines = text.lines();
        let heading = lines.next().expect("a heading").to_owned();
        let lines: Vec<&str> = lines.collect();
        let kept = keep
            .iter()
            .map(|row| lines[row.parse::<usize>().expect("a row")].to_owned());
        std::iter::once(heading)
            .chain(kept)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let settings = [
        format!(
            "data.train.targets={}",
            file("train.csv", format!("class\n{}\n", train.join("\n")))
        ),
        format!("data.test.inputs={}#-y", file("test.csv", inputs)),
        format!(
            "data.test.targets={}",
            file("test.txt", format!("\u{feff}{}\n\n", test.join("\n")))
        ),
    ];
    assert_eq!(run(folder.path(), &settings), expected);
    let output = Command::new(env!("CARGO_BIN_EXE_influence"))
        .args(["top", "--format", "csv", "-k", "1", "--points", "0"])
        .arg(folder.path().join("influences.zarr"))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&test[0]), "{said}");
}

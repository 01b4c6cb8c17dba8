//! Arrays that are read by range: .npy, safetensors and Zarr.

use std::{fs, path::Path};

use crate::{
    folder::Folder,
    table::{Case, case, check, nothing},
};

/// A .npy file of version 1 with this header.
fn npy(header: &str, numbers: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(header.len() + 1).expect("short");
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(numbers);
    bytes
}

fn described(kind: &str, order: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}");
    npy(&header, numbers)
}

/// The inputs of training are these bytes.
fn inputs(name: &'static str, bytes: Vec<u8>, parts: &[&'static str]) -> Case {
    let parts = [&["config.toml:7: data.train", "x_train.npy"], parts].concat();
    case(
        name,
        move |folder: &Folder| folder.write("x_train.npy", &bytes),
        &[],
        &parts,
    )
}

#[test]
fn files_of_numpy_that_are_damaged_are_named() {
    let mut huge_header = b"\x93NUMPY\x02\x00".to_vec();
    huge_header.extend(u32::MAX.to_le_bytes());
    huge_header.extend(b"{'descr': '<f4'");
    check(&[
        inputs("an empty .npy", Vec::new(), &["not a numpy array"]),
        inputs(
            "a .npy of text",
            b"some text".into(),
            &["not a numpy array"],
        ),
        inputs(
            "a .npy with half a header",
            described("'<f4'", "False", "(6, 4)", &[])[..20].into(),
            &[],
        ),
        inputs("a .npy with a header of 4 GiB", huge_header, &[]),
        inputs(
            "a .npy with a deep header",
            npy(&"[".repeat(60_000), &[]),
            &["deep"],
        ),
        inputs(
            "a .npy with junk for a header",
            npy("{[(", &[]),
            &["not a numpy array"],
        ),
        inputs(
            "a .npy cut short",
            described("'<f4'", "False", "(6, 4)", &[0; 95]),
            &["expected 96 bytes", "got 95"],
        ),
        inputs(
            "a .npy with too many bytes",
            described("'<f4'", "False", "(6, 4)", &[0; 97]),
            &["expected 96 bytes", "got 97"],
        ),
        inputs(
            "a .npy that claims 2^60 numbers",
            described("'<f4'", "False", "(1073741824, 1073741824)", &[]),
            &["expected 4611686018427387904 bytes", "got 0"],
        ),
        inputs(
            "a .npy that claims 2^62 rows of nothing",
            described("'<f4'", "False", "(4611686018427387904, 0)", &[]),
            &["expected", "got 0"],
        ),
        inputs(
            "a .npy of texts",
            described("'<U4'", "False", "(6, 4)", &[0; 384]),
            &["<U4", "which is text; save numbers"],
        ),
        inputs(
            "a .npy of objects",
            described("'|O'", "False", "(6, 4)", &[0; 192]),
            &["|O", "Python objects; save numbers, as array.astype"],
        ),
        inputs(
            "a .npy of complex numbers",
            described("'<c8'", "False", "(6, 4)", &[0; 192]),
            &["<c8", "complex numbers; save real and imaginary parts"],
        ),
        inputs(
            "a .npy of records",
            described("[('a', '<f4'), ('b', '<f4')]", "False", "(6,)", &[0; 48]),
            &["structured"],
        ),
        inputs(
            "a .npy of one number",
            described("'<f4'", "False", "()", &[0; 4]),
            &["first axis"],
        ),
        inputs(
            "a .npy without samples",
            described("'<f4'", "False", "(0, 4)", &[]),
            &["0 samples"],
        ),
        inputs(
            "a .npy of samples without numbers",
            described("'<f4'", "False", "(6, 0)", &[]),
            &["no numbers"],
        ),
    ]);
}

#[test]
fn numbers_that_do_not_fit_are_named() {
    const INPUTS: &[&str] = &["config.toml:7: data.train", "x_train.npy"];
    let tainted = |value: f32| {
        let mut values = [0.5_f32; 24];
        values[9] = value;
        move |folder: &Folder| folder.array("x_train.npy", &values, &[6, 4])
    };
    check(&[
        case(
            "an infinite input",
            tainted(f32::INFINITY),
            &[],
            &[INPUTS, &["row 2", "not finite"]].concat(),
        ),
        case(
            "an input that is not a number",
            tainted(f32::NAN),
            &[],
            &[INPUTS, &["row 2", "not finite"]].concat(),
        ),
        case(
            "an input too large for the precision",
            |folder| folder.array("x_test.npy", &[1e300_f64; 8], &[2, 4]),
            &[],
            &["config.toml:8: data.test", "x_test.npy", "row 0", "F32"],
        ),
        case(
            "samples of two lengths",
            |folder| folder.array("x_train.npy", &[0.5_f32; 30], &[6, 5]),
            &[],
            &["config.toml:8: data.test", "[4]", "[5]"],
        ),
        case(
            "fewer targets than inputs",
            |folder| folder.array("y_train.npy", &[0_u8; 5], &[5]),
            &[],
            &["config.toml:7: data.train", "y_train.npy", "6", "5"],
        ),
        case(
            "a class too large",
            |folder| folder.array("y_train.npy", &[0_u8, 1, 0, 2, 0, 1], &[6]),
            &[],
            &[
                "config.toml:7: data.train",
                "y_train.npy",
                "row 3",
                "class 2",
                "0 to 1",
            ],
        ),
        case(
            "a negative class",
            |folder| folder.array("y_test.npy", &[1_i64, -1], &[2]),
            &[],
            &[
                "config.toml:8: data.test",
                "y_test.npy",
                "row 1",
                "class -1",
            ],
        ),
        case(
            "a class beyond 63 bits",
            |folder| folder.array("y_test.npy", &[1_u64, u64::MAX], &[2]),
            &[],
            &["data.test", "y_test.npy"],
        ),
        case(
            "classes that are floats",
            |folder| folder.array("y_test.npy", &[1.0_f32, 0.0], &[2]),
            &[],
            &["config.toml:8: data.test", "y_test.npy", "integers"],
        ),
        case(
            "classes in a matrix",
            |folder| folder.array("y_test.npy", &[1_i64, 0, 2, 0], &[2, 2]),
            &[],
            &["data.test", "y_test.npy", "shape (n)"],
        ),
        case(
            "one target for two outputs",
            nothing,
            &["--set", "model.loss=mse"],
            &["data.train", "y_train.npy", "(n, 2)"],
        ),
        case(
            "no data",
            |folder| folder.remove("x_test.npy"),
            &[],
            &["config.toml:8: data.test", "x_test.npy", "does not exist"],
        ),
        case(
            "a folder in place of a .npy",
            |folder| folder.replace_by_folder("x_test.npy"),
            &[],
            &["config.toml:8: data.test", "x_test.npy", "folder"],
        ),
    ]);
}

/// A file without permission to read; the superuser can read everything.
#[test]
#[cfg(unix)]
fn files_that_may_not_be_read_are_named() {
    use std::os::unix::fs::PermissionsExt;

    let locked = Folder::new().path("");
    fs::create_dir_all(&locked).expect("made");
    let probe = locked.join("probe");
    fs::write(&probe, "").expect("written");
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o000)).expect("changed");
    let reads_all = fs::read(&probe).is_ok();
    fs::remove_dir_all(&locked).expect("removed");
    if reads_all {
        println!("skipped: this user may read all files");
        return;
    }
    let lock = |file: &'static str| {
        move |folder: &Folder| {
            let mode = fs::Permissions::from_mode(0o000);
            fs::set_permissions(folder.path(file), mode).expect("changed");
        }
    };
    check(&[
        case(
            "a configuration that may not be read",
            lock("config.toml"),
            &[],
            &["config.toml", "denied"],
        ),
        case(
            "data that may not be read",
            lock("x_test.npy"),
            &[],
            &["x_test.npy", "denied"],
        ),
        case(
            "weights that may not be read",
            lock("model.safetensors"),
            &[],
            &["model.safetensors", "denied"],
        ),
    ]);
}

/// A safetensors file with this header.
fn safetensors(header: &str, bytes: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

#[test]
fn safetensors_that_do_not_fit_are_named() {
    const DATA: &[&str] = &["--set", "data.train.inputs=data.safetensors"];
    let damaged = |name, bytes: Vec<u8>, parts: &[&'static str]| {
        let spoil = move |folder: &Folder| folder.write("data.safetensors", &bytes);
        let parts = [&["data.train", "data.safetensors"], parts].concat();
        case(name, spoil, DATA, &parts)
    };
    let two = |folder: &Folder| {
        folder.tensors("data.safetensors", &[("x", &[6, 4]), ("z", &[6, 4])], 0.5);
    };
    check(&[
        case(
            "safetensors cut short",
            move |folder| {
                two(folder);
                folder.cut("data.safetensors", -1);
            },
            DATA,
            &[
                "data.train",
                "data.safetensors",
                "expected 192 bytes of tensors, got 191",
            ],
        ),
        damaged(
            "safetensors of text",
            b"junk".into(),
            &["expected at least 8 bytes, got 4"],
        ),
        damaged(
            "empty safetensors",
            Vec::new(),
            &["expected at least 8 bytes, got 0"],
        ),
        damaged(
            "safetensors with a header of 2^63 bytes",
            [&(u64::MAX / 2).to_le_bytes()[..], b"{}"].concat(),
            &["expected a header of at most 2 bytes"],
        ),
        damaged(
            "safetensors with junk for a header",
            safetensors("{\"x\": [[[", &[]),
            &["damaged"],
        ),
        damaged(
            "safetensors with a deep header",
            safetensors(&"[".repeat(200_000), &[]),
            &["damaged"],
        ),
        damaged(
            "safetensors that claim 2^60 numbers",
            safetensors(
                r#"{"x":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            &[],
        ),
        damaged(
            "safetensors that overlap",
            safetensors(
                r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
                &[0; 6],
            ),
            &["damaged"],
        ),
        case(
            "safetensors of two tensors, none named",
            two,
            DATA,
            &["data.safetensors", "must be named", "it has x, z"],
        ),
        case(
            "safetensors without the tensor",
            two,
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
    let spoilt = |name, spoil: fn(&Path), parts: &[&'static str]| {
        let spoil = move |folder: &Folder| {
            folder.zarr();
            spoil(&folder.path("data.zarr/x"));
        };
        case(
            name,
            spoil,
            DATA,
            &[&["data.train", "data.zarr/x"], parts].concat(),
        )
    };
    check(&[
        case(
            "a Zarr group in place of an array",
            Folder::zarr,
            &["--set", "data.train.inputs=data.zarr"],
            &[
                "data.train",
                "data.zarr holds a zarr group, not an array; its arrays: ",
            ],
        ),
        case(
            "a Zarr array written as that of an archive",
            Folder::zarr,
            &["--set", "data.train.inputs=data.zarr#x"],
            &[
                "data.zarr#x does not exist; an array in a zarr group is written as",
                "data.zarr/x",
            ],
        ),
        spoilt(
            "a Zarr chunk with a bit flipped",
            flip,
            &["could not read samples in", "checksum"],
        ),
        spoilt(
            "a Zarr chunk cut short",
            |array| {
                let bytes = fs::read(array.join("c/0/0")).expect("readable");
                fs::write(array.join("c/0/0"), &bytes[..7]).expect("written");
            },
            &["could not read samples in"],
        ),
        spoilt(
            "a Zarr array without metadata",
            |array| fs::remove_file(array.join("zarr.json")).expect("removed"),
            &["neither zarr.json nor .zarray"],
        ),
        spoilt(
            "a Zarr array with half its metadata",
            |array| fs::write(array.join("zarr.json"), "{").expect("written"),
            &["could not open the array in"],
        ),
        spoilt(
            "a Zarr array of an unknown codec",
            |array| {
                let path = array.join("zarr.json");
                let text = fs::read_to_string(&path).expect("readable");
                assert!(text.contains("crc32c"), "{text}");
                fs::write(path, text.replace("crc32c", "magic")).expect("written");
            },
            &["magic"],
        ),
    ]);
}

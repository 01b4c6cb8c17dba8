//! Files as Pillow, numpy and pandas write them, against the numbers that these read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use influence_core::FieldSource;

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/formats")
        .join(name)
}

/// Shape and numbers.
fn all(field: &NpyField) -> (Vec<usize>, Vec<f64>) {
    let values = field.rows(0..field.shape()[0]).expect("readable");
    (field.shape().to_vec(), values.floats().collect())
}

fn expected(name: &str) -> (Vec<usize>, Vec<f64>) {
    all(&NpyField::open(golden("expected").join(format!("{name}.npy"))).expect("the fixtures ship"))
}

#[test]
fn images_have_the_pixels_that_pillow_reads() {
    let mut read = 0;
    for entry in fs::read_dir(golden("images")).expect("the fixtures ship") {
        let file = entry.expect("an entry").path();
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let class = folder.path().join("class");
        fs::create_dir(&class).expect("made");
        fs::copy(&file, class.join(&name)).expect("copied");
        let (shape, pixels) = all(&images(folder.path(), None).expect(&name));
        let (_, expected) = expected(&name);
        let grey = name.starts_with("grey");
        assert_eq!(shape, [1, if grey { 1 } else { 3 }, 6, 8], "{name}");
        // Decoders of JPEG may differ by rounding.
        let most = if name.ends_with("jfif") { 2.0 } else { 0.0 };
        let differ = pixels
            .iter()
            .zip(&expected)
            .filter(|(a, b)| (*a - *b).abs() > most);
        assert_eq!(differ.count(), 0, "{name}: {pixels:?} {expected:?}");
        read += 1;
    }
    assert_eq!(read, 16);
}

#[test]
fn arrays_in_fortran_order_have_the_numbers_that_numpy_reads() {
    for name in ["fortran", "big_endian", "half", "bytes", "truth"] {
        let file = golden("npy").join(format!("{name}.npy"));
        let field = npy(&file).expect(name);
        assert!(NpyField::open(&file).expect(name).is_fortran() && !field.is_fortran());
        assert_eq!(all(&field), expected(&format!("npy_{name}")), "{name}");
    }
    let field = npz(&golden("npy/both.npz"), Some("x")).expect("an array");
    assert_eq!(all(&field), expected("npz_x"));
}

#[test]
fn arrays_of_objects_are_named() {
    for error in [
        npy(&golden("npy/objects.npy")).expect_err("objects"),
        npz(&golden("npy/objects.npz"), None).expect_err("objects"),
    ] {
        let message = format!("{error:#}");
        assert!(
            message.contains("which is Python objects; save numbers"),
            "{message}"
        );
    }
}

use std::io::Write;

use influence_core::Dataset;

use super::*;
use crate::formats::NpyDataset;

/// A file with this header and these bytes.
fn file(folder: &tempfile::TempDir, name: &str, header: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    let mut header = header.to_owned();
    header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
    header.push('\n');
    let mut contents = b"\x93NUMPY\x01\x00".to_vec();
    contents.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
    contents.extend(header.as_bytes());
    contents.extend(bytes);
    File::create(&path)
        .expect("a file")
        .write_all(&contents)
        .expect("written");
    path
}

#[test]
fn headers_are_bounded_before_they_are_parsed() {
    let with = |version: u8, length: &[u8], text: &[u8]| {
        let start = [b"\x93NUMPY", &[version, 0][..]].concat();
        check_header(&[&start, length, text].concat()[..])
    };
    assert_eq!(with(1, &[4, 0], b"{()}"), Ok(()));
    assert_eq!(with(2, &[4, 0, 0, 0], b"{()}"), Ok(()));
    assert_eq!(with(9, &[], b""), Ok(()), "the parser says what it is");
    let long = with(2, &[255; 4], b"{").expect_err("4 GiB");
    assert!(long.contains("got 4294967295"), "{long}");
    for version in [1, 2] {
        let length = [100, 0, 0, 0];
        let length = &length[..2 * usize::from(version)];
        let deep = with(version, length, &[b'['; 100]).expect_err("deep");
        assert!(deep.contains("16 deep"), "{deep}");
    }
}

#[test]
fn ranges_are_read_in_every_integer_and_float_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let floats: Vec<u8> = (0..6_u8)
        .flat_map(|value| f32::from(value).to_be_bytes())
        .collect();
    let floats = file(
        &folder,
        "x.npy",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }",
        &floats,
    );
    let labels = file(
        &folder,
        "y.npy",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
        &[7, 8, 255],
    );
    let data = NpyDataset::open([floats, labels]).expect("a data set");
    let batch = data.batch(1..3).expect("a batch");
    assert_eq!(
        batch.fields()[0],
        Values::new(vec![2.0_f32, 3.0, 4.0, 5.0], &[2, 2]).expect("four")
    );
    assert_eq!(
        batch.fields()[1],
        Values::new(vec![8_i64, 255], &[2]).expect("two")
    );
    influence_core::testing::dataset(&data, |batch| {
        let values: Vec<f64> = batch.fields()[0].floats().collect();
        ndarray::ArrayD::from_shape_vec(vec![batch.len(), 2], values).expect("two columns")
    });
}

/// The numbers 0, 1, 2 and so on, up to 999 and again, in C order, written in Fortran order as
/// big-endian integers of two bytes.
fn in_fortran_order(folder: &tempfile::TempDir, shape: [usize; 3]) -> PathBuf {
    let [n, d, e] = shape;
    let numbers =
        (0..e).flat_map(|k| (0..d).flat_map(move |j| (0..n).map(move |i| (i * d + j) * e + k)));
    let bytes = numbers.flat_map(|number| u16::try_from(number % 1000).expect("few").to_be_bytes());
    let header = format!("{{'descr': '>u2', 'fortran_order': True, 'shape': ({n}, {d}, {e}), }}");
    file(folder, "f.npy", &header, &bytes.collect::<Vec<_>>())
}

#[test]
fn arrays_in_fortran_order_are_read_as_those_in_c_order() {
    let folder = tempfile::tempdir().expect("a folder");
    for shape in [
        [5, 3, 4],
        [1, 3, 4],
        [7, 1, 1],
        [600, 3, 30],
        [4, 0, 2],
        [200_000, 3, 3],
    ] {
        let [n, d, e] = shape;
        let field = NpyField::open(in_fortran_order(&folder, shape)).expect("opened");
        assert_eq!((field.is_fortran(), field.kind()), (true, "<u2".to_owned()));
        for range in [0..n, 0..1, n / 2..n, n - 1..n, 0..0] {
            let expected = (range.start * d * e..range.end * d * e)
                .map(|number| i64::try_from(number % 1000).expect("few"));
            let Values::I64(values) = field.rows(range.clone()).expect("in range") else {
                panic!("integers");
            };
            assert_eq!(values.shape(), [range.len(), d, e]);
            assert!(
                values.iter().copied().eq(expected.clone()),
                "{shape:?} {range:?}"
            );
            let bytes = field.bytes(range).expect("in range");
            let numbers = bytes
                .chunks_exact(2)
                .map(|pair| i64::from(u16::from_ne_bytes([pair[0], pair[1]])));
            assert!(numbers.eq(expected), "{shape:?}");
        }
        assert!(field.rows(0..n + 1).is_err() && field.bytes(0..n + 1).is_err());
    }
}

#[test]
fn half_precision_is_read_as_single() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = [1.5, -0.25]
        .iter()
        .flat_map(|&value| half::f16::from_f32(value).to_le_bytes())
        .collect();
    let path = file(
        &folder,
        "h.npy",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }",
        &bytes,
    );
    let batch = NpyDataset::open([path])
        .map(|data| data.batch(0..2).expect("a batch"))
        .expect("a data set");
    assert_eq!(
        batch.fields()[0],
        Values::new(vec![1.5_f32, -0.25], &[2]).expect("two")
    );
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
            20,
            "damaged",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
            4,
            "single number",
        ),
        (
            "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }",
            24,
            "expected floats",
        ),
        (
            "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
            24,
            "Python objects",
        ),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
            12,
            "structured",
        ),
        ("{'descr': ", 24, "not a numpy array"),
    ];
    for (header, bytes, message) in cases {
        let path = file(&folder, "bad.npy", header, &vec![0; bytes]);
        let error = NpyDataset::open([path]).expect_err(header).to_string();
        assert!(
            error.contains(message) && error.contains("bad.npy"),
            "{error}"
        );
    }
    assert!(matches!(
        NpyDataset::open([folder.path().join("none.npy")]),
        Err(Error::Io { .. })
    ));
}

//! Arrays in packed files: .npz, IDX and gzip.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    folder::Folder,
    table::{Case, case, check},
};

/// The inputs of training are in a file of this name and these bytes.
fn inputs(
    name: &'static str,
    setting: &'static str,
    bytes: Vec<u8>,
    parts: &[&'static str],
) -> Case {
    let file = setting.rsplit('=').next().unwrap_or_default();
    let file = file.split('#').next().unwrap_or_default();
    let parts = [&["data.train", file], parts].concat();
    case(
        name,
        move |folder: &Folder| folder.write(file, &bytes),
        &["--set", setting],
        &parts,
    )
}

/// The header of a .npy file of 32-bit floats.
fn header(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn npz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in members {
        archive.start_file(*name, options).expect("a member");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("finished").into_inner()
}

/// As [`npz`], with a bit of the packed numbers of its only member flipped.
fn flipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = npz(&[(name, bytes)]);
    // After the header of the member, which has no extra fields.
    let start = 30 + name.len();
    archive[start + 12] ^= 0x10;
    archive
}

#[test]
fn archives_of_numpy_are_named() {
    const X: &str = "data.train.inputs=x.npz";
    let sound = [header("(6, 4)"), vec![0; 96]].concat();
    let half = {
        let whole = npz(&[("x.npy", &sound)]);
        whole[..whole.len() / 2].to_vec()
    };
    let bomb = [header("(6, 4)"), vec![0; 64 << 20]].concat();
    check(&[
        inputs("an empty .npz", X, Vec::new(), &["no .npz archive"]),
        inputs(
            "a .npz of text",
            X,
            b"PK\x03\x04 cut short".into(),
            &["no .npz archive"],
        ),
        inputs("a .npz cut short", X, half, &["no .npz archive"]),
        inputs(
            "a .npz without arrays",
            X,
            npz(&[("readme.txt", b"hello")]),
            &["no arrays"],
        ),
        inputs(
            "a .npz of two arrays, none named",
            X,
            npz(&[("a.npy", &sound), ("b.npy", &sound)]),
            &["name one of the arrays", "a, b"],
        ),
        inputs(
            "a .npz without the array",
            "data.train.inputs=x.npz#z",
            npz(&[("a.npy", &sound)]),
            &["no array `z`", "a"],
        ),
        inputs(
            "a .npz of something else",
            X,
            npz(&[("x.npy", b"text")]),
            &["x.npz#x", "not a numpy array"],
        ),
        inputs(
            "a .npz with a bit flipped",
            X,
            flipped("x.npy", &sound),
            &["x.npz#x"],
        ),
        inputs(
            "a .npz that unpacks to more than its array says",
            X,
            npz(&[("x.npy", &bomb)]),
            &["x.npz#x", "more bytes than"],
        ),
        inputs(
            "a .npz that claims 2^58 numbers",
            X,
            npz(&[("x.npy", &header("(268435456, 1073741824)"))]),
            &["x.npz#x", "expected"],
        ),
        inputs(
            "a .npz that claims more than 2^64 bytes",
            X,
            npz(&[(
                "x.npy",
                &header("(9223372036854775807, 9223372036854775807)"),
            )]),
            &["x.npz#x", "too large"],
        ),
    ]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).expect("written");
    packed.finish().expect("finished")
}

#[test]
fn files_of_other_programs_say_what_to_save() {
    let inputs = |name, setting, bytes: &[u8], parts: &[&'static str]| {
        inputs(name, setting, bytes.into(), parts)
    };
    check(&[
        inputs(
            "a tensor of PyTorch",
            "data.train.inputs=x.pt",
            &npz(&[("x/data.pkl", b"\x80\x02"), ("x/data/0", &[0; 96])]),
            &[
                "x.pt is a file of PyTorch",
                "numpy.save(\"x.npy\", x.numpy())",
            ],
        ),
        inputs(
            "a pickle",
            "data.train.inputs=x.pkl",
            b"\x80\x04\x95",
            &["x.pkl is a pickle of Python", "numpy.save(\"x.npy\", x)"],
        ),
        inputs(
            "an HDF5 file",
            "data.train.inputs=x.h5",
            b"\x89HDF\r\n\x1a\n",
            &["x.h5 is an HDF5 file", "h5py.File"],
        ),
        case(
            "an array in an HDF5 file",
            |folder: &Folder| folder.write("x.h5", b"\x89HDF\r\n\x1a\n"),
            &["--set", "data.train.inputs=x.h5#x"],
            &["data.train", "x.h5 is an HDF5 file"],
        ),
        inputs(
            "a text of savetxt",
            "data.train.inputs=x.txt",
            b"1.0e+00 2.0e+00\n",
            &["x.txt: expected a file .npy", "numpy.save"],
        ),
        inputs(
            "a pointer of Git LFS in place of a .npy",
            "data.train.inputs=x.npy",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            &["pointer of Git LFS", "git lfs pull"],
        ),
        inputs(
            "an image in place of a folder",
            "data.train.inputs=x.png",
            b"\x89PNG\r\n\x1a\n",
            &["x.png is a single image"],
        ),
        inputs(
            "a .npz of objects",
            "data.train.inputs=o.npz",
            &npz(&[(
                "y.npy",
                &[
                    &b"\x93NUMPY\x01\x00\x3b\x00"[..],
                    b"{'descr': '|O', 'fortran_order': False, 'shape': (6, 4), }\n",
                ]
                .concat(),
            )]),
            &["o.npz#y", "which is Python objects; save numbers"],
        ),
    ]);
}

#[test]
fn files_of_idx_are_named() {
    const X: &str = "data.train.inputs=x.idx";
    const Z: &str = "data.train.inputs=x.gz";
    let sides = |sides: &[u32]| -> Vec<u8> {
        let axes = u8::try_from(sides.len()).expect("few");
        let sides = sides.iter().flat_map(|side| side.to_be_bytes());
        [0, 0, 0x08, axes].into_iter().chain(sides).collect()
    };
    let sound = [sides(&[6, 4]), vec![1; 24]].concat();
    let mut damaged = gzip(&sound);
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    check(&[
        inputs(
            "an IDX file cut short",
            X,
            sound[..20].into(),
            &["expected 24 bytes", "got 8"],
        ),
        inputs(
            "an IDX file with too many bytes",
            X,
            [&sound[..], &[1]].concat(),
            &["expected 24 bytes", "got more"],
        ),
        inputs(
            "an IDX file with half a header",
            X,
            sides(&[6, 4])[..7].into(),
            &["cut short"],
        ),
        inputs(
            "an IDX file of an unknown type",
            X,
            vec![0, 0, 0x0a, 1, 0, 0, 0, 1, 1],
            &["0x0a"],
        ),
        inputs(
            "an IDX file of 200 axes",
            X,
            vec![0, 0, 0x08, 200, 0, 0, 0, 1],
            &["1 to 8 axes"],
        ),
        inputs(
            "an IDX file that claims 2^128 bytes",
            X,
            sides(&[u32::MAX; 4]),
            &["too large"],
        ),
        inputs(
            "half a gzip header",
            Z,
            vec![0x1f, 0x8b, 8, 0],
            &["cut short or damaged"],
        ),
        inputs(
            "gzip cut short",
            Z,
            gzip(&sound)[..24].into(),
            &["cut short or damaged"],
        ),
        inputs(
            "gzip with a wrong checksum",
            Z,
            damaged,
            &["cut short or damaged"],
        ),
        inputs(
            "gzip of something else",
            Z,
            gzip(b"some text"),
            &["not an IDX file", ".csv.gz"],
        ),
        inputs(
            "gzip that unpacks to more than it says",
            Z,
            gzip(&[sides(&[6, 4]), vec![0; 64 << 20]].concat()),
            &["expected 24 bytes", "got more"],
        ),
        inputs(
            "a file of no known format",
            "data.train.inputs=x.txt",
            b"some text".into(),
            &[".parquet or IDX"],
        ),
        inputs(
            "an empty file",
            "data.train.inputs=x.dat",
            Vec::new(),
            &[".parquet or IDX"],
        ),
    ]);
}

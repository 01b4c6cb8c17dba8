//! Weights that are damaged, malicious, or not those of the model.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

use safetensors::{Dtype, serialize, tensor::TensorView};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    folder::Folder,
    table::{Case, case, check, nothing, set},
};

const PLACE: &str = "config.toml:3: model.weights";

/// The weights are these bytes.
fn file(name: &'static str, bytes: Vec<u8>, parts: &[&'static str]) -> Case {
    let spoil = move |folder: &Folder| folder.write("model.safetensors", &bytes);
    let parts = [&[PLACE, "model.safetensors"], parts].concat();
    case(name, spoil, &[], &parts)
}

/// The weights have these tensors.
fn tensors(
    name: &'static str,
    shapes: &'static [(&'static str, &'static [usize])],
    parts: &[&'static str],
) -> Case {
    let spoil = move |folder: &Folder| folder.weights(shapes, 0.5);
    let parts = [&["config.toml:"], parts].concat();
    case(name, spoil, &[], &parts)
}

#[test]
fn models_that_do_not_fit_are_named() {
    check(&[
        tensors(
            "a layer without weights",
            &[("fc1.weight", &[3, 4])],
            &["layer 3", "fc2.weight"],
        ),
        tensors(
            "layers that do not fit each other",
            &[("fc1.weight", &[3, 4]), ("fc2.weight", &[2, 5])],
            &["layer 3", "5 features", "(3)"],
        ),
        tensors(
            "a first layer that does not fit the data",
            &[("fc1.weight", &[3, 7]), ("fc2.weight", &[2, 3])],
            &["layer 1", "7 features", "(4)"],
        ),
        tensors(
            "a matrix of three axes",
            &[("fc1.weight", &[3, 4, 1]), ("fc2.weight", &[2, 3])],
            &["layer 1", "fc1.weight", "(3, 4, 1)"],
        ),
        tensors(
            "a bias of another length",
            &[
                ("fc1.weight", &[3, 4]),
                ("fc1.bias", &[4]),
                ("fc2.weight", &[2, 3]),
            ],
            &["layer 1", "fc1.bias"],
        ),
        tensors(
            "weights that are left over",
            &[
                ("fc1.weight", &[3, 4]),
                ("fc2.weight", &[2, 3]),
                ("fc3.weight", &[1]),
            ],
            &["no layer uses", "fc3.weight"],
        ),
        tensors(
            "a loss of classes on one output",
            &[("fc1.weight", &[3, 4]), ("fc2.weight", &[1, 3])],
            &["config.toml:4: model.loss", "at least 2 outputs"],
        ),
        tensors(
            "a layer without numbers",
            &[("fc1.weight", &[0, 4]), ("fc2.weight", &[2, 0])],
            &["fc1"],
        ),
        set(
            "a convolution with the weights of a linear layer",
            "model.layers=[{kind='conv2d',name='fc1'}]",
            &["layer 1", "fc1.weight", "(out, in, height, width)"],
        ),
        set("no layers at all", "model.layers=[]", &["model.layers"]),
        set(
            "two layers of one name",
            "model.layers=[{kind='linear',name='fc1'},{kind='linear',name='fc1'}]",
            &["model.layers", "fc1"],
        ),
        set(
            "a reshape to another number of numbers",
            "model.layers=[{kind='reshape',shape=[5]},{kind='linear',name='fc1'}]",
            &["layer 1", "5"],
        ),
        set(
            "a reshape that overflows",
            "model.layers=[{kind='reshape',shape=[4294967296,4294967296,4294967296]}]",
            &["layer 1"],
        ),
        case(
            "no checkpoint",
            nothing,
            &[
                "--set",
                "method={ name = 'tracin', checkpoints = [{ weights = 'epoch1.pt', learning_rate = 0.1 }] }",
            ],
            &["method.checkpoints", "epoch1.pt"],
        ),
    ]);
}

fn safetensors(dtype: Dtype, value: &[u8]) -> Vec<u8> {
    let bytes = value.repeat(12);
    let view = TensorView::new(dtype, vec![3, 4], &bytes).expect("bytes fit the shape");
    serialize([("fc1.weight", view)], None).expect("serialised")
}

#[test]
fn damaged_weights_are_named() {
    check(&[
        case(
            "no weights file",
            |folder| folder.remove("model.safetensors"),
            &[],
            &[PLACE, "model.safetensors", "No such file"],
        ),
        case(
            "a folder in place of weights",
            |folder| folder.replace_by_folder("model.safetensors"),
            &[],
            &[PLACE, "model.safetensors", "directory"],
        ),
        file("empty weights", Vec::new(), &["empty"]),
        file(
            "weights of text",
            b"junk".into(),
            &["neither a safetensors file"],
        ),
        case(
            "weights cut short",
            |folder| folder.cut("model.safetensors", -1),
            &[],
            &[PLACE, "model.safetensors"],
        ),
        file(
            "weights with a header of 2^63 bytes",
            [&(u64::MAX / 2).to_le_bytes()[..], b"{}"].concat(),
            &["neither a safetensors file"],
        ),
        file(
            "weights that are integers",
            safetensors(Dtype::I64, &[1; 8]),
            &["`fc1.weight`", "I64"],
        ),
        file(
            "a weight that is not a number",
            safetensors(Dtype::F32, &f32::NAN.to_le_bytes()),
            &["`fc1.weight`", "not finite"],
        ),
        file(
            "a weight too large for the precision",
            safetensors(Dtype::F64, &1e300_f64.to_le_bytes()),
            &["`fc1.weight`", "not finite in F32"],
        ),
        file(
            "a burnpack cut short",
            burn_pack::MAGIC_NUMBER.to_le_bytes().repeat(2),
            &["burnpack"],
        ),
    ]);
}

/// Would call `os.system` if Python unpickled it.
fn malicious() -> Vec<u8> {
    let command = b"touch executed";
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend(u32::try_from(command.len()).expect("short").to_le_bytes());
    pickle.extend(command);
    pickle.extend(b"\x85R.");
    pickle
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default();
        archive.start_file(*name, options).expect("a member");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("finished").into_inner()
}

/// The weights are a file of PyTorch of these bytes.
fn torch(name: &'static str, bytes: Vec<u8>, parts: &[&'static str]) -> Case {
    let spoil = move |folder: &Folder| folder.write("model.pt", &bytes);
    let parts = [&["model.weights", "model.pt"], parts].concat();
    case(name, spoil, &["--set", "model.weights=model.pt"], &parts)
}

fn golden(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli/mlp");
    fs::read(folder.join(file)).expect("readable")
}

#[test]
fn damaged_files_of_pytorch_are_named_and_run_nothing() {
    let sound = golden("model.pt");
    let legacy = golden("legacy.pt");
    let flipped = |at: usize| {
        let mut bytes = golden("model.pt");
        bytes[at] ^= 0xff;
        bytes
    };
    check(&[
        torch(
            "a .pt that is no archive",
            b"some text".into(),
            &["neither a safetensors file"],
        ),
        torch("a .pt cut short", sound[..sound.len() / 2].into(), &[]),
        torch(
            "a .pt with its directory damaged",
            flipped(sound.len() - 22),
            &[],
        ),
        torch("a .pt with its pickle damaged", flipped(120), &[]),
        torch(
            "a .pt without a pickle",
            archive(&[("archive/version", b"3")]),
            &[],
        ),
        torch(
            "a .pt whose pickle runs a program",
            archive(&[
                ("archive/data.pkl", &malicious()),
                ("archive/version", b"3"),
            ]),
            &[],
        ),
        torch("an old .pt whose pickle runs a program", malicious(), &[]),
        torch(
            "an old .pt cut short",
            legacy[..legacy.len() / 2].into(),
            &[],
        ),
        torch(
            "an old .pt of nothing but marks",
            [&[0x80, 2][..], &b"(".repeat(100_000)].concat(),
            &[],
        ),
        torch(
            "a .pt with a deep pickle",
            archive(&[(
                "archive/data.pkl",
                &[
                    &[0x80, 2][..],
                    &b"]".repeat(200_000),
                    &b"a".repeat(199_999),
                    b".",
                ]
                .concat(),
            )]),
            &[],
        ),
        torch(
            "a .pt of no tensors",
            archive(&[
                ("archive/data.pkl", b"\x80\x02}."),
                ("archive/version", b"3"),
            ]),
            &[],
        ),
    ]);
}

/// A text in a pickle.
fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short").to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}

fn tuple(sizes: &[u8]) -> Vec<u8> {
    let sizes = sizes.iter().flat_map(|&size| [b'K', size]);
    [b"(".to_vec(), sizes.collect(), b"t".to_vec()].concat()
}

/// A tensor in a pickle, whose storage has this many numbers.
fn tensor(numbers: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        [b'K', numbers, b't', b'Q', b'K', 0].to_vec(),
        tuple(shape),
        tuple(strides),
        b"\x89}tR".to_vec(),
    ]
    .concat()
}

/// A state dict of these tensors, with this many bytes of numbers.
fn state_dict(tensors: &[(&str, Vec<u8>)], bytes: usize) -> Vec<u8> {
    let items = tensors.iter();
    let items: Vec<u8> = items
        .flat_map(|(name, tensor)| [text(name), tensor.clone()].concat())
        .collect();
    let pickle = [b"\x80\x02}(", &items[..], b"u."].concat();
    archive(&[
        ("archive/data.pkl", &pickle),
        ("archive/data/0", &vec![0; bytes]),
    ])
}

#[test]
fn tensors_of_pytorch_that_cannot_be_are_named() {
    let one = |numbers, shape: &[u8], strides: &[u8], bytes| {
        state_dict(&[("fc1.weight", tensor(numbers, shape, strides))], bytes)
    };
    check(&[
        torch(
            "a tensor that reaches beyond its storage",
            one(4, &[3, 4], &[4, 1], 16),
            &["[3, 4]", "reaches beyond its 4 numbers"],
        ),
        torch(
            "a tensor of fewer numbers than the file says",
            one(12, &[3, 4], &[4, 1], 8),
            &["`fc1.weight`", "12 numbers", "holds 2"],
        ),
        torch(
            "a tensor of one number, repeated",
            one(1, &[250, 250, 250, 250, 250, 250], &[0; 6], 4),
            &["`fc1.weight`", "repeats its 1 numbers"],
        ),
        torch(
            "a tensor without a stride",
            one(12, &[3, 4], &[1], 48),
            &["1 strides"],
        ),
        torch(
            "two names of one tensor",
            state_dict(
                &[
                    ("fc1.weight", tensor(12, &[3, 4], &[4, 1])),
                    ("fc2.weight", tensor(12, &[4, 3], &[1, 4])),
                ],
                48,
            ),
            &["`fc1.weight` and `fc2.weight` are one tensor"],
        ),
    ]);
}

#[test]
fn pickles_that_go_round_in_circles_come_to_an_end() {
    let pickled = |pickle: Vec<u8>| archive(&[("archive/data.pkl", &pickle)]);
    // Each dictionary holds the previous one twice.
    let pair = |_| {
        [
            b"}q\x01(",
            &text("a")[..],
            b"h\x00",
            &text("b"),
            b"h\x00u0h\x01q\x00",
        ]
        .concat()
    };
    let doubled: Vec<u8> = (0..60).flat_map(pair).collect();
    let doubled = [b"\x80\x02}q\x00", &doubled[..], b"."].concat();
    check(&[
        torch(
            "a list within itself",
            pickled(b"\x80\x02]q\x00h\x00a.".to_vec()),
            &["deep"],
        ),
        torch("dictionaries that hold others twice", pickled(doubled), &[]),
    ]);
}

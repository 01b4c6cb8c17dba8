//! The same weights in any format give the same bytes.

use std::fs;

use burn::tensor::{Bytes, DType};
use burn_pack::{Tensor, Writer};
use safetensors::SafeTensors;

use super::{Folder, golden, stored};

/// The weights as in a burn module of linear layers: matrices are `(in, out)`.
fn burnpack(folder: &Folder) {
    let bytes = fs::read(golden("model.safetensors")).expect("the weights ship");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = file.iter().map(|(name, view)| {
        let mut shape = view.shape().to_vec();
        let mut bytes = view.data().to_vec();
        if let [rows, columns] = *shape.as_slice() {
            let entries = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
            bytes = entries
                .flat_map(|entry| view.data()[4 * entry..4 * entry + 4].to_vec())
                .collect();
            shape = vec![columns, rows];
        }
        Tensor::new(
            name.to_owned(),
            DType::F32,
            shape,
            None,
            Bytes::from_bytes_vec(bytes),
        )
    });
    let written = Writer::new(tensors.collect()).write_to_file(folder.path("model.bpk"));
    written.expect("written");
}

#[test]
fn every_format_of_weights_gives_the_same_influences() {
    let folder = Folder::new();
    folder.init();
    burnpack(&folder);
    for file in ["model.safetensors", "legacy.pt", "training.pt"] {
        fs::copy(golden(file), folder.path(file)).expect("copied");
    }
    folder.done(&["run", "influence.toml"]);
    let expected = folder.influences();
    assert!(expected.iter().any(|&value| value != 0.0));
    for file in ["model.safetensors", "legacy.pt", "training.pt", "model.bpk"] {
        let (weights, output) = (
            format!("model.weights={file}"),
            format!("output.path={file}.zarr"),
        );
        folder.done(&["run", "influence.toml", "--set", &weights, "--set", &output]);
        let influences = stored(&folder.path(&format!("{file}.zarr")), "influences");
        assert_eq!(influences, expected.clone().into_dyn(), "{file}");
    }
}

#[test]
fn files_that_hold_no_weights_are_refused() {
    let folder = Folder::new();
    folder.init();
    let whole = fs::read(golden("model.pt")).expect("the weights ship");
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty.pt", b"", "the file is empty"),
        ("truncated.pt", &whole[..whole.len() / 2], "PyTorch"),
        ("legacy.pt", &[0x80, 2, 0x8a, 1, 1], "PyTorch"),
        (
            "text.pth",
            b"these are no weights",
            "neither a safetensors file, nor one of PyTorch, nor a burnpack",
        ),
        ("model.bpk", b"NRUB\x01\x00\xff\xff\xff\x7f", "burnpack"),
    ];
    for (file, bytes, part) in cases {
        fs::write(folder.path(file), bytes).expect("written");
        let weights = format!("model.weights={file}");
        let complaint = folder.refused(&["run", "influence.toml", "--set", &weights]);
        assert!(
            complaint.contains(file) && complaint.contains(part),
            "{complaint}"
        );
        assert!(!folder.path("influences.zarr").exists());
    }
}

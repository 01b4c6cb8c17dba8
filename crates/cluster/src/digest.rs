//! Digests, by which processes compare what they have.

use std::fmt::Write;

use ndarray::ArrayD;
use sha2::{Digest, Sha256};

/// The digest of the shapes and numbers of some arrays.
pub(crate) fn of_arrays(arrays: &[ArrayD<f64>]) -> String {
    let mut hash = Sha256::new();
    for array in arrays {
        hash.update(format!("{:?}", array.shape()));
        hash.update(bytes(array));
    }
    shown(hash)
}

/// The digest of some bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    shown(Sha256::new_with_prefix(bytes))
}

/// The numbers of an array, lowest byte first.
pub(crate) fn bytes(array: &ArrayD<f64>) -> Vec<u8> {
    let values = array.iter();
    values.flat_map(|value| value.to_le_bytes()).collect()
}

fn shown(hash: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

//! Records that burn writes.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::TensorData;

use super::contents::{Contents, StoredTensor};

/// Reads a record; its index is sorted by name, so it says no order.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> Result<Contents> {
    let reader = burn_pack::Reader::from_file_exact(path).context("reading a burnpack")?;
    let tensors = reader.into_tensors().context("reading a burnpack")?;
    let tensors = tensors.into_iter().map(|tensor| {
        let (name, dtype, shape, _, bytes) = tensor.into_parts().context("reading a burnpack")?;
        if !dtype.is_float() {
            return Ok((name, StoredTensor::Other(format!("{dtype:?}"))));
        }
        let data = TensorData::from_bytes_vec(bytes.to_vec(), shape.to_vec(), dtype);
        Ok((name, StoredTensor::Float(data)))
    });
    Ok(Contents::unordered(tensors.collect::<Result<_>>()?))
}

/// A tensor of a sequential model as PyTorch has it: burn's matrices are `(in, out)`, and its
/// normalisations have other names.
pub(super) fn as_pytorch(name: String, data: TensorData) -> (String, TensorData) {
    let layer = |last: &str| name.strip_suffix(last).map(ToOwned::to_owned);
    if let Some(layer) = layer(".gamma") {
        (format!("{layer}.weight"), data)
    } else if let Some(layer) = layer(".beta") {
        (format!("{layer}.bias"), data)
    } else if layer(".weight").is_some() {
        let turned = turned(&data);
        (name, turned)
    } else {
        (name, data)
    }
}

/// A matrix transposed, and anything else as it is.
pub(super) fn turned(data: &TensorData) -> TensorData {
    let [rows, columns] = data.shape()[..] else {
        return data.clone();
    };
    let (bytes, size) = (data.as_bytes(), data.dtype().size());
    let entries = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    let turned = entries.flat_map(|entry| bytes[entry * size..(entry + 1) * size].iter().copied());
    TensorData::from_bytes_vec(turned.collect(), vec![columns, rows], data.dtype())
}

//! The tensors of a file of weights, whatever its format.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, ensure};
use burn::tensor::{DType, TensorData};
use burn_pack::MAGIC_NUMBER;
use pytorch_reader::{DType as TorchType, PytorchReader};
use safetensors::{Dtype, SafeTensors};

/// A tensor with its name.
pub(super) type Named = (String, TensorData);

/// Under what keys training scripts save a state dict beside other things.
const STATE_DICTS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// What PyTorch's batch norm counts beside its weights.
const COUNTER: &str = "num_batches_tracked";

/// How tensors are named and laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As PyTorch has them.
    Pytorch,
    /// As burn has them.
    Burn,
}

/// Reads all tensors of a file, sorted by name, and says how they are laid out; its format is told by how it begins.
///
/// # Errors
/// When the file cannot be read, is of no known format, or holds tensors that are not floating-point.
pub(super) fn read(path: &Path) -> Result<(Layout, Vec<Named>)> {
    let (layout, mut tensors) = match Format::of(path)? {
        Format::Safetensors => (Layout::Pytorch, safetensors(path)?),
        Format::Pytorch => (Layout::Pytorch, pytorch(path)?),
        Format::Burnpack => (Layout::Burn, burnpack(path)?),
    };
    // Sorted, so that the first mistake is the same one every time.
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok((layout, tensors))
}

enum Format {
    Safetensors,
    Pytorch,
    Burnpack,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut start = Vec::new();
        file.take(9).read_to_end(&mut start)?;
        ensure!(!start.is_empty(), "the file is empty");
        // The length of the header comes first, whose first byte may be that of a pickle.
        if let [header @ .., b'{'] = &start[..]
            && let Ok(header) = header.try_into()
            && u64::from_le_bytes(header) < len
        {
            return Ok(Self::Safetensors);
        }
        let legacy_pickle = start[0] == 0x80 && start.get(1).is_some_and(|&version| version <= 5);
        Ok(if start.starts_with(b"PK\x03\x04") || legacy_pickle {
            Self::Pytorch
        } else if start.starts_with(&MAGIC_NUMBER.to_le_bytes()) {
            Self::Burnpack
        } else {
            Self::Safetensors
        })
    }
}

fn safetensors(path: &Path) -> Result<Vec<Named>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)
        .context("neither a safetensors file, nor one of PyTorch, nor a burnpack")?;
    let tensors = file.iter().filter(|(name, _)| !name.ends_with(COUNTER));
    let tensors = tensors.map(|(name, view)| {
        let dtype = match view.dtype() {
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            other => return Err(not_floating_point(name, other)),
        };
        let (bytes, shape) = (view.data().to_vec(), view.shape().to_vec());
        Ok((
            name.to_owned(),
            TensorData::from_bytes_vec(bytes, shape, dtype),
        ))
    });
    tensors.collect()
}

/// A state dict, a checkpoint that has one under a usual key, or a whole module.
fn pytorch(path: &Path) -> Result<Vec<Named>> {
    let reader = PytorchReader::new(path).context("reading a PyTorch file")?;
    let mut tensors = reader.into_tensors();
    let within = STATE_DICTS.map(|key| format!("{key}."));
    let inner = within
        .iter()
        .find(|prefix| tensors.keys().any(|name| name.starts_with(*prefix)));
    if let Some(prefix) = inner {
        let named = tensors.into_iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?.to_owned();
            Some((name, tensor))
        });
        tensors = named.collect();
    }
    tensors.retain(|name, _| !name.ends_with(COUNTER));
    ensure!(!tensors.is_empty(), "the PyTorch file holds no tensors");
    let tensors = tensors.into_iter().map(|(name, tensor)| {
        let dtype = match tensor.dtype() {
            TorchType::F16 => DType::F16,
            TorchType::BF16 => DType::BF16,
            TorchType::F32 => DType::F32,
            TorchType::F64 => DType::F64,
            other => return Err(not_floating_point(&name, other)),
        };
        let bytes = tensor.read()?;
        let shape = tensor.shape().to_vec();
        Ok((name, TensorData::from_bytes_vec(bytes, shape, dtype)))
    });
    tensors.collect()
}

/// A record that burn wrote.
fn burnpack(path: &Path) -> Result<Vec<Named>> {
    let reader = burn_pack::Reader::from_file_exact(path).context("reading a burnpack")?;
    let tensors = reader.into_tensors().context("reading a burnpack")?;
    let tensors = tensors.into_iter().map(|tensor| {
        let (name, dtype, shape, _, bytes) = tensor.into_parts().context("reading a burnpack")?;
        if !dtype.is_float() {
            return Err(not_floating_point(&name, dtype));
        }
        let data = TensorData::from_bytes_vec(bytes.to_vec(), shape.to_vec(), dtype);
        Ok((name, data))
    });
    tensors.collect()
}

/// A tensor of a sequential model as PyTorch has it: burn's matrices are `(in, out)`, and its normalisations have other names.
pub(super) fn of_burn((name, data): Named) -> Named {
    let layer = |last: &str| name.strip_suffix(last).map(ToOwned::to_owned);
    if let Some(layer) = layer(".gamma") {
        (format!("{layer}.weight"), data)
    } else if let Some(layer) = layer(".beta") {
        (format!("{layer}.bias"), data)
    } else if let ([rows, columns], Some(_)) = (&data.shape()[..], layer(".weight")) {
        let turned = transposed(&data, *rows, *columns);
        (name, turned)
    } else {
        (name, data)
    }
}

fn transposed(data: &TensorData, rows: usize, columns: usize) -> TensorData {
    let (bytes, size) = (data.as_bytes(), data.dtype().size());
    let entries = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    let turned = entries.flat_map(|entry| bytes[entry * size..(entry + 1) * size].iter().copied());
    TensorData::from_bytes_vec(turned.collect(), vec![columns, rows], data.dtype())
}

fn not_floating_point(name: &str, dtype: impl std::fmt::Debug) -> anyhow::Error {
    anyhow::anyhow!("tensor `{name}` has dtype {dtype:?}, weights must be F16, BF16, F32 or F64")
}

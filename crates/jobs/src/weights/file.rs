//! The tensors of a file of weights, whatever its format.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use burn_pack::MAGIC_NUMBER;
use safetensors::{Dtype, SafeTensors};

use super::{
    burnpack,
    contents::{Contents, StoredTensor, tied},
    foreign, pytorch,
};

/// How tensors are named and laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As PyTorch has them.
    Pytorch,
    /// As burn has them.
    Burn,
}

/// Reads all tensors of a file, or those under a key of it, and says how they are laid out; its
/// first bytes give the format.
///
/// # Errors
/// When the file cannot be read, is of no known format, or does not say which of its tensors are
/// the weights.
pub(super) fn read(path: &Path, key: Option<&str>) -> Result<(Layout, Contents)> {
    Ok(match WeightsFormat::of(path)? {
        WeightsFormat::Safetensors => (Layout::Pytorch, safetensors(path)?.under(key)?),
        WeightsFormat::Pytorch => (Layout::Pytorch, pytorch::read(path, key)?),
        WeightsFormat::Burnpack => (Layout::Burn, burnpack::read(path)?.under(key)?),
    })
}

enum WeightsFormat {
    Safetensors,
    Pytorch,
    Burnpack,
}

impl WeightsFormat {
    fn of(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut start = Vec::new();
        file.take(512).read_to_end(&mut start)?;
        ensure!(!start.is_empty(), "the file is empty");
        // The length of the header comes first, whose first byte may be that of a pickle.
        if let Some((header, rest)) = start.split_first_chunk()
            && rest.starts_with(b"{")
            && u64::from_le_bytes(*header) < len
        {
            return Ok(Self::Safetensors);
        }
        if pytorch::begins(&start) {
            Ok(Self::Pytorch)
        } else if start.starts_with(&MAGIC_NUMBER.to_le_bytes()) {
            Ok(Self::Burnpack)
        } else if let Some(said) = foreign::said(&start) {
            bail!("no weights, but {said}")
        } else {
            Ok(Self::Safetensors)
        }
    }
}

/// Files of safetensors are sorted by type and name: they do not say the order of layers.
fn safetensors(path: &Path) -> Result<Contents> {
    let bytes = std::fs::read(path)?;
    let unknown = "neither a safetensors file, nor one of PyTorch, nor a burnpack";
    let (_, metadata) = SafeTensors::read_metadata(&bytes).context(unknown)?;
    let file = SafeTensors::deserialize(&bytes).context(unknown)?;
    let tied = kept_once(metadata.metadata().as_ref(), &file);
    let tensors = file.iter().map(|(name, view)| {
        let dtype = match view.dtype() {
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            other => return (name.to_owned(), StoredTensor::Other(format!("{other:?}"))),
        };
        let (bytes, shape) = (view.data().to_vec(), view.shape().to_vec());
        let data = TensorData::from_bytes_vec(bytes, shape, dtype);
        (name.to_owned(), StoredTensor::Float(data))
    });
    Ok(Contents {
        tied,
        ..Contents::unordered(tensors.collect())
    })
}

/// Two names of one tensor in words, in files of `safetensors.torch.save_model`, which keeps one
/// name of a tied tensor and notes the others beside.
fn kept_once(notes: Option<&HashMap<String, String>>, file: &SafeTensors<'_>) -> Option<String> {
    let has = |name: &str| file.tensor(name).is_ok();
    let mut notes: Vec<_> = notes.into_iter().flatten().collect();
    notes.sort_unstable();
    let once = notes
        .into_iter()
        .find(|(name, kept)| !has(name) && has(kept));
    once.map(|(name, kept)| tied(name, kept))
}

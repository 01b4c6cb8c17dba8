//! Files that `torch.save` wrote.
//!
//! They are read here, since the order of what was saved, dictionaries in dictionaries and tensors
//! under two names must be seen.

mod container;
mod object;
mod pickle;
mod state;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::TensorData;

use super::contents::{Contents, StoredTensor, tied};
use container::Container;
use object::View;
use state::StateDict;

/// How the first pickle of a file before PyTorch 1.6 goes on, in binary and as text.
const MAGIC: [&[u8]; 2] = [
    &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19],
    b"119547037146038801333356",
];

/// Whether a file that begins so is one of PyTorch.
pub(super) fn begins(start: &[u8]) -> bool {
    let start = &start[..start.len().min(64)];
    let is_old = |magic: &&[u8]| start.windows(magic.len()).any(|bytes| bytes == *magic);
    let is_pickle = start.len() > 1 && start[0] == 0x80 && start[1] <= 5;
    start.starts_with(b"PK\x03\x04") || is_pickle || MAGIC.iter().any(is_old)
}

/// A state dict, one within a checkpoint, or a whole module.
///
/// # Errors
/// When the file cannot be read, or holds no weights or several.
pub(super) fn read(path: &Path, key: Option<&str>) -> Result<Contents> {
    let (pickle, mut container) = Container::open(path).context("reading a PyTorch file")?;
    let state = StateDict::find(&pickle, key)?;
    ensure!(
        !state.tensors.is_empty(),
        "the PyTorch file holds no tensors"
    );
    let mut tensors = Vec::new();
    for (name, view) in &state.tensors {
        let numbers = match view.element.float {
            None => StoredTensor::Other(view.element.name.clone()),
            Some(dtype) => {
                let bytes = container
                    .read(view)
                    .with_context(|| format!("tensor `{name}`"))?;
                let shape = view.shape.clone();
                StoredTensor::Float(TensorData::from_bytes_vec(bytes, shape, dtype))
            }
        };
        tensors.push((name.clone(), numbers));
    }
    // Only now is it known that the file has as many numbers as it says.
    let tied = shared(&state.tensors);
    Ok(Contents {
        tensors,
        modules: state.modules,
        key: state.key,
        left_out: state.left_out,
        in_order: true,
        tied,
    })
}

/// Two tensors that share numbers, in words: changing the one changes the other, which two layers
/// do not do.
fn shared(tensors: &[(String, View)]) -> Option<String> {
    let numbers = |(_, view): &&(String, View)| view.element.float.is_some() && view.numbers > 0;
    let mut sorted: Vec<&(String, View)> = tensors.iter().filter(numbers).collect();
    sorted.sort_by(|(_, a), (_, b)| (&a.storage, a.offset).cmp(&(&b.storage, b.offset)));
    for (index, (name, view)) in sorted.iter().enumerate() {
        let later = sorted[index + 1..].iter();
        let near =
            later.take_while(|(_, other)| other.storage == view.storage && other.offset < view.end);
        let mut near = near.filter(|(_, with)| view.shares(with));
        if let Some((other, _)) = near.next() {
            return Some(tied(name, other));
        }
    }
    None
}

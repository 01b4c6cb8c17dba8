//! Weights of a module, written.

use std::{borrow::Cow, path::Path};

use anyhow::{Context, Result};
use burn::{
    module::Module,
    tensor::{DType, TensorData},
};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, bridge};
use safetensors::tensor::{Dtype, View, serialize};

use crate::output::write_whole;

/// Writes the weights of a module as safetensors, with the names and layouts of PyTorch, whole or
/// not at all.
pub(super) fn save<M: Module>(module: &M, path: &Path) -> Result<()> {
    let shown = || path.display().to_string();
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let tensors = tensors.into_iter().map(|tensor| {
        let name = tensor.name.clone();
        let data = bridge::into_data(tensor).map_err(|error| anyhow::anyhow!("{error}"))?;
        let data = data.convert_dtype(DType::F32);
        Ok((name, Tensor(data)))
    });
    let tensors: Vec<(String, Tensor)> = tensors.collect::<Result<_>>().with_context(shown)?;
    write_whole(path, &serialize(tensors, None).with_context(shown)?)
}

/// A tensor on its way into a file.
struct Tensor(TensorData);

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.as_bytes().into()
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

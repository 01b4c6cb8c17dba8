//! How a file is to be read, and the parameters that come out.

use std::{collections::BTreeMap, path::PathBuf};

use burn::tensor::TensorData;

/// How a file is to be read.
#[derive(Debug, Clone, Default)]
pub struct ReadSettings {
    /// The output to take; the first one by default. Any tensor of the file may be named.
    pub output: Option<String>,
    /// The tensor that [`Measurement::InFile`](crate::Measurement::InFile) measures. Any tensor of
    /// the file may be named.
    pub measured: Option<String>,
    /// Patterns of names, with `*` for any letters: parameters that are not trained.
    pub frozen: Vec<String>,
    /// Rows of embeddings that have no gradient, by the name of the table: `padding_idx` of
    /// PyTorch, which is not in the file.
    pub padding: BTreeMap<String, usize>,
    /// The tensors of a state dict, by name: those that the file was exported with, or others of
    /// the same shapes, which take their place.
    pub weights: Option<BTreeMap<String, TensorData>>,
    /// What the weights are called in messages: the path of their file.
    pub weights_file: PathBuf,
}

impl ReadSettings {
    /// The tensors that are computed, where this one is the output.
    pub(crate) fn results<'a>(&'a self, output: &'a str) -> impl Iterator<Item = &'a str> {
        [output].into_iter().chain(self.measured.as_deref())
    }
}

/// A tensor that is a parameter.
#[derive(Debug, Clone)]
pub struct NamedTensor {
    /// The name that its owner gave it.
    pub name: String,
    /// Its numbers, in the layout of the file.
    pub data: TensorData,
    /// Whether it is trained.
    pub trained: bool,
    /// Why it is not trained, or how its name was found, in words.
    pub remark: Option<String>,
}

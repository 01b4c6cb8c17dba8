//! What a file of weights holds.

use anyhow::{Result, bail};
use burn::tensor::TensorData;

/// What a file of weights holds, as it is stored.
#[derive(Debug)]
pub(super) struct Contents {
    /// Tensors by name, in the order of the file.
    pub(super) tensors: Vec<(String, StoredTensor)>,
    /// Modules and their classes, where whole modules were saved.
    pub(super) modules: Vec<(String, String)>,
    /// The key that was chosen by default.
    pub(super) key: Option<String>,
    /// What else in the file holds tensors.
    pub(super) left_out: Vec<String>,
    /// Whether the order of the tensors is that in which the model has them.
    pub(super) in_order: bool,
    /// Two names of one tensor in words, where there are some.
    pub(super) tied: Option<String>,
}

/// The numbers of a tensor.
#[derive(Debug)]
pub(super) enum StoredTensor {
    Float(TensorData),
    /// Those of a type that weights do not have, by its name.
    Other(String),
}

impl Contents {
    /// Tensors of a file that says neither their order nor anything else.
    pub(super) fn unordered(tensors: Vec<(String, StoredTensor)>) -> Self {
        Self {
            tensors,
            modules: Vec::new(),
            key: None,
            left_out: Vec::new(),
            in_order: false,
            tied: None,
        }
    }

    /// Only the tensors whose names begin with a key, without it.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn under(self, key: Option<&str>) -> Result<Self> {
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Ok(self);
        };
        let rest = |name: &str| Some(name.strip_prefix(key)?.strip_prefix('.')?.to_owned());
        if !self.tensors.iter().any(|(name, _)| rest(name).is_some()) {
            let first =
                |(name, _): &(String, StoredTensor)| Some(name.split_once('.')?.0.to_owned());
            let mut known: Vec<String> = self.tensors.iter().filter_map(first).collect();
            known.sort_unstable();
            known.dedup();
            bail!(
                "model.state: no tensor is under `{key}`; names begin with {}",
                known.join(", ")
            );
        }
        let tensors = self.tensors.into_iter();
        let tensors = tensors.filter_map(|(name, numbers)| Some((rest(&name)?, numbers)));
        Ok(Self {
            tensors: tensors.collect(),
            ..self
        })
    }
}

/// What is wrong with two names of one tensor.
pub(super) fn tied(one: &str, other: &str) -> String {
    format!(
        "`{one}` and `{other}` are one tensor (tied weights): its influence goes through both places at once, which layers with weights of their own cannot say. If they only begin equal, save them apart: torch.save({{k: v.clone() for k, v in model.state_dict().items()}}, FILE)"
    )
}

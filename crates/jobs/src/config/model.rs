//! The model, as configured.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use influence_data::key::KeyError;
use serde::{Deserialize, Serialize};

use super::layer::Layers;

/// A model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Safetensors or a PyTorch file in state-dict layout, `NAME.weight` `(out, in[, kh, kw])`,
    /// `NAME.bias` `(out)`, or a record of burn.
    pub weights: PathBuf,
    /// The key of the weights in a file that holds more, such as `net` or `checkpoint.model`; empty
    /// for all that it holds. Default: the only state dict that there is.
    pub state: Option<String>,
    /// The training loss, of a sequential model.
    pub loss: Option<Loss>,
    /// The layers in order, of a sequential model.
    pub layers: Option<Layers>,
}

impl Model {
    /// Checks that weights that are to be written need no key.
    ///
    /// # Errors
    /// When they have one.
    pub(crate) fn check_trained(&self) -> Result<()> {
        ensure!(
            self.state.is_none(),
            KeyError::new(
                "model.state",
                "`influence train` writes a file of its own, which holds nothing else; leave it out"
            )
        );
        Ok(())
    }
}

/// A training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the softmax of the outputs; targets are class numbers.
    CrossEntropy,
    /// Squared error, mean over the outputs.
    Mse,
}

//! The tensors of a layer against the sizes that its configuration gives.

use anyhow::{Result, ensure};

use super::kind::LayerKind;
use crate::{sequential::shape::shown, weights::Weights};

/// What a layer computes, if anything, and the shape of a sample behind it.
pub(super) type Checked = (Option<LayerKind>, Vec<usize>);

/// The sizes that the configuration of a layer gives, if any.
pub(super) struct Said {
    pub(super) outputs: Option<usize>,
    pub(super) kernel_size: Option<Vec<usize>>,
    pub(super) bias: Option<bool>,
}

impl Said {
    /// Holds them against the weights.
    pub(super) fn check(&self, outputs: usize, kernel_size: &[usize], bias: bool) -> Result<()> {
        said("outputs", self.outputs, outputs)?;
        if let Some(size) = &self.kernel_size {
            ensure!(
                size == kernel_size,
                "kernel_size = {}, but its weights have {}",
                shown(size),
                shown(kernel_size)
            );
        }
        ensure!(
            self.bias.is_none_or(|said| said == bias),
            "bias = {}, but its weights have {}",
            !bias,
            if bias { "one" } else { "none" }
        );
        Ok(())
    }
}

/// Holds a size that a layer gives, if it gives one, against that of its weights.
pub(super) fn said(key: &str, said: Option<usize>, got: usize) -> Result<()> {
    ensure!(
        said.is_none_or(|said| said == got),
        "{key} = {}, but its weights have {got}",
        said.unwrap_or_default()
    );
    Ok(())
}

/// The shape of a weight, of this rank.
pub(super) fn shape_of(
    name: &str,
    weights: &Weights,
    rank: usize,
    layout: &str,
) -> Result<Vec<usize>> {
    let tensor = format!("{name}.weight");
    let weight = weights.tensor(&tensor)?.shape().to_vec();
    ensure!(
        weight.len() == rank,
        "tensor `{tensor}` has shape {}, expected {layout}",
        shown(&weight)
    );
    ensure!(
        !weight.contains(&0),
        "tensor `{tensor}` has shape {}, which is empty",
        shown(&weight)
    );
    Ok(weight)
}

/// Whether there is a bias, of as many numbers as the layer has outputs.
pub(super) fn bias(name: &str, weights: &Weights, outputs: usize) -> Result<bool> {
    let tensor = format!("{name}.bias");
    let Some(bias) = weights.shape(&tensor) else {
        return Ok(false);
    };
    ensure!(
        bias == [outputs],
        "tensor `{tensor}` has shape {}, expected ({outputs})",
        shown(bias)
    );
    Ok(true)
}

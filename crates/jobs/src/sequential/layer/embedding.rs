//! Embeddings.

use anyhow::{Result, ensure};

use super::tensors::{said, shape_of};
use crate::weights::Weights;

/// The shape of the table, and that of a sample behind it.
pub(super) fn embedding(
    name: &str,
    [entries, width]: [Option<usize>; 2],
    padding: Option<usize>,
    weights: &Weights,
    input: &[usize],
) -> Result<(Vec<usize>, Vec<usize>)> {
    let weight = shape_of(name, weights, 2, "(num_embeddings, embedding_dim)")?;
    said("num_embeddings", entries, weight[0])?;
    said("embedding_dim", width, weight[1])?;
    if let Some(padding) = padding {
        ensure!(
            padding < weight[0],
            "padding_idx = {padding}, but its weights have rows 0 to {}",
            weight[0] - 1
        );
        let table = weights.tensor(&format!("{name}.weight"))?;
        let mut row = table.iter::<f64>().skip(padding * weight[1]);
        ensure!(
            row.by_ref().take(weight[1]).all(|value| value == 0.0),
            "padding_idx = {padding}, but row {padding} of `{name}.weight` is not zero; a padding of other numbers is not supported: \
             leave padding_idx out, and the row has a gradient like others"
        );
    }
    let output = input.iter().copied().chain([weight[1]]).collect();
    Ok((weight, output))
}

//! Rows of embeddings that are not trained.
//!
//! PyTorch's `padding_idx` cuts the derivative of one row of a table where it is looked up. ONNX
//! has no such thing, so the lookups are followed by nodes that choose, where the index is that of
//! the row, the row as a constant.

use burn::tensor::TensorData;

use super::Known;
use crate::{
    Error, Result,
    error::quoted,
    graph::{Attribute, GraphNode},
    operators,
};

/// Cuts the derivative of a row of a table at every lookup.
pub(super) fn mask(known: &mut Known, table: &str, row: usize) -> Result<()> {
    let parameter = known
        .parameters
        .iter()
        .find(|parameter| parameter.name == table);
    let names: Vec<&str> = known
        .parameters
        .iter()
        .map(|parameter| &*parameter.name)
        .collect();
    let parameter = parameter.ok_or_else(|| {
        Error::Setting(format!(
            "no parameter is called `{table}`; there are {}",
            quoted(&names)
        ))
    })?;
    let &[rows, width] = parameter.data.shape().as_slice() else {
        return Err(Error::Setting(format!(
            "`{table}` has shape {:?}, expected a table of rows",
            parameter.data.shape()
        )));
    };
    if row >= rows {
        return Err(Error::Setting(format!(
            "`{table}` has rows 0 to {}, got {row}",
            rows - 1
        )));
    }
    let numbers: Vec<f64> = parameter
        .data
        .iter::<f64>()
        .skip(row * width)
        .take(width)
        .collect();
    let constant = TensorData::new(numbers, [width]).convert_dtype(parameter.data.dtype());
    let mut nodes = Vec::with_capacity(known.graph.nodes.len());
    let mut lookups = 0;
    for mut node in std::mem::take(&mut known.graph.nodes) {
        let is_lookup = node.kind == "Gather"
            && node.attributes.int("axis")?.unwrap_or(0) == 0
            && node.inputs.first() == Some(&Some(table.to_owned()));
        let (Some(Some(indices)), true) = (node.inputs.get(1).cloned(), is_lookup) else {
            nodes.push(node);
            continue;
        };
        let Some(output) = node.outputs.first_mut() else {
            continue;
        };
        let result = std::mem::replace(output, format!("{output}/looked up"));
        let [looked_up, name] = [output.clone(), node.name.clone()];
        nodes.push(node);
        let names = [
            format!("{result}/row"),
            format!("{result}/is row"),
            format!("{result}/mask"),
        ];
        known.graph.tensors.insert(
            names[0].clone(),
            TensorData::from([i64::try_from(row).unwrap_or(i64::MAX)]),
        );
        known
            .graph
            .tensors
            .insert(format!("{result}/last axis"), TensorData::from([-1_i64]));
        known
            .graph
            .tensors
            .insert(format!("{result}/padding"), constant.clone());
        let last = format!("{result}/last axis");
        let padding = format!("{result}/padding");
        nodes.push(plain(&name, "Equal", [&indices, &names[0]], &names[1])?);
        nodes.push(plain(&name, "Unsqueeze", [&names[1], &last], &names[2])?);
        nodes.push(plain(
            &name,
            "Where",
            [&names[2], &padding, &looked_up],
            &result,
        )?);
        lookups += 1;
    }
    known.graph.nodes = nodes;
    if lookups == 0 {
        return Err(Error::Setting(format!(
            "no node looks up rows of `{table}`"
        )));
    }
    known
        .remarks
        .push(format!("row {row} of `{table}` is not trained (padding)"));
    Ok(())
}

/// The version of the standard set that added nodes are of.
const VERSION: i64 = 18;

/// A node of the standard set without attributes.
pub(super) fn plain<const N: usize>(
    name: &str,
    kind: &str,
    inputs: [&String; N],
    output: &str,
) -> Result<GraphNode> {
    let inputs = inputs.map(|input| Some(input.clone()));
    operators::node(name, (kind, VERSION), inputs.into(), output, Vec::new())
}

/// A node that transposes a matrix.
pub(super) fn transposing(name: &str, from: &str, to: &str) -> Result<GraphNode> {
    let order = vec![("perm", Attribute::Ints(vec![1, 0]))];
    let inputs = vec![Some(from.to_owned())];
    operators::node(name, ("Transpose", VERSION), inputs, to, order)
}

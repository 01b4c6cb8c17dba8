//! Which tensors of a file are parameters, what they are called, and whether all of them are there.

use std::collections::BTreeMap;

use crate::{
    Result,
    file::File,
    model::{NamedTensor, Settings},
    network::Program,
};

/// A file whose parameters are known.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) parameters: Vec<NamedTensor>,
    pub(crate) program: Program,
    pub(crate) outputs: Vec<String>,
    pub(crate) operators: BTreeMap<String, usize>,
    pub(crate) remarks: Vec<String>,
}

/// Tells parameters from other tensors.
pub(crate) fn tell(file: File, settings: &Settings) -> Result<Told> {
    let graph = file.graph;
    let output = settings
        .output
        .clone()
        .or(graph.outputs.first().cloned())
        .unwrap_or_default();
    let (floats, constants): (BTreeMap<_, _>, BTreeMap<_, _>) = graph
        .tensors
        .into_iter()
        .partition(|(_, data)| data.dtype().is_float());
    let parameters = floats.into_iter().map(|(name, data)| NamedTensor {
        name,
        data,
        trained: true,
        remark: None,
    });
    let mut operators = BTreeMap::new();
    for node in &graph.nodes {
        *operators.entry(node.kind.clone()).or_default() += 1;
    }
    Ok(Told {
        parameters: parameters.collect(),
        program: Program::new(graph.inputs, constants, graph.nodes, output),
        outputs: graph.outputs,
        operators,
        remarks: Vec::new(),
    })
}

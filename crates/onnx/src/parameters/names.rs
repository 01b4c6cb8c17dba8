//! Names of parameters in files that have them in other places, or not at all.

use std::collections::BTreeMap;

use super::Known;
use crate::graph::{GraphNode, NetworkGraph};

/// How PyTorch's exporters call themselves.
pub(super) const PYTORCH: &str = "pytorch";

/// Tells tensors apart that PyTorch's old exporter merged because they are equal: it writes an
/// `Identity` from the one to the name of the other.
pub(super) fn part_merged(graph: &mut NetworkGraph) {
    let tensors = &mut graph.tensors;
    graph.nodes.retain(|node| {
        let ("Identity", [Some(source)], [name]) = (&*node.kind, &*node.inputs, &*node.outputs)
        else {
            return true;
        };
        // Results of nodes have names such as `/block/Add_output_0`.
        let of_module = name.contains('.') && !name.starts_with('/');
        match tensors.get(source).filter(|_| of_module).cloned() {
            Some(data) => {
                tensors.insert(name.clone(), data);
                false
            }
            None => true,
        }
    });
}

/// The node that reads a tensor first, in words.
pub(super) fn reader(graph: &NetworkGraph, name: &str) -> String {
    let node = graph
        .nodes
        .iter()
        .find(|node| node.reads().any(|read| read == name));
    match node {
        Some(node) => format!("node `{}` ({})", node.name, node.kind),
        None => "no node".to_owned(),
    }
}

/// Gives parameters whose names have no dot the name of a layer: that of the node that reads them,
/// or of the matrix product to which it adds them. Blocks and Kronecker factors go by layers.
pub(super) fn give_layers(known: &mut Known) {
    let mut renamed = BTreeMap::new();
    for parameter in known
        .parameters
        .iter()
        .filter(|parameter| !parameter.name.contains('.'))
    {
        let Some(layer) = layer(&known.graph, &parameter.name) else {
            continue;
        };
        renamed.insert(
            parameter.name.clone(),
            format!("{layer}.{}", parameter.name),
        );
    }
    for parameter in &mut known.parameters {
        if let Some(name) = renamed.get(&parameter.name) {
            parameter.name.clone_from(name);
        }
    }
    for tie in &mut known.ties {
        if let Some(name) = renamed.get(&tie.is) {
            tie.is.clone_from(name);
        }
    }
    for node in &mut known.graph.nodes {
        node.rename(&renamed);
    }
}

/// The name of the layer of a parameter.
fn layer<'a>(graph: &'a NetworkGraph, name: &str) -> Option<&'a str> {
    let node = graph
        .nodes
        .iter()
        .find(|node| node.reads().any(|read| read == name))?;
    let added = matches!(&*node.kind, "Add" | "Sub");
    let product = added.then(|| producer(graph, node)).flatten();
    Some(product.map_or(&node.name, |product| &product.name))
}

/// The matrix product or convolution whose result a node reads.
fn producer<'a>(graph: &'a NetworkGraph, node: &GraphNode) -> Option<&'a GraphNode> {
    let mut sources = graph.nodes.iter().filter(|source| {
        source
            .outputs
            .iter()
            .any(|output| node.reads().any(|read| read == output))
    });
    sources.find(|source| matches!(&*source.kind, "MatMul" | "Gemm" | "Conv"))
}

//! What the output is computed from, and where derivatives flow.

use std::collections::HashSet;

use super::{Found, candidates::is_candidate};
use crate::graph::NetworkGraph;

/// Removes the nodes and tensors that no result needs.
pub(super) fn prune(graph: &mut NetworkGraph, results: &[&str]) {
    let mut needed: HashSet<String> = results.iter().copied().map(str::to_owned).collect();
    let mut nodes: Vec<_> = std::mem::take(&mut graph.nodes)
        .into_iter()
        .rev()
        .filter(|node| {
            let is_needed = node.outputs.iter().any(|name| needed.contains(name));
            if is_needed {
                needed.extend(node.reads().map(str::to_owned));
            }
            is_needed
        })
        .collect();
    nodes.reverse();
    graph.nodes = nodes;
    graph.tensors.retain(|name, _| needed.contains(name));
    graph.inputs.retain(|input| needed.contains(&input.name));
}

/// The names to which a derivative flows from a result.
pub(super) fn live(graph: &NetworkGraph, results: &[&str]) -> HashSet<String> {
    let mut live: HashSet<String> = results.iter().copied().map(str::to_owned).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|name| live.contains(name)) {
            live.extend(node.differentiable().map(str::to_owned));
        }
    }
    live
}

/// The tensors of the graph in the order in which nodes read them.
pub(super) fn order(graph: &NetworkGraph) -> Vec<String> {
    let mut seen = HashSet::new();
    let read = graph
        .nodes
        .iter()
        .flat_map(|node| node.reads().map(str::to_owned).collect::<Vec<_>>());
    let tensors = read.filter(|name| graph.tensors.contains_key(name));
    tensors.filter(|name| seen.insert(name.clone())).collect()
}

/// The parameters of a file that does not say which they are.
pub(super) fn found(graph: &NetworkGraph, live: &HashSet<String>, producer: &str) -> Found {
    let mut found = Found::default();
    for (name, data) in &graph.tensors {
        if !live.contains(name) || !is_candidate(name, data) {
            continue;
        }
        // PyTorch's old exporter gives such names to what it computed itself.
        if name.starts_with("onnx::") {
            found.changes.push(format!(
                "`{name}`, which {} reads, is no parameter but was computed from some",
                super::names::reader(graph, name)
            ));
        }
        found.trained.insert(name.clone());
    }
    if !producer.starts_with(super::names::PYTORCH) {
        let who = if producer.is_empty() {
            "an unknown program"
        } else {
            producer
        };
        found.remarks.push(format!(
            "the file was written by {who} and does not say what is trained: every tensor of floats to which a derivative flows is taken as a parameter"
        ));
    }
    found
}

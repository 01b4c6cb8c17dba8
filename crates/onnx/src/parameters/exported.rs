//! Parameters by the record that PyTorch's exporter writes.

use std::collections::{BTreeSet, HashSet};

use super::{Found, Tie, candidates::is_candidate};
use crate::{
    file::{Exported, Why},
    graph::NetworkGraph,
};

/// What the record says of the tensors of a graph.
pub(super) fn found(exported: &Exported, graph: &NetworkGraph, live: &HashSet<String>) -> Found {
    let mut found = Found {
        buffers: exported.buffers.clone(),
        ..Found::default()
    };
    for name in graph
        .tensors
        .keys()
        .filter(|name| exported.parameters.contains(*name))
    {
        if live.contains(name) {
            found.trained.insert(name.clone());
        } else {
            let why = "no derivative of the output flows to it".to_owned();
            found.fixed.insert(name.clone(), why);
        }
    }
    add_changes(exported, graph, &mut found);
    for missing in &exported.missing {
        match &missing.why {
            Why::Unused => found.remarks.push(format!(
                "the network has a parameter `{}` that its output does not depend on; it is left out",
                missing.name
            )),
            Why::Gone => found.changes.push(format!(
                "`{}` is not in the file, and nothing of it is read",
                missing.name
            )),
            Why::TiedTo(other) => found.ties.push(Tie {
                name: missing.name.clone(),
                is: other.clone(),
            }),
        }
    }
    name_by_first(exported, &mut found);
    found
}

/// Gives a parameter with several names the first of them, as PyTorch does.
fn name_by_first(exported: &Exported, found: &mut Found) {
    let place = |name: &str| exported.order.iter().position(|other| other == name);
    let shared: BTreeSet<String> = found.ties.iter().map(|tie| tie.is.clone()).collect();
    for own in shared {
        let names = found
            .ties
            .iter()
            .filter(|tie| tie.is == own)
            .map(|tie| &tie.name);
        let first = names.chain([&own]).min_by_key(|name| place(name)).cloned();
        let Some(first) = first.filter(|first| *first != own) else {
            continue;
        };
        for tie in found.ties.iter_mut().filter(|tie| tie.is == own) {
            tie.is.clone_from(&first);
            if tie.name == first {
                tie.name.clone_from(&own);
            }
        }
        found.renamed.insert(own, first);
    }
}

/// Adds what was done to the parameters that the graph needs.
fn add_changes(exported: &Exported, graph: &NetworkGraph, found: &mut Found) {
    for name in &exported.replaced {
        if graph.tensors.contains_key(name) {
            found.changes.push(format!(
                "`{name}` was replaced by something computed from it"
            ));
        }
    }
    for (name, source) in &exported.folded {
        if graph
            .tensors
            .get(name)
            .is_some_and(|data| is_candidate(name, data))
        {
            found
                .changes
                .push(format!("`{name}` was computed from `{source}`"));
        }
    }
    for node in &graph.nodes {
        if let Some(rule) = exported.fused.get(&node.name) {
            found
                .changes
                .push(format!("node `{}` was made by {rule}", node.name));
        }
    }
}

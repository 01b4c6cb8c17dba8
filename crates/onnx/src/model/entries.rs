//! Which inputs index the rows of a table.

use std::collections::{BTreeMap, HashMap};

use super::NetworkFile;
use crate::graph::GraphNode;

/// Operators that keep every number of their first argument, and its value.
const KEEPING: [&str; 7] = [
    "Identity",
    "Cast",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
];

impl NetworkFile {
    /// Inputs whose numbers are rows of a parameter, as those of embeddings are: their places among
    /// the inputs, and how many rows there are.
    pub fn entries(&self) -> Vec<(usize, usize)> {
        let inputs = self.inputs.iter().enumerate();
        let mut indices: HashMap<&str, usize> = inputs
            .map(|(place, input)| (input.name.as_str(), place))
            .collect();
        let parameters = self.parameters.iter();
        let mut tables: HashMap<&str, usize> = parameters
            .filter_map(|parameter| {
                let rows = parameter.data.shape().first()?;
                Some((parameter.name.as_str(), *rows))
            })
            .collect();
        let mut entries = BTreeMap::new();
        for node in self.program.nodes() {
            let kind = node.kind.as_str();
            let [first, second] = [0, 1].map(|place| argument(node, place));
            let result = node.outputs.first().map_or("", String::as_str);
            if let Some(&place) = indices.get(first).filter(|_| KEEPING.contains(&kind)) {
                indices.insert(result, place);
            }
            match (kind, tables.get(first), indices.get(second)) {
                ("Identity", Some(&rows), _) => drop(tables.insert(result, rows)),
                ("Gather" | "aten.embedding.default", Some(&rows), Some(&place))
                    if of_rows(node) =>
                {
                    let least = entries.entry(place).or_insert(rows);
                    *least = rows.min(*least);
                }
                _ => {}
            }
        }
        entries.into_iter().collect()
    }
}

/// The name of an argument; empty where there is none.
fn argument(node: &GraphNode, place: usize) -> &str {
    let argument = node.inputs.get(place).and_then(Option::as_deref);
    argument.unwrap_or_default()
}

/// Whether rows are chosen.
fn of_rows(node: &GraphNode) -> bool {
    matches!(node.attributes.int("axis"), Ok(None | Some(0)))
}

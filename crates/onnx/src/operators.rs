//! The operators of ONNX in terms of burn's.
//!
//! Each family has a file, and a function there that gives the operator of a name. An operator is a
//! function from the arguments of a [`Call`] to its results. Versions of the standard set differ in
//! whether axes and sizes are attributes or arguments; a call reads both.

mod activation;
mod arithmetic;
mod aten;
mod attention;
mod comparison;
mod constant;
mod control;
mod convolution;
mod einsum;
mod elementwise;
mod indexing;
mod linear;
mod loss;
mod ml;
mod normalisation;
mod padding;
mod pooling;
mod recurrent;
mod reduction;
mod resize;
mod scatter;
mod sequence;
mod shape;
mod slicing;
mod standard;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use ml::expand;
pub(crate) use standard::node;

use std::{collections::BTreeMap, fmt::Write};

use crate::{Error, Result};

pub(crate) use crate::graph::{Call, Operator, Run, Slot, each, one};

/// The operator of a name in a set of operators, if it is known.
pub(crate) fn find(domain: &str, name: &str) -> Option<Operator> {
    match domain {
        "" | "ai.onnx" => standard::find(name),
        "ai.onnx.ml" => ml::find(name),
        "aten" => aten::find(name),
        "_operator" | "math" | "torch" => aten::find_symbolic(name),
        _ => None,
    }
}

/// Refuses operators that are not known, with the nodes that have them.
///
/// # Errors
/// When there are any.
pub(crate) fn all_known(unknown: &BTreeMap<String, Vec<String>>) -> Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let mut message = "the network uses operators that are not supported:".to_owned();
    for (operator, nodes) in unknown {
        let shown = nodes.iter().take(3).map(|node| format!("`{node}`"));
        let shown: Vec<String> = shown.collect();
        let more = match nodes.len().saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        // Writing to a string does not fail.
        let _ = write!(message, "\n  {operator} in {}{more}", shown.join(", "));
    }
    Err(Error::UnknownOperators(message))
}

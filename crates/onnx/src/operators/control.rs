//! Branches.

use super::{Call, Operator, Slot};
use crate::{Error, Result};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "If" => Operator::flat(branch),
        _ => return None,
    })
}

/// The branch that a known condition chooses.
fn branch(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let condition = call.value(0)?;
    if !condition.known {
        return Err(Error::operator(
            "the condition depends on the data, so that samples of a batch take one branch; export the network without the branch, or with torch.where in its place",
        ));
    }
    let truth = condition.ints()?.first().is_some_and(|&truth| truth != 0);
    let name = if truth { "then_branch" } else { "else_branch" };
    let graph = call.node.attributes.graph(name)?;
    let graph = graph.ok_or_else(|| Error::Operator(format!("attribute `{name}` is missing")))?;
    call.environment.outputs(graph, call.devices)
}

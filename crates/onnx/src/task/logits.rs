//! Where a file computes probabilities from the logits that a loss is taken of.

use super::settings::LossKind;
use crate::{graph::GraphNode, network::Program};

/// Operators that change no number, of ONNX and of PyTorch, in small letters.
const COPIES: [&str; 5] = ["identity", "dropout", "alias", "clone", "contiguous"];
/// Operators that change nothing but the shape.
const RESHAPES: [&str; 5] = ["flatten", "reshape", "squeeze", "unsqueeze", "view"];

/// The node that makes the probabilities of the output, which has `axes` axes, if the program ends
/// in one.
///
/// The losses of classes and labels compute the softmax or the sigmoid themselves, of logits. Of
/// probabilities they would be other losses, with a curvature that is nobody's.
pub(super) fn probabilities(program: &Program, kind: LossKind, axes: usize) -> Option<&GraphNode> {
    let sigmoid = kind == LossKind::BinaryCrossEntropy;
    if !sigmoid && !kind.has_classes() {
        return None;
    }
    let mut tensor = program.output();
    loop {
        let makes = |node: &&GraphNode| node.outputs.first().is_some_and(|made| made == tensor);
        let node = program.nodes().find(makes)?;
        let operator = in_small_letters(&node.kind);
        match operator.as_str() {
            "sigmoid" if sigmoid => return Some(node),
            // A change of shape after a softmax might move the classes to another axis.
            "softmax" | "_softmax" if !sigmoid => return is_along(node, axes).then_some(node),
            copies if COPIES.contains(&copies) => {}
            reshapes if sigmoid && RESHAPES.contains(&reshapes) => {}
            _ => return None,
        }
        tensor = node.inputs.first()?.as_deref()?;
    }
}

/// An operator without the set it belongs to, and without its overload: `Softmax` and
/// `aten.softmax.int` are the same.
fn in_small_letters(operator: &str) -> String {
    let name = operator.strip_prefix("aten.").unwrap_or(operator);
    let name = name.split('.').next().unwrap_or(name);
    name.to_ascii_lowercase()
}

/// Whether a softmax is along the last of this many axes.
fn is_along(softmax: &GraphNode, axes: usize) -> bool {
    let axis = |name| softmax.attributes.int(name).ok().flatten();
    let axis = axis("axis").or(axis("dim")).unwrap_or(-1);
    axis == -1 || usize::try_from(axis) == Ok(axes - 1)
}

//! Where a file computes probabilities from the logits that a loss is taken of.

use super::settings::LossKind;
use crate::{graph::Node, network::Program};

/// Operators that change no number.
const COPIES: [&str; 2] = ["Identity", "Dropout"];
/// Operators that change nothing but the shape.
const RESHAPES: [&str; 4] = ["Flatten", "Reshape", "Squeeze", "Unsqueeze"];

/// The node that makes the probabilities of the output, which has `axes` axes, if the program ends
/// in one.
///
/// The losses of classes and labels compute the softmax or the sigmoid themselves, of logits. Of
/// probabilities they would be other losses, with a curvature that is nobody's.
pub(super) fn probabilities(program: &Program, kind: LossKind, axes: usize) -> Option<&Node> {
    let sigmoid = kind == LossKind::BinaryCrossEntropy;
    if !sigmoid && !kind.has_classes() {
        return None;
    }
    let mut tensor = program.output();
    loop {
        let makes = |node: &&Node| node.outputs.first().is_some_and(|made| made == tensor);
        let node = program.nodes().find(makes)?;
        let operator = node.kind.as_str();
        match operator {
            "Sigmoid" if sigmoid => return Some(node),
            // A change of shape after a softmax might move the classes to another axis.
            "Softmax" if !sigmoid => return is_along(node, axes).then_some(node),
            _ => {}
        }
        if !COPIES.contains(&operator) && !(sigmoid && RESHAPES.contains(&operator)) {
            return None;
        }
        tensor = node.inputs.first()?.as_deref()?;
    }
}

/// Whether a softmax is along the last of this many axes.
fn is_along(softmax: &Node, axes: usize) -> bool {
    let axis = softmax.attributes.int("axis").ok().flatten();
    let axis = axis.unwrap_or(-1);
    axis == -1 || usize::try_from(axis) == Ok(axes - 1)
}

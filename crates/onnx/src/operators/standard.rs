//! The standard set of operators.

use super::{
    Operator, activation, arithmetic, attention, comparison, constant, control, convolution,
    einsum, elementwise, indexing, linear, loss, normalisation, padding, pooling, recurrent,
    reduction, resize, scatter, sequence, shape, slicing,
};
use crate::{
    Error, Result,
    graph::{Attribute, Attributes, GraphNode},
};

/// The operator of a name, if it is known.
pub(crate) fn find(name: &str) -> Option<Operator> {
    FAMILIES.iter().find_map(|find| find(name))
}

/// A node of the set with one result.
///
/// # Errors
/// When no operator has this name.
pub(crate) fn node(
    name: &str,
    (kind, version): (&str, i64),
    inputs: Vec<Option<String>>,
    output: &str,
    attributes: Vec<(&str, Attribute)>,
) -> Result<GraphNode> {
    let operator = find(kind).ok_or_else(|| Error::Operator(format!("{kind} is not known")))?;
    let attributes = attributes.into_iter();
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Ok(GraphNode {
        name: name.to_owned(),
        kind: kind.to_owned(),
        operator,
        version,
        inputs,
        outputs: vec![output.to_owned()],
        attributes: Attributes(attributes.collect()),
    })
}

/// The operators of each family.
const FAMILIES: [fn(&str) -> Option<Operator>; 22] = [
    activation::find,
    arithmetic::find,
    attention::find,
    comparison::find,
    constant::find,
    control::find,
    convolution::find,
    einsum::find,
    elementwise::find,
    indexing::find,
    linear::find,
    loss::find,
    normalisation::find,
    padding::find,
    pooling::find,
    recurrent::find,
    reduction::find,
    resize::find,
    scatter::find,
    sequence::find,
    shape::find,
    slicing::find,
];

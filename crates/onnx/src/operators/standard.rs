//! The standard set of operators.

use super::{
    Operator, activation, arithmetic, attention, comparison, constant, control, convolution,
    einsum, elementwise, indexing, linear, loss, normalisation, padding, pooling, recurrent,
    reduction, resize, scatter, sequence, shape, slicing,
};

/// The operator of a name, if it is known.
pub(crate) fn find(name: &str) -> Option<Operator> {
    FAMILIES.iter().find_map(|find| find(name))
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

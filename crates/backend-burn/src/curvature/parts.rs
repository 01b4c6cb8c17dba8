//! Operators that are sums over batches.

use std::ops::Range;

use influence_core::{
    Result as CoreResult, Rows,
    block::{Block, ParameterLayout},
    operator::LinearOperator,
};

use crate::Stack;

/// The sum over all parts of an operator.
pub(super) fn sum_of_parts(
    operator: &dyn LinearOperator<Rows = Stack>,
    rows: &Stack,
) -> CoreResult<Stack> {
    let mut sum = operator.apply_part(0, rows)?;
    for part in 1..operator.parts() {
        sum = sum.add_scaled(1.0, &operator.apply_part(part, rows)?)?;
    }
    Ok(sum)
}

/// The columns within a block of each parameter of the layout, if the block has it.
pub(super) fn places(block: &Block, parameters: &ParameterLayout) -> Vec<Option<Range<usize>>> {
    let mut places = vec![None; parameters.parameters().len()];
    let mut end = 0;
    for &parameter in block.parameters() {
        let start = end;
        end += parameters.columns(parameter).len();
        places[parameter] = Some(start..end);
    }
    places
}

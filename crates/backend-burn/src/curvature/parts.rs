//! Operators that are sums over batches.

use std::ops::Range;

use influence_core::{
    Result as CoreResult, Rows,
    block::{Block, ParameterLayout},
    operator::LinearOperator,
    summation::Sums,
};
use ndarray::Ix2;

use super::TrainingData;
use crate::{Stack, tensors::single};

/// The sum over some parts of an operator, added in order on the device.
pub(super) fn sum_of_parts(
    operator: &dyn LinearOperator<Rows = Stack>,
    parts: Range<usize>,
    rows: &Stack,
) -> CoreResult<Stack> {
    let mut sum = operator.apply_part(parts.start, rows)?;
    for part in parts.skip(1) {
        sum = sum.add_scaled(1.0, &operator.apply_part(part, rows)?)?;
    }
    Ok(sum)
}

/// The sum over all parts of an operator, added in order on the device; where processes compute
/// them together, each has some of the parts computed by others.
pub(super) fn sum_in_order(
    operator: &dyn LinearOperator<Rows = Stack>,
    data: &TrainingData,
    rows: &Stack,
) -> CoreResult<Stack> {
    let mut sum: Option<Stack> = None;
    let mut add = |part: Sums| {
        let part = rows.like(single::<Ix2>(part)?.view())?;
        sum = Some(match sum.take() {
            Some(sum) => sum.add_scaled(1.0, &part)?,
            None => part,
        });
        Ok(())
    };
    if !rows.is_empty() {
        let part = |part| host(&operator.apply_part(part, rows)?);
        data.in_order("products while solving", &|| host(rows), &part, &mut add)?;
    }
    sum.map_or_else(|| sum_of_parts(operator, 0..operator.parts(), rows), Ok)
}

fn host(rows: &Stack) -> CoreResult<Sums> {
    Ok(vec![rows.to_host()?.into_dyn()])
}

/// The sum over all parts of an operator, through the summation of its data.
pub(super) fn shared_sum(
    operator: &dyn LinearOperator<Rows = Stack>,
    data: &TrainingData,
    rows: &Stack,
) -> CoreResult<Stack> {
    if rows.is_empty() {
        return operator.apply(rows);
    }
    let sum = data.sum("products", &|| host(rows), &|parts| {
        host(&sum_of_parts(operator, parts, rows)?)
    });
    rows.like(single::<Ix2>(sum?)?.view())
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

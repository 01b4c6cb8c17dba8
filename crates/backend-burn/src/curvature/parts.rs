//! Operators that are sums over batches.

use std::ops::Range;

use influence_core::{
    Result as CoreResult, Rows,
    block::{Block, ParameterLayout},
    operator::LinearOperator,
    summation::Sums,
};
use ndarray::Ix2;

use super::{TrainingData, pairs::in_pairs};
use crate::{Stack, tensors::single};

/// A sum that is added to.
#[derive(Default)]
struct SumOfParts(Option<Stack>);

impl SumOfParts {
    fn add(&mut self, part: Stack) -> CoreResult<()> {
        self.0 = Some(match self.0.take() {
            Some(sum) => sum.add_scaled(1.0, &part)?,
            None => part,
        });
        Ok(())
    }

    /// The sum, zero where nothing was added.
    fn into_stack(self, like: &Stack) -> Stack {
        self.0.unwrap_or_else(|| like.zeros(like.len(), like.dim()))
    }
}

/// The sum over all parts of an operator, added in order on the device; where processes compute
/// them together, each has some of the parts computed by others.
pub(super) fn sum_in_order(
    operator: &dyn LinearOperator<Rows = Stack>,
    data: &TrainingData,
    rows: &Stack,
) -> CoreResult<Stack> {
    let mut sum = SumOfParts::default();
    let mut add = |part: Sums| sum.add(rows.like(single::<Ix2>(part)?.view())?);
    let part = |part| host(&operator.apply_part(part, rows)?);
    let name = "products while solving";
    if rows.is_empty() || !data.in_order(name, &|| host(rows), &part, &mut add)? {
        let part = |part| operator.apply_part(part, rows);
        in_pairs(0..operator.parts(), part, |part| sum.add(part))?;
    }
    Ok(sum.into_stack(rows))
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
        let mut sum = SumOfParts::default();
        let part = |part| operator.apply_part(part, rows);
        in_pairs(parts, part, |part| sum.add(part))?;
        host(&sum.into_stack(rows))
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

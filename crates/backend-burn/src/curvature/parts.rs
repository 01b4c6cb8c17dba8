//! Operators that are sums over batches.
//!
//! Their parts are the batches that were asked for: a solver that sees one at a time sees no less,
//! however they are cut for the sums.

use std::ops::Range;

use influence_core::{
    Result as CoreResult, Rows,
    block::{Block, ParameterLayout},
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

/// The sum over all batches of what `part` computes of each, added in order on the device; where
/// processes compute them together, each has some of the batches computed by others.
pub(super) fn sum_in_order(
    data: &TrainingData,
    rows: &Stack,
    part: impl Fn(usize) -> CoreResult<Stack> + Sync,
) -> CoreResult<Stack> {
    let mut sum = SumOfParts::default();
    let mut add = |part: Sums| sum.add(rows.like(single::<Ix2>(part)?.view())?);
    let name = "products while solving";
    let on_host = |batch| host(&part(batch)?);
    if !rows.is_empty() && data.in_order(name, &|| host(rows), &on_host, &mut add)? {
        return Ok(sum.into_stack(rows));
    }
    sum_of(0..data.batches(), rows, part)
}

/// The sum over some batches, added in order on the device, by this process.
pub(super) fn sum_of(
    batches: Range<usize>,
    rows: &Stack,
    part: impl Fn(usize) -> CoreResult<Stack> + Sync,
) -> CoreResult<Stack> {
    let mut sum = SumOfParts::default();
    in_pairs(batches, part, |part| sum.add(part))?;
    Ok(sum.into_stack(rows))
}

fn host(rows: &Stack) -> CoreResult<Sums> {
    Ok(vec![rows.to_host()?.into_dyn()])
}

/// The same sum, through the summation of the data.
pub(super) fn shared_sum(
    data: &TrainingData,
    rows: &Stack,
    part: impl Fn(usize) -> CoreResult<Stack> + Sync,
) -> CoreResult<Stack> {
    if rows.is_empty() {
        return sum_in_order(data, rows, part);
    }
    let sum = data.sum("products", &|| host(rows), &|batches| {
        host(&sum_of(batches, rows, &part)?)
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

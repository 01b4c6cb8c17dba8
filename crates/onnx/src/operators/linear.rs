//! Matrix products.

use burn::backend::{Dispatch, ops::FloatTensorOps};

use super::{Call, Differentiable, Operator, Slot, one};
use crate::{Result, value::Value};

pub(super) fn find(name: &str) -> Option<Operator> {
    let run = match name {
        "MatMul" => matmul,
        _ => return None,
    };
    Some(Operator {
        run,
        differentiable: Differentiable::All,
    })
}

fn matmul(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [left, right] = call.together([0, 1])?;
    let rank = left.rank().max(right.rank());
    let (left, right) = (left.lift(rank)?, right.lift(rank)?);
    let product: Value = left.with(Dispatch::float_matmul(left.tensor.clone(), right.tensor));
    Ok(one(product))
}

//! Functions of single numbers, and of pairs of them.

use burn::backend::{
    Dispatch,
    ops::{ActivationOps, FloatTensorOps},
};

use super::{Call, Differentiable, Operator, Slot, one};
use crate::{Result, value::broadcast};

pub(super) fn find(name: &str) -> Option<Operator> {
    let run = match name {
        "Identity" => identity,
        "Relu" => relu,
        "Add" => add,
        _ => return None,
    };
    Some(Operator {
        run,
        differentiable: Differentiable::All,
    })
}

fn identity(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    Ok(one(call.value(0)?))
}

fn relu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let like = value.clone();
    Ok(one(like.shaped_as(like.kind, Dispatch::relu(value.tensor))))
}

fn add(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [left, right] = call.together([0, 1])?;
    let dims = broadcast(&left.dims(), &right.dims())?;
    let (left, right) = (left.lift(dims.len())?, right.lift(dims.len())?);
    let like = left.clone();
    Ok(one(
        like.with(Dispatch::float_add(left.tensor, right.tensor))
    ))
}

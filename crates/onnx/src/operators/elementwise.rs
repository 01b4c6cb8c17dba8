//! Functions of single numbers.

use burn::backend::{
    Dispatch, DispatchTensor,
    ops::{FloatTensorOps, IntTensorOps},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, each, one};
use crate::{Error, Result, value::Value};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "Identity" => |call| Ok(vec![call.slot(0)?]),
        "Dropout" => return Some(Operator::through(dropout, &[0])),
        "Exp" => |call| each(call, Dispatch::float_exp),
        "Log" => |call| each(call, Dispatch::float_log),
        "Sqrt" => |call| each(call, Dispatch::float_sqrt),
        "Reciprocal" => |call| each(call, Dispatch::float_recip),
        "Erf" => |call| each(call, Dispatch::float_erf),
        "Sin" => |call| each(call, Dispatch::float_sin),
        "Cos" => |call| each(call, Dispatch::float_cos),
        "Tan" => |call| each(call, Dispatch::float_tan),
        "Sinh" => |call| each(call, Dispatch::float_sinh),
        "Cosh" => |call| each(call, Dispatch::float_cosh),
        "Asin" => |call| each(call, Dispatch::float_asin),
        "Acos" => |call| each(call, Dispatch::float_acos),
        "Atan" => |call| each(call, Dispatch::float_atan),
        "Asinh" => |call| each(call, Dispatch::float_asinh),
        "Acosh" => |call| each(call, Dispatch::float_acosh),
        "Atanh" => |call| each(call, Dispatch::float_atanh),
        "Abs" => |call| number(call, Dispatch::float_abs, Dispatch::int_abs),
        "Neg" => |call| number(call, Dispatch::float_neg, Dispatch::int_neg),
        _ => return steps(name),
    }))
}

/// Functions that are constant but for jumps, whose derivative is 0.
fn steps(name: &str) -> Option<Operator> {
    Some(Operator::flat(match name {
        "Sign" => |call| number(call, Dispatch::float_sign, Dispatch::int_sign),
        "Floor" => |call| whole(call, Dispatch::float_floor),
        "Ceil" => |call| whole(call, Dispatch::float_ceil),
        "Round" => |call| whole(call, Dispatch::float_round),
        _ => return None,
    }))
}

/// A function of floats or of integers.
fn number(
    call: &mut Call<'_>,
    float: fn(DispatchTensor) -> DispatchTensor,
    int: fn(DispatchTensor) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    Ok(one(match value.kind {
        FieldKind::Int => value.map(int),
        _ => value.float()?.map(float),
    }))
}

/// Floats rounded to whole numbers.
fn whole(
    call: &mut Call<'_>,
    operation: fn(DispatchTensor) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    Ok(one(call.float(0)?.rounded().map(operation)))
}

/// Nothing is dropped when a network is evaluated.
fn dropout(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    if let Some(training) = call.optional(2)? {
        let training = training
            .ints()
            .map_or(true, |ints| ints.iter().any(|&int| int != 0));
        if training {
            return Err(Error::operator(
                "it drops numbers at random (training_mode); export the network in evaluation mode, after model.eval()",
            ));
        }
    }
    let kept = Value::full(1.0, &value.dims(), call.devices)?;
    Ok(vec![
        value.into(),
        kept.cast(FieldKind::Bool, call.devices).into(),
    ])
}

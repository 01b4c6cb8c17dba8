//! Sizes, and numbers that are computed from them.

use super::{
    Run,
    arguments::{signed, truncated, wrong},
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};
use burn::tensor::TensorData;

/// Operators of tensors that give sizes.
pub(super) fn find_size(name: &str) -> Option<Run> {
    Some(match name {
        "sym_size" | "size" => size,
        "sym_numel" | "numel" => count,
        "item" | "_local_scalar_dense" => same,
        _ => return None,
    })
}

/// Functions of sizes.
pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "add" | "sub" | "mul" | "floordiv" | "mod" | "truediv" | "pow" | "sym_min" | "sym_max" => {
            pair
        }
        "neg" => negative,
        "trunc" | "floor" | "ceil" | "sym_float" | "sym_int" | "sym_sqrt" => rounded,
        _ => return None,
    })
}

fn whole(call: &Call<'_>, number: i64) -> Vec<Slot> {
    let none: [usize; 0] = [];
    one(Value::known(
        TensorData::new(vec![number], none),
        call.devices,
    ))
}

fn size(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let axis = call.whole("dim")?.unwrap_or(0);
    let value = call.tensor("self")?;
    let side = value.dims()[value.axis(axis)?];
    Ok(whole(call, signed(side)))
}

fn count(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let count = call.tensor("self")?.dims().iter().product();
    Ok(whole(call, signed(count)))
}

/// A number out of a tensor, which must not depend on data.
fn same(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    value.data()?;
    Ok(one(value.reshape(&[])?))
}

/// An operand: a number, whole or not.
fn operand(call: &mut Call<'_>, name: &str) -> Result<(f64, bool)> {
    let is_whole = match call.node.attributes.0.get(name) {
        Some(Attribute::Float(_)) => false,
        Some(Attribute::Arguments(_)) => {
            let value = call.shown(name)?;
            value.kind == influence_core::FieldKind::Int
        }
        _ => true,
    };
    let number = call.number_of(name)?;
    Ok((
        number.ok_or_else(|| wrong(format_args!("argument `{name}` is missing")))?,
        is_whole,
    ))
}

fn result(call: &Call<'_>, number: f64, is_whole: bool) -> Vec<Slot> {
    if is_whole {
        whole(call, truncated(number))
    } else {
        one(call.known_float(number))
    }
}

fn pair(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let ((left, left_whole), (right, right_whole)) = (operand(call, "a")?, operand(call, "b")?);
    let mut is_whole = left_whole && right_whole;
    let number = match call.base() {
        "add" => left + right,
        "sub" => left - right,
        "mul" => left * right,
        "floordiv" => (left / right).floor(),
        "mod" => left - (left / right).floor() * right,
        "sym_min" => left.min(right),
        "sym_max" => left.max(right),
        "pow" => left.powf(right),
        _ => {
            is_whole = false;
            left / right
        }
    };
    Ok(result(call, number, is_whole))
}

fn negative(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (number, is_whole) = operand(call, "a")?;
    Ok(result(call, -number, is_whole))
}

fn rounded(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let name = if call.has("a") { "a" } else { "x" };
    let (number, _) = operand(call, name)?;
    Ok(match call.base() {
        "floor" => whole(call, truncated(number.floor())),
        "ceil" => whole(call, truncated(number.ceil())),
        "sym_float" => one(call.known_float(number)),
        "sym_sqrt" => one(call.known_float(number.sqrt())),
        _ => whole(call, truncated(number)),
    })
}

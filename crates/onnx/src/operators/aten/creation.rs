//! Tensors of numbers that the program gives.

use burn::tensor::TensorData;
use influence_core::FieldKind;

use super::{
    Run,
    arguments::{number, truncated, wrong},
};
use crate::{
    Result,
    operators::{Call, Slot, one},
    value::Value,
};

/// The most numbers of a tensor that is made of nothing.
const MOST: usize = 1 << 28;

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "arange" => arange,
        "linspace" => linspace,
        "eye" => eye,
        "full" | "new_full" => full,
        "full_like" => |call| like(call, None),
        "fill" => |call| like(call, None),
        "zeros" | "new_zeros" | "empty" | "new_empty" => |call| constant(call, 0.0),
        "ones" | "new_ones" => |call| constant(call, 1.0),
        "zeros_like" | "empty_like" | "zero" => |call| like(call, Some(0.0)),
        "ones_like" => |call| like(call, Some(1.0)),
        "scalar_tensor" => scalar,
        _ => return None,
    })
}

fn sizes(call: &mut Call<'_>) -> Result<Vec<usize>> {
    let sizes = call.wholes("size")?.unwrap_or_default();
    let side =
        |size: i64| usize::try_from(size).map_err(|_| wrong(format_args!("a length of {size}")));
    let dims = sizes.into_iter().map(side).collect::<Result<Vec<_>>>()?;
    check(&dims)?;
    Ok(dims)
}

fn check(dims: &[usize]) -> Result<()> {
    let count = dims
        .iter()
        .try_fold(1_usize, |count, &side| count.checked_mul(side));
    match count {
        Some(count) if count <= MOST => Ok(()),
        _ => Err(wrong(format_args!(
            "a tensor of shape {dims:?} is too large"
        ))),
    }
}

/// The same number everywhere.
fn filled(call: &Call<'_>, given: f64, kind: FieldKind, dims: &[usize]) -> Result<Value> {
    check(dims)?;
    number(given, kind, call.devices).expand(dims)
}

fn constant(call: &mut Call<'_>, given: f64) -> Result<Vec<Slot>> {
    let (dims, kind) = (sizes(call)?, call.kind()?);
    Ok(one(filled(call, given, kind, &dims)?))
}

fn full(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let given = call.number_of("fill_value")?.unwrap_or(0.0);
    constant(call, given)
}

/// A number in the shape of a tensor; one that is given, if none is said here.
fn like(call: &mut Call<'_>, given: Option<f64>) -> Result<Vec<Slot>> {
    let (dims, kind) = (call.tensor("self")?.dims(), call.kind()?);
    let name = if call.has("value") {
        "value"
    } else {
        "fill_value"
    };
    if given.is_none() && call.base() == "fill" {
        return Ok(one(call.operand(name, kind)?.expand(&dims)?));
    }
    let given = match given {
        Some(given) => given,
        None => call.number_of(name)?.unwrap_or(0.0),
    };
    Ok(one(filled(call, given, kind, &dims)?))
}

fn scalar(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    Ok(one(call.operand("s", kind)?))
}

fn arange(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let start = call.number_of("start")?.unwrap_or(0.0);
    let end = call.number_of("end")?.unwrap_or(0.0);
    let step = call.number_of("step")?.unwrap_or(1.0);
    let count = ((end - start) / step).ceil().max(0.0);
    if count.is_nan() || count > MOST as f64 {
        return Err(wrong(format_args!(
            "numbers from {start} to {end} in steps of {step}"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the most that there may be"
    )]
    let count = count as usize;
    let numbers = (0..count).map(|index| start + step * index as f64);
    Ok(one(listed(call, numbers.collect())?))
}

/// Numbers in a vector.
fn listed(call: &Call<'_>, numbers: Vec<f64>) -> Result<Value> {
    let dims = [numbers.len()];
    let kind = call.kind()?;
    let data = match kind {
        FieldKind::Float => TensorData::new(numbers, dims),
        _ => TensorData::new(numbers.into_iter().map(truncated).collect::<Vec<_>>(), dims),
    };
    Ok(Value::known(data, call.devices).cast(kind, call.devices))
}

fn linspace(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let start = call.number_of("start")?.unwrap_or(0.0);
    let end = call.number_of("end")?.unwrap_or(0.0);
    let steps = call
        .whole("steps")?
        .and_then(|steps| usize::try_from(steps).ok());
    let steps = steps.filter(|&steps| steps <= MOST);
    let steps = steps.ok_or_else(|| wrong("argument `steps` is missing, or too large"))?;
    let width = (end - start) / (steps.max(2) - 1) as f64;
    let numbers = (0..steps).map(|index| start + width * index as f64);
    Ok(one(listed(call, numbers.collect())?))
}

fn eye(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let rows = call
        .whole("n")?
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    let columns = call
        .whole("m")?
        .and_then(|m| usize::try_from(m).ok())
        .unwrap_or(rows);
    check(&[rows, columns])?;
    let entry = |index: usize| f64::from(u8::from(index / columns == index % columns));
    let numbers = (0..rows * columns).map(entry).collect();
    Ok(one(listed(call, numbers)?.reshape(&[rows, columns])?))
}

//! Sums and other functions of all numbers along axes.

use influence_core::FieldKind::{Bool, Float, Int};

use super::{
    Run,
    arguments::{number, signed, vector, wrong},
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "sum" => |call| reduced(call, "ReduceSum"),
        "mean" => |call| reduced(call, "ReduceMean"),
        "prod" => |call| reduced(call, "ReduceProd"),
        "amax" => |call| reduced(call, "ReduceMax"),
        "amin" => |call| reduced(call, "ReduceMin"),
        "logsumexp" => |call| reduced(call, "ReduceLogSumExp"),
        "max" => |call| extreme(call, "ReduceMax", "ArgMax", "Max"),
        "min" => |call| extreme(call, "ReduceMin", "ArgMin", "Min"),
        "argmax" => |call| place(call, "ArgMax"),
        "argmin" => |call| place(call, "ArgMin"),
        "any" => |call| truth(call, "ReduceMax"),
        "all" => |call| truth(call, "ReduceMin"),
        "var" => |call| Ok(one(variance(call)?.0)),
        "std" => deviation,
        "var_mean" => with_mean,
        "std_mean" => deviation_with_mean,
        "norm" | "linalg_vector_norm" | "linalg_norm" => norm,
        "cosine_similarity" => cosine,
        "cumsum" => cumulated,
        "topk" => largest,
        _ => return None,
    })
}

/// The axes of a reduction; all of them where none is given.
fn axes(call: &mut Call<'_>, value: &Value) -> Result<Vec<i64>> {
    let given = call.wholes("dim")?.filter(|axes| !axes.is_empty());
    let all = || (0..value.rank()).map(signed).collect();
    let axes: Vec<i64> = given.unwrap_or_else(all);
    if value.rank() == 0 {
        return Ok(Vec::new());
    }
    let from_first = |axis| value.axis(axis).map(signed);
    axes.into_iter().map(from_first).collect()
}

fn kept(call: &Call<'_>) -> Result<Attribute> {
    Ok(Attribute::Int(i64::from(call.is_set("keepdim")?)))
}

/// A reduction along these axes.
fn along(call: &Call<'_>, operator: &str, value: Value, axes: &[i64], keep: bool) -> Result<Value> {
    if axes.is_empty() {
        return Ok(value);
    }
    let axes = vector(axes, call.devices);
    let keep = vec![("keepdims", Attribute::Int(i64::from(keep)))];
    call.onnx_with(operator, [Some(value), Some(axes)], keep)
}

fn reduced(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    let (axes, keep) = (axes(call, &value)?, call.is_set("keepdim")?);
    Ok(one(along(call, operator, value, &axes, keep)?))
}

/// The largest number, and where there is an axis its place; or the larger of two.
fn extreme(call: &mut Call<'_>, reduce: &str, find: &str, pair: &str) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    if call.has("other") {
        let other = call.operand("other", kind)?;
        return Ok(one(call.onnx(pair, [value, other])?));
    }
    let (axes, keep) = (axes(call, &value)?, call.is_set("keepdim")?);
    let extreme = along(call, reduce, value.clone(), &axes, keep)?;
    let [axis] = axes.as_slice() else {
        return Ok(one(extreme));
    };
    let place = found(call, find, value, *axis, kept(call)?)?;
    Ok(vec![extreme.into(), place.into()])
}

fn found(
    call: &Call<'_>,
    operator: &str,
    value: Value,
    axis: i64,
    kept: Attribute,
) -> Result<Value> {
    let attributes = vec![("axis", Attribute::Int(axis)), ("keepdims", kept)];
    call.onnx_with(operator, [Some(value)], attributes)
}

fn place(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let Some(axis) = call.whole("dim")? else {
        let count = value.dims().iter().product();
        let flat = value.reshape(&[count])?;
        let place = found(call, operator, flat, 0, Attribute::Int(0))?;
        return Ok(one(place.reshape(&[])?));
    };
    let kept = kept(call)?;
    Ok(one(found(call, operator, value, axis, kept)?))
}

/// Whether any number, or all, are not zero.
fn truth(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let value = call.operand("self", Bool)?.cast(Int, call.devices);
    let (axes, keep) = (axes(call, &value)?, call.is_set("keepdim")?);
    Ok(one(
        along(call, operator, value, &axes, keep)?.cast(Bool, call.devices)
    ))
}

/// The variance and the mean.
fn variance(call: &mut Call<'_>) -> Result<(Value, Value)> {
    let value = call.operand("self", Float)?;
    let (axes, keep) = (axes(call, &value)?, call.is_set("keepdim")?);
    let dims = value.dims();
    let lengths = axes
        .iter()
        .filter_map(|&axis| dims.get(usize::try_from(axis).ok()?));
    let count: usize = lengths.product();
    let lost = match call.number_of("correction")? {
        Some(correction) => correction,
        None if call.has("unbiased") && !call.is_set("unbiased")? => 0.0,
        None => 1.0,
    };
    let mean = along(call, "ReduceMean", value.clone(), &axes, true)?;
    let apart = call.onnx("Sub", [value.clone(), mean])?;
    let squared = call.onnx("Mul", [apart.clone(), apart])?;
    let sum = along(call, "ReduceSum", squared, &axes, keep)?;
    let variance = call.onnx(
        "Mul",
        [
            sum,
            call.known_float((count as f64 - lost).max(0.0).recip()),
        ],
    )?;
    Ok((variance, along(call, "ReduceMean", value, &axes, keep)?))
}

fn deviation(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (variance, _) = variance(call)?;
    Ok(one(call.onnx("Sqrt", [variance])?))
}

fn with_mean(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (variance, mean) = variance(call)?;
    Ok(vec![variance.into(), mean.into()])
}

fn deviation_with_mean(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (variance, mean) = variance(call)?;
    Ok(vec![call.onnx("Sqrt", [variance])?.into(), mean.into()])
}

fn norm(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let order = call
        .number_of("ord")?
        .or(call.number_of("p")?)
        .unwrap_or(2.0);
    let (axes, keep) = (axes(call, &value)?, call.is_set("keepdim")?);
    let operator = match order {
        1.0 => "ReduceL1",
        2.0 => "ReduceL2",
        other => return Err(wrong(format_args!("a norm of order {other}"))),
    };
    Ok(one(along(call, operator, value, &axes, keep)?))
}

/// The cosine of the angle between two vectors along an axis; lengths are held above `eps`.
fn cosine(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (left, right) = (call.operand("x1", Float)?, call.operand("x2", Float)?);
    let axis = [call.whole("dim")?.unwrap_or(1)];
    let least = call.number_of("eps")?.unwrap_or(1e-8);
    let length = |value: &Value| {
        let length = along(call, "ReduceL2", value.clone(), &axis, false)?;
        call.onnx("Max", [length, call.known_float(least)])
    };
    let lengths = call.onnx("Mul", [length(&left)?, length(&right)?])?;
    let products = call.onnx("Mul", [left, right])?;
    let product = along(call, "ReduceSum", products, &axis, false)?;
    Ok(one(call.onnx("Div", [product, lengths])?))
}

fn cumulated(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    let axis = call.whole("dim")?.unwrap_or(0);
    let axis = number(axis as f64, Int, call.devices);
    Ok(one(call.onnx("CumSum", [value, axis])?))
}

fn largest(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let count = call
        .whole("k")?
        .ok_or_else(|| wrong("argument `k` is missing"))?;
    let axis = call.whole("dim")?.unwrap_or(-1);
    let flag = |call: &Call<'_>, name: &str| {
        let set = !call.has(name) || call.is_set(name)?;
        Ok::<_, crate::Error>(Attribute::Int(i64::from(set)))
    };
    let attributes = vec![
        ("axis", Attribute::Int(axis)),
        ("largest", flag(call, "largest")?),
        ("sorted", flag(call, "sorted")?),
    ];
    let count = vector(&[count], call.devices);
    let results = call.onnx_all("TopK", vec![Some(value), Some(count)], attributes)?;
    Ok(results.into_iter().map(Slot::One).collect())
}

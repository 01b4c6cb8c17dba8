//! Matrix products and linear maps.

use influence_core::FieldKind::Float;

use super::{Run, arguments::wrong};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "linear" => linear,
        "matmul" => |call| product(call, "self", "other"),
        "mm" | "bmm" => |call| product(call, "self", "mat2"),
        "mv" => |call| product(call, "self", "vec"),
        "dot" | "vdot" => |call| product(call, "self", "tensor"),
        "addmm" | "sspaddmm" => |call| sum(call, "mat1", "mat2"),
        "baddbmm" => |call| sum(call, "batch1", "batch2"),
        "addmv" => |call| sum(call, "mat", "vec"),
        "outer" | "ger" => outer,
        "einsum" => einsum,
        _ => return None,
    })
}

/// A matrix with its two axes exchanged.
fn exchanged(value: Value) -> Result<Value> {
    match value.rank() {
        2 => value.permute(&[1, 0]),
        rank => Err(wrong(format_args!("expected a matrix, got {rank} axes"))),
    }
}

fn linear(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (x, weight) = (
        call.operand("input", Float)?,
        call.operand("weight", Float)?,
    );
    let product = call.onnx("MatMul", [x, exchanged(weight)?])?;
    Ok(one(match call.maybe_tensor("bias")? {
        Some(bias) => call.onnx("Add", [product, bias])?,
        None => product,
    }))
}

fn product(call: &mut Call<'_>, left: &str, right: &str) -> Result<Vec<Slot>> {
    let (left, right) = (call.operand(left, Float)?, call.operand(right, Float)?);
    Ok(one(call.onnx("MatMul", [left, right])?))
}

/// `beta · self + alpha · left · right`.
fn sum(call: &mut Call<'_>, left: &str, right: &str) -> Result<Vec<Slot>> {
    let (left, right) = (call.operand(left, Float)?, call.operand(right, Float)?);
    let product = call.onnx("MatMul", [left, right])?;
    let product = scaled(call, product, "alpha")?;
    let own = call.operand("self", Float)?;
    let own = scaled(call, own, "beta")?;
    Ok(one(call.onnx("Add", [product, own])?))
}

fn scaled(call: &mut Call<'_>, value: Value, name: &str) -> Result<Value> {
    match call.number_of(name)? {
        Some(factor) if factor - 1.0 != 0.0 => call.onnx("Mul", [value, call.known_float(factor)]),
        _ => Ok(value),
    }
}

fn outer(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (left, right) = (call.operand("self", Float)?, call.operand("vec2", Float)?);
    let rows = left.dims().iter().product();
    let left = left.reshape(&[rows, 1])?;
    Ok(one(call.onnx("Mul", [left, right.lift(2)?])?))
}

fn einsum(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let equation = call.node.attributes.text("equation")?;
    let equation = equation.ok_or_else(|| wrong("argument `equation` is missing"))?;
    let equation = vec![("equation", Attribute::Text(equation.to_owned()))];
    let operands = call.tensors("tensors")?.into_iter().map(Some);
    let results = call.onnx_all("Einsum", operands.collect(), equation)?;
    Ok(results.into_iter().map(Slot::One).collect())
}

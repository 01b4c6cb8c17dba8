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
        "bilinear" => bilinear,
        "_trilinear" => trilinear,
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

/// `Σ_ij x_i w_oij y_j` for each output `o`.
fn bilinear(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (x, y) = (
        call.operand("input1", Float)?,
        call.operand("input2", Float)?,
    );
    let weight = call.operand("weight", Float)?;
    let &[outputs, left, right] = weight.dims().as_slice() else {
        return Err(wrong(format_args!("a weight of shape {:?}", weight.dims())));
    };
    let weight = weight
        .permute(&[1, 0, 2])?
        .reshape(&[left, outputs * right])?;
    let halfway = call.onnx("MatMul", [x, weight])?;
    let mut samples = y.dims();
    samples.pop();
    let halfway = halfway.reshape(&[&samples[..], &[outputs, right]].concat())?;
    let y = y.reshape(&[&samples[..], &[1, right]].concat())?;
    let products = call.onnx("Mul", [halfway, y])?;
    let sum = products.sum_along(samples.len() + 1);
    let sum = sum.reshape(&[&samples[..], &[outputs]].concat())?;
    Ok(one(match call.maybe_tensor("bias")? {
        Some(bias) => call.onnx("Add", [sum, bias])?,
        None => sum,
    }))
}

/// The product of three tensors, each with further axes of length 1, summed over axes: what
/// `bilinear` is taken apart into.
fn trilinear(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut product: Option<Value> = None;
    for (name, further) in [("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")] {
        let factor = call.operand(name, Float)?;
        let mut dims = factor.dims();
        let mut further = call.wholes(further)?.unwrap_or_default();
        further.sort_unstable();
        for axis in further {
            let place = usize::try_from(axis).unwrap_or(usize::MAX);
            dims.insert(place.min(dims.len()), 1);
        }
        let factor = factor.reshape(&dims)?;
        product = Some(match product {
            Some(product) => call.onnx("Mul", [product, factor])?,
            None => factor,
        });
    }
    let mut sum = product.ok_or_else(|| wrong("no factors"))?;
    let mut kept = sum.dims();
    let mut summed = call.wholes("sumdim")?.unwrap_or_default();
    summed.sort_unstable();
    for axis in summed.into_iter().rev() {
        let axis = sum.axis(axis)?;
        sum = sum.sum_along(axis);
        kept.remove(axis);
    }
    Ok(one(sum.reshape(&kept)?))
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

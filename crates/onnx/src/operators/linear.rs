//! Matrix products.

use burn::backend::{
    Dispatch,
    ops::{FloatTensorOps, IntTensorOps},
};

use super::{Call, Operator, Slot, arithmetic::BinaryOperation, one};
use crate::{
    Error, Result,
    value::{Devices, Value, broadcast, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "MatMul" => |call| {
            let (left, right) = (call.value(0)?, call.value(1)?);
            Ok(one(product(left, right, call.devices)?))
        },
        "Gemm" => gemm,
        _ => return None,
    }))
}

/// The product of matrices in the last two axes, broadcast over the others; a vector is a row on
/// the left and a column on the right. A matrix on the right is lifted by a reshape, as burn's own
/// linear layers do, so that it stays recognisable.
pub(super) fn product(left: Value, right: Value, devices: &Devices) -> Result<Value> {
    let [left, right] = Value::together([left, right], devices)?;
    let (rows, columns) = (left.dims(), right.dims());
    let left = match rows[..] {
        [length] => left.reshape(&[1, length])?,
        _ => left,
    };
    let right = match columns[..] {
        [length] => right.reshape(&[length, 1])?,
        _ => right,
    };
    let (a, b) = (left.dims(), right.dims());
    let fits = a.len() > 1 && b.len() > 1 && a[a.len() - 1] == b[b.len() - 2];
    if !fits {
        return Err(Error::Operator(format!(
            "matrices of shapes {rows:?} and {columns:?} cannot be multiplied"
        )));
    }
    let mut result = broadcast(&a[..a.len() - 2], &b[..b.len() - 2])?;
    result.extend([a[a.len() - 2], b[b.len() - 1]]);
    check_count(&result, left.known)?;
    let mut dims = result.clone();
    if columns.len() == 1 {
        dims.pop();
    }
    if rows.len() == 1 {
        dims.remove(dims.len() + usize::from(columns.len() == 1) - 2);
    }
    if a.contains(&0) || b.contains(&0) {
        // Not every backend multiplies matrices without numbers.
        let zeros = Value::full(0.0, &dims, devices)?.cast(left.kind, devices);
        return if left.known {
            Ok(zeros)
        } else {
            zeros.away(devices)
        };
    }
    let right = right.of_kind(left.kind)?.lift(result.len())?.tensor;
    let left = left.lift(result.len())?;
    let product = match left.kind {
        influence_core::FieldKind::Int => left.change(|left| Dispatch::int_matmul(left, right)),
        _ => left
            .float()?
            .change(|left| Dispatch::float_matmul(left, right)),
    };
    product.reshape(&dims)
}

fn gemm(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (mut left, mut right) = (call.float(0)?, call.float(1)?);
    if left.rank() != 2 || right.rank() != 2 {
        return Err(Error::operator("expected two matrices"));
    }
    if call.node.attributes.flag("transA")? {
        left = left.transposed()?;
    }
    if call.node.attributes.flag("transB")? {
        right = right.transposed()?;
    }
    let times = |value: Value, number: f64| {
        if (number - 1.0).abs() > 0.0 {
            value.scaled(number)
        } else {
            value
        }
    };
    let product = times(
        product(left, right, call.devices)?,
        call.real("alpha", 1.0)?,
    );
    let Some(added) = call.optional(2)? else {
        return Ok(one(product));
    };
    let added = times(added.float()?, call.real("beta", 1.0)?);
    Ok(one(BinaryOperation::Add.of(
        product,
        added,
        call.devices,
    )?))
}

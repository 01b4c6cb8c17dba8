//! Changes of shape and of kind.

use influence_core::FieldKind;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    value::{Value, axis_of, broadcast, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "Flatten" => Operator::smooth(flatten),
        "Transpose" => Operator::smooth(transpose),
        "Cast" => Operator::smooth(cast),
        "CastLike" => Operator::through(cast_like, &[0]),
        "Reshape" => Operator::through(reshape, &[0]),
        "Squeeze" => Operator::through(squeeze, &[0]),
        "Unsqueeze" => Operator::through(unsqueeze, &[0]),
        "Expand" => Operator::through(expand, &[0]),
        "DepthToSpace" => Operator::smooth(depth_to_space),
        "SpaceToDepth" => Operator::smooth(space_to_depth),
        _ => return None,
    })
}

/// The kind of the elements of a type in ONNX's numbering.
pub(super) fn kind_of(number: i64) -> Result<FieldKind> {
    match number {
        1 | 10 | 11 | 16 => Ok(FieldKind::Float),
        2..=7 | 12 | 13 => Ok(FieldKind::Int),
        9 => Ok(FieldKind::Bool),
        _ => Err(Error::Operator(format!(
            "elements of type {number} in ONNX's numbering are not computed"
        ))),
    }
}

fn cast(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let to = call.node.attributes.int("to")?;
    let kind = kind_of(to.ok_or_else(|| Error::operator("attribute `to` is missing"))?)?;
    Ok(one(call.value(0)?.cast(kind, call.devices)))
}

fn cast_like(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.value(1)?.kind;
    Ok(one(call.value(0)?.cast(kind, call.devices)))
}

fn reshape(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let wanted = call.value(1)?.ints()?;
    let keeps_zero = call.node.attributes.flag("allowzero")?;
    let dims = wanted_shape(&value.dims(), &wanted, keeps_zero)?;
    Ok(one(value.reshape(&dims)?))
}

/// The shape that a list stands for: 0 is the length that was there, −1 what is left.
pub(super) fn wanted_shape(dims: &[usize], wanted: &[i64], keeps_zero: bool) -> Result<Vec<usize>> {
    let wrong = || {
        Error::Operator(format!(
            "a tensor of shape {dims:?} cannot have shape {wanted:?}; if a length of the first axis was written into the file, export it with that axis free"
        ))
    };
    let mut free = None;
    let mut shape = Vec::with_capacity(wanted.len());
    for (axis, &length) in wanted.iter().enumerate() {
        shape.push(match length {
            0 if !keeps_zero => *dims.get(axis).ok_or_else(wrong)?,
            -1 if free.is_none() => {
                free = Some(axis);
                1
            }
            length => usize::try_from(length).map_err(|_| wrong())?,
        });
    }
    if let Some(axis) = free {
        let taken = shape
            .iter()
            .try_fold(1_usize, |count, &length| count.checked_mul(length));
        let there = dims.iter().product::<usize>();
        let left = taken.and_then(|taken| there.checked_div(taken));
        shape[axis] = left.ok_or_else(wrong)?;
    }
    Ok(shape)
}

fn flatten(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let dims = value.dims();
    // The axis may be the one after the last.
    let axis = match call.int("axis", 1)? {
        axis if usize::try_from(axis) == Ok(dims.len()) => dims.len(),
        axis => value.axis(axis)?,
    };
    let (before, after) = dims.split_at(axis);
    Ok(one(value.reshape(&[
        before.iter().product(),
        after.iter().product(),
    ])?))
}

fn transpose(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let order = match call.node.attributes.ints("perm")? {
        Some(order) => lengths(order)?,
        None => (0..value.rank()).rev().collect(),
    };
    Ok(one(value.permute(&order)?))
}

fn squeeze(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let dims = value.dims();
    let gone: Vec<usize> = match call.ints("axes", 1)? {
        Some(axes) => axes
            .iter()
            .map(|&axis| value.axis(axis))
            .collect::<Result<_>>()?,
        None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
    };
    let left = (0..dims.len()).filter(|axis| !gone.contains(axis));
    let left: Vec<usize> = left.map(|axis| dims[axis]).collect();
    Ok(one(value.reshape(&left)?))
}

fn unsqueeze(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let axes = call.ints("axes", 1)?;
    let axes = axes.ok_or_else(|| Error::operator("the axes are missing"))?;
    Ok(one(unsqueezed(value, &axes)?))
}

/// With axes of length 1 at these places of the result.
pub(super) fn unsqueezed(value: Value, axes: &[i64]) -> Result<Value> {
    let dims = value.dims();
    let rank = dims.len() + axes.len();
    let new: Vec<usize> = axes
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<_>>()?;
    let mut old = dims.iter().copied();
    let wide = (0..rank).map(|axis| {
        if new.contains(&axis) {
            Some(1)
        } else {
            old.next()
        }
    });
    let wide: Option<Vec<usize>> = wide.collect();
    let wide = wide.ok_or_else(|| Error::Operator(format!("{axes:?} names an axis twice")))?;
    value.reshape(&wide)
}

fn expand(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let wanted = lengths(&call.value(1)?.ints()?)?;
    let dims = broadcast(&value.dims(), &wanted)?;
    Ok(one(if dims.is_empty() {
        value
    } else {
        value.expand(&dims)?
    }))
}

/// The length of the blocks, and the shape of images in batches.
fn blocks(call: &Call<'_>, value: &Value) -> Result<(usize, [usize; 4])> {
    let size = call.int("blocksize", 0)?;
    let size = usize::try_from(size).ok().filter(|&size| size > 0);
    let dims: Option<[usize; 4]> = value.dims().try_into().ok();
    match (size, dims) {
        (Some(size), Some(dims)) if size.checked_mul(size).is_some() => Ok((size, dims)),
        _ => Err(Error::Operator(format!(
            "blocks of {} in a tensor of shape {:?}, expected 4 axes",
            call.int("blocksize", 0)?,
            value.dims()
        ))),
    }
}

fn depth_to_space(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let (size, [n, channels, height, width]) = blocks(call, &value)?;
    let left = channels / (size * size);
    let (split, order) = if call.text("mode", "DCR")? == "CRD" {
        ([n, left, size, size, height, width], [0, 1, 4, 2, 5, 3])
    } else {
        ([n, size, size, left, height, width], [0, 3, 4, 1, 5, 2])
    };
    let moved = value.reshape(&split)?.permute(&order)?;
    Ok(one(moved.reshape(&[
        n,
        left,
        height * size,
        width * size,
    ])?))
}

fn space_to_depth(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let (size, [n, channels, height, width]) = blocks(call, &value)?;
    let (rows, columns) = (height / size, width / size);
    let split = value.reshape(&[n, channels, rows, size, columns, size])?;
    let moved = split.permute(&[0, 3, 5, 1, 2, 4])?;
    Ok(one(moved.reshape(&[
        n,
        channels * size * size,
        rows,
        columns,
    ])?))
}

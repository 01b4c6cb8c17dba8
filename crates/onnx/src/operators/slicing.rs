//! Parts of tensors, joined tensors and repeated ones.

use influence_core::FieldKind;

use super::{Call, Operator, Slot, comparison, one};
use crate::{
    Error, Result,
    value::{Devices, Value, axis_of, check_count, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "Concat" => Operator::smooth(concat),
        "Slice" => Operator::through(slice, &[0]),
        "Split" => Operator::through(split, &[0]),
        "Tile" => Operator::through(tile, &[0]),
        "Trilu" => Operator::through(trilu, &[0]),
        _ => return None,
    })
}

fn concat(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let values = Value::all_together(call.all()?, call.devices)?;
    let first = values.first();
    let rank = first.map_or(0, Value::rank);
    let axis = axis_of(call.int("axis", 0)?, rank)?;
    Ok(one(Value::concatenated(values, axis)?))
}

fn slice(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut value = call.value(0)?;
    let (starts, ends) = (call.value(1)?.ints()?, call.value(2)?.ints()?);
    let in_order = || (0..).take(starts.len()).collect();
    let axes = call.optional(3)?.map(|axes| axes.ints()).transpose()?;
    let axes: Vec<i64> = axes.unwrap_or_else(in_order);
    let steps = call.optional(4)?.map(|steps| steps.ints()).transpose()?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(Error::operator(
            "the starts, ends, axes and steps are not equally many",
        ));
    }
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = value.axis(axis)?;
        value = stepped(value, axis, start, end, step)?;
    }
    Ok(one(value))
}

/// Entries `start`, `start + step`, … before `end` of an axis, as Python counts them.
pub(super) fn stepped(value: Value, axis: usize, start: i64, end: i64, step: i64) -> Result<Value> {
    let length = i64::try_from(value.dims()[axis]).unwrap_or(i64::MAX);
    let from_first = |place: i64| {
        if place < 0 {
            place.saturating_add(length)
        } else {
            place
        }
    };
    let index = |place: i64| usize::try_from(place).unwrap_or(0);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    match step {
        0 => Err(Error::operator("a slice in steps of 0")),
        1.. => {
            let start = index(from_first(start).clamp(0, length));
            let end = index(from_first(end).clamp(0, length)).max(start);
            let stride = stride.min((end - start).max(1));
            Ok(value.slice(axis, start, end, stride))
        }
        _ => {
            // Places one after the last and one before the first, so that none is negative.
            let first = index(from_first(start).clamp(-1, length - 1) + 1);
            let before = index(from_first(end).clamp(-1, length - 1) + 1).min(first);
            let stride = stride.min((first - before).max(1));
            let count = (first - before).div_ceil(stride);
            let lowest = first - count.saturating_sub(1) * stride;
            let (from, to) = if count == 0 {
                (0, 0)
            } else {
                (lowest - 1, first)
            };
            Ok(value.slice(axis, from, to, stride).flip(axis))
        }
    }
}

fn split(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let axis = call.axis(&value, 0)?;
    let sizes = if let Some(sizes) = call.ints("split", 1)? {
        lengths(&sizes)?
    } else {
        let count = call.int("num_outputs", 0)?;
        let count = usize::try_from(count).ok().filter(|&count| count > 0);
        let count = count.unwrap_or(call.node.outputs.len()).max(1);
        let size = value.dims()[axis].div_ceil(count);
        chunks(value.dims()[axis], size, count)
    };
    let parts = parts(&value, axis, &sizes)?;
    Ok(parts.into_iter().map(Slot::One).collect())
}

/// The lengths of parts of one size; the last may be shorter.
pub(super) fn chunks(length: usize, size: usize, count: usize) -> Vec<usize> {
    let part = |index: usize| size.min(length.saturating_sub(index.saturating_mul(size)));
    (0..count.min(length.max(1))).map(part).collect()
}

/// Parts of these lengths along an axis.
pub(super) fn parts(value: &Value, axis: usize, sizes: &[usize]) -> Result<Vec<Value>> {
    let length = value.dims()[axis];
    let sum = sizes
        .iter()
        .try_fold(0_usize, |sum, &size| sum.checked_add(size));
    if sum != Some(length) {
        return Err(Error::Operator(format!(
            "an axis of length {length} cannot be split into {sizes:?}"
        )));
    }
    let mut from = 0;
    let part = |&size: &usize| {
        from += size;
        value.clone().slice(axis, from - size, from, 1)
    };
    Ok(sizes.iter().map(part).collect())
}

fn tile(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut value = call.value(0)?;
    let times = lengths(&call.value(1)?.ints()?)?;
    if times.len() != value.rank() {
        return Err(Error::Operator(format!(
            "{} repetitions of a tensor with {} axes",
            times.len(),
            value.rank()
        )));
    }
    for (axis, &times) in times.iter().enumerate() {
        value = if times == 0 {
            value.slice(axis, 0, 0, 1)
        } else {
            value.repeat(axis, times)?
        };
    }
    Ok(one(value))
}

fn trilu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let offset = call.optional(1)?.map(|offset| offset.ints()).transpose()?;
    let offset = offset
        .and_then(|offset| offset.first().copied())
        .unwrap_or(0);
    let upper = call.int("upper", 1)? != 0;
    Ok(one(triangle(value, offset, upper, call.devices)?))
}

/// The last two axes from a diagonal on, or up to it; 0 elsewhere.
pub(super) fn triangle(value: Value, offset: i64, upper: bool, devices: &Devices) -> Result<Value> {
    let dims = value.dims();
    let (row, column) = (axis_of(-2, dims.len())?, axis_of(-1, dims.len())?);
    let (rows, columns) = (dims[row], dims[column]);
    check_count(&[rows, columns], true)?;
    let kept = |row: usize, column: usize| {
        let [row, column] = [row, column].map(|place| i64::try_from(place).unwrap_or(i64::MAX));
        let edge = row.saturating_add(offset);
        i64::from(if upper {
            column >= edge
        } else {
            column <= edge
        })
    };
    let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| kept(row, column)));
    let mask = Value::known_ints(mask.collect(), &[rows, columns], devices);
    let zero = Value::full(0.0, &[1], devices)?.cast(value.kind, devices);
    comparison::chosen(mask.cast(FieldKind::Bool, devices), value, zero, devices)
}

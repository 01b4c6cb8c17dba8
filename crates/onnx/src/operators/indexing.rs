//! Entries at places that are arguments.

use burn::backend::{
    Dispatch,
    ops::{IntTensorOps, ModuleOps},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, comparison, comparison::Relation, one, shape::unsqueezed};
use crate::{
    Error, Result,
    value::{Devices, Value, axis_of, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "Gather" => Operator::through(gather, &[0]),
        "GatherElements" => Operator::through(gather_elements, &[0]),
        "GatherND" => Operator::through(gather_nd, &[0]),
        "OneHot" => Operator::through(one_hot, &[2]),
        _ => return None,
    })
}

fn gather(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, places) = (call.value(0)?, call.value(1)?);
    let axis = call.axis(&value, 0)?;
    Ok(one(taken(value, axis, places, call.devices)?))
}

/// The entries of an axis at places: the axes of the places stand where that axis was. Rows of a
/// matrix of floats are an embedding.
pub(super) fn taken(value: Value, axis: usize, places: Value, devices: &Devices) -> Result<Value> {
    let dims = value.dims();
    let at = places.dims();
    let places = places.places(dims[axis])?;
    let mut result = dims[..axis].to_vec();
    result.extend(&at);
    result.extend(&dims[axis + 1..]);
    check_count(&result, value.known && places.known)?;
    let count: usize = at.iter().product();
    if places.known && count == 1 {
        // Without a tensor of indices; its derivative is not scattered.
        let place = places.ints()?.first().copied().unwrap_or(0);
        let place = usize::try_from(place).unwrap_or(0);
        return value.slice(axis, place, place + 1, 1).reshape(&result);
    }
    let [value, places] = Value::together([value, places], devices)?;
    if axis == 0 && dims.len() == 2 && value.kind == FieldKind::Float && !value.known {
        let rows = at
            .first()
            .filter(|_| at.len() > 1)
            .copied()
            .unwrap_or(count);
        let matrix = [rows, count.checked_div(rows).unwrap_or(0)];
        let places = places.reshape(&matrix)?.tensor;
        let rows = value.change(|table| Dispatch::embedding(table, places));
        return rows.reshape(&result);
    }
    let places = places.reshape(&[count])?.tensor;
    value.select(axis, places).reshape(&result)
}

fn gather_elements(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, places) = (call.value(0)?, call.value(1)?);
    let axis = call.axis(&value, 0)?;
    Ok(one(taken_along(value, axis, places, call.devices)?))
}

/// Along an axis the entries at places, one for each entry of the result.
pub(super) fn taken_along(
    value: Value,
    axis: usize,
    places: Value,
    devices: &Devices,
) -> Result<Value> {
    let (dims, at) = (value.dims(), places.dims());
    let fits = at.len() == dims.len()
        && (0..dims.len()).all(|other| other == axis || at[other] <= dims[other]);
    if !fits {
        return Err(Error::Operator(format!(
            "indices of shape {at:?} into a tensor of shape {dims:?} along axis {axis}"
        )));
    }
    let places = places.places(dims[axis])?;
    let [mut value, places] = Value::together([value, places], devices)?;
    for other in (0..dims.len()).filter(|&other| other != axis) {
        value = value.slice(other, 0, at[other], 1);
    }
    Ok(value.gather(axis, places.tensor))
}

fn gather_nd(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, places) = (call.value(0)?, call.value(1)?);
    let batches = usize::try_from(call.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    let (dims, at) = (value.dims(), places.dims());
    let depth = at.last().copied().unwrap_or(0);
    let fits = batches < at.len()
        && batches.saturating_add(depth) <= dims.len()
        && depth > 0
        && dims[..batches] == at[..batches];
    if !fits {
        return Err(Error::Operator(format!(
            "indices of shape {at:?} into a tensor of shape {dims:?}, the first {batches} axes being shared"
        )));
    }
    let rows = flat_places(places, &dims[batches..batches + depth], call.devices)?;
    let inner: usize = dims[batches..batches + depth].iter().product();
    let outer: usize = dims[..batches].iter().product();
    let rows = offset_by_batch(rows, outer, inner, call.devices)?;
    let mut result = at[..at.len() - 1].to_vec();
    result.extend(&dims[batches + depth..]);
    check_count(&result, value.known && rows.known)?;
    let mut flat = vec![outer * inner];
    flat.extend(&dims[batches + depth..]);
    let [value, rows] = Value::together([value.reshape(&flat)?, rows], call.devices)?;
    Ok(one(value.select(0, rows.tensor).reshape(&result)?))
}

/// The numbers `(rows)` of entries in row-major order, from their coordinates `(…, axes)` along
/// axes of these lengths.
pub(super) fn flat_places(places: Value, lengths: &[usize], devices: &Devices) -> Result<Value> {
    let at = places.dims();
    let rows: usize = at[..at.len() - 1].iter().product();
    if rows == 0 {
        return Err(Error::operator("there are no indices"));
    }
    let places = places.reshape(&[rows, lengths.len()])?;
    let mut flat: Option<Value> = None;
    for (axis, &length) in lengths.iter().enumerate() {
        let along = places
            .clone()
            .slice(1, axis, axis + 1, 1)
            .reshape(&[rows])?;
        let along = along.places(length)?;
        let stride: usize = lengths[axis + 1..].iter().product();
        let stride = i64::try_from(stride).unwrap_or(i64::MAX);
        let along = along.map(|tensor| Dispatch::int_mul_scalar(tensor, stride.into()));
        flat = Some(match flat {
            None => along,
            Some(flat) => {
                let [flat, along] = Value::together([flat, along], devices)?;
                flat.plus(along)?
            }
        });
    }
    flat.ok_or_else(|| Error::operator("indices without coordinates"))
}

/// Adds to the numbers of entries where their batch begins.
fn offset_by_batch(rows: Value, outer: usize, inner: usize, devices: &Devices) -> Result<Value> {
    if outer == 1 {
        return Ok(rows);
    }
    let count = rows.dims().iter().product::<usize>();
    let each = count.checked_div(outer).unwrap_or(0);
    let starts = (0..outer).map(|batch| i64::try_from(batch * inner).unwrap_or(i64::MAX));
    let starts = Value::known_ints(starts.collect(), &[outer, 1], devices);
    let [rows, starts] = Value::together([rows.reshape(&[outer, each])?, starts], devices)?;
    rows.plus(starts)?.reshape(&[count])
}

fn one_hot(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (places, depth, values) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let depth = depth.cast(FieldKind::Int, call.devices).ints()?;
    let depth = depth.first().and_then(|&depth| usize::try_from(depth).ok());
    let depth = depth.ok_or_else(|| Error::operator("the depth is no length"))?;
    let places = places.cast(FieldKind::Int, call.devices);
    let axis = axis_of(call.int("axis", -1)?, places.rank() + 1)?;
    let hot = hot(places, axis, depth, call.devices)?;
    if values.dims() != [2] {
        return Err(Error::operator("the values are not two"));
    }
    let off = values.clone().slice(0, 0, 1, 1).reshape(&[1])?;
    let on = values.slice(0, 1, 2, 1).reshape(&[1])?;
    Ok(one(comparison::chosen(hot, on, off, call.devices)?))
}

/// Where the entry along a new axis of this length is that of the place; places beyond it are
/// nowhere.
pub(super) fn hot(places: Value, axis: usize, depth: usize, devices: &Devices) -> Result<Value> {
    let mut dims = places.dims();
    dims.insert(axis, depth);
    check_count(&dims, places.known)?;
    check_count(&[depth], true)?;
    let axis_number = i64::try_from(axis).unwrap_or(i64::MAX);
    let length = i64::try_from(depth).unwrap_or(i64::MAX);
    let places = places.map(|tensor| {
        let sign = Dispatch::int_clamp_max(Dispatch::int_sign(tensor.clone()), 0_i64.into());
        Dispatch::int_sub(tensor, Dispatch::int_mul_scalar(sign, length.into()))
    });
    let places = unsqueezed(places, &[axis_number])?;
    let mut line = vec![1; dims.len()];
    line[axis] = depth;
    let entries = Value::known_ints((0..length).collect(), &line, devices);
    Relation::Equal.of(places, entries, devices)
}

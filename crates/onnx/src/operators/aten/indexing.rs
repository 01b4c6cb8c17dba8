//! Parts of tensors, by places that are given or computed.

use burn::tensor::TensorData;
use influence_core::FieldKind::{self, Bool, Float, Int};

use super::{
    Run,
    arguments::{number, signed, vector, wrong},
    shape::without_derivative,
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "slice" | "slice_copy" => slice,
        "select" | "select_copy" => select,
        "narrow" => narrow,
        "embedding" => embedding,
        "index_select" => index_select,
        "gather" | "take_along_dim" => gather,
        "index" | "_unsafe_index" => index,
        "where" => choose,
        "masked_fill" => masked_fill,
        "copy" => copy,
        "tril" => |call| triangle(call, 0),
        "triu" => |call| triangle(call, 1),
        "constant_pad_nd" | "pad" => pad,
        "scatter" | "scatter_add" => scatter,
        "one_hot" => one_hot,
        "repeat_interleave" => repeat_interleave,
        _ => return None,
    })
}

/// A place counted from the first, held between the ends of an axis.
fn held(place: i64, side: usize) -> usize {
    let side = signed(side);
    let place = if place < 0 {
        place.saturating_add(side)
    } else {
        place
    };
    usize::try_from(place.clamp(0, side)).unwrap_or(0)
}

fn slice(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let side = value.dims()[axis];
    let from = held(call.whole("start")?.unwrap_or(0), side);
    let to = held(call.whole("end")?.unwrap_or(i64::MAX), side).max(from);
    let step = call.whole("step")?.unwrap_or(1);
    let step = usize::try_from(step).ok().filter(|&step| step > 0);
    let step = step.ok_or_else(|| wrong("argument `step` is not positive"))?;
    Ok(one(value.slice(axis, from, to, step)))
}

/// A place in an axis that has it.
fn within(place: i64, side: usize) -> Result<usize> {
    let from_first = if place < 0 {
        place.saturating_add(signed(side))
    } else {
        place
    };
    let place_of = usize::try_from(from_first)
        .ok()
        .filter(|&place| place < side);
    place_of.ok_or_else(|| wrong(format_args!("place {place} of an axis of length {side}")))
}

fn select(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let mut dims = value.dims();
    let side = dims.remove(axis);
    let place = within(call.whole("index")?.unwrap_or(0), side)?;
    Ok(one(value
        .slice(axis, place, place + 1, 1)
        .reshape(&dims)?))
}

fn narrow(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let side = value.dims()[axis];
    let from = held(call.whole("start")?.unwrap_or(0), side);
    let length = held(call.whole("length")?.unwrap_or(0), side);
    if from + length > side {
        return Err(wrong(format_args!(
            "{length} places from {from} of an axis of length {side}"
        )));
    }
    Ok(one(value.slice(axis, from, from + length, 1)))
}

/// Rows of a table; the row at `padding_idx` has no derivative.
fn embedding(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let table = call.operand("weight", Float)?;
    let places = call.operand("indices", Int)?;
    let rows = table.dims().first().copied().unwrap_or(0);
    let first = vec![("axis", Attribute::Int(0))];
    let found = call.onnx_with("Gather", [Some(table), Some(places.clone())], first)?;
    let padding = call.whole("padding_idx")?.filter(|&row| row != -1);
    let Some(row) = padding else {
        return Ok(one(found));
    };
    let row = within(row, rows)?;
    let is_row = call.onnx("Equal", [places, number(row as f64, Int, call.devices)])?;
    let mut dims = is_row.dims();
    dims.push(1);
    let is_row = is_row.reshape(&dims)?;
    let fixed = without_derivative(call, found.clone())?;
    Ok(one(call.onnx("Where", [is_row, fixed, found])?))
}

fn along(call: &mut Call<'_>) -> Result<Vec<(&'static str, Attribute)>> {
    Ok(vec![(
        "axis",
        Attribute::Int(call.whole("dim")?.unwrap_or(0)),
    )])
}

fn index_select(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, places) = (call.tensor("self")?, call.operand("index", Int)?);
    let axis = along(call)?;
    Ok(one(call.onnx_with(
        "Gather",
        [Some(value), Some(places)],
        axis,
    )?))
}

fn gather(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let name = if call.has("index") {
        "index"
    } else {
        "indices"
    };
    let places = call.operand(name, Int)?;
    let axis = along(call)?;
    Ok(one(call.onnx_with(
        "GatherElements",
        [Some(value), Some(places)],
        axis,
    )?))
}

/// Numbers at places along several axes, which are broadcast together.
fn index(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let given = call.maybe_tensors("indices")?;
    let axes: Vec<usize> = (0..given.len())
        .filter(|&axis| given[axis].is_some())
        .collect();
    let places: Vec<Value> = given.into_iter().flatten().collect();
    if places.iter().any(|places| places.kind == Bool) {
        return Err(wrong(
            "a mask as an index gives a length that depends on data",
        ));
    }
    let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else {
        return Ok(one(value));
    };
    let rank = value.rank();
    if last >= rank {
        return Err(wrong(format_args!("{} indices for {rank} axes", last + 1)));
    }
    // The indexed axes go first, are made one, and the result goes where PyTorch has it.
    let dims = value.dims();
    let rest: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let order = [axes.clone(), rest.clone()].concat();
    let (place, shape) = joined(call, places, &axes, &dims)?;
    let count: usize = axes.iter().map(|&axis| dims[axis]).product();
    let kept: Vec<usize> = rest.iter().map(|&axis| dims[axis]).collect();
    let flat = value
        .permute(&order)?
        .reshape(&[&[count], &kept[..]].concat())?;
    let found = call.onnx_with(
        "Gather",
        [Some(flat), Some(place)],
        vec![("axis", Attribute::Int(0))],
    )?;
    let adjacent = last - first + 1 == axes.len();
    if !adjacent || first == 0 {
        return Ok(one(found));
    }
    let front = shape.len();
    let order: Vec<usize> = (front..front + first)
        .chain(0..front)
        .chain(front + first..front + rest.len())
        .collect();
    Ok(one(found.permute(&order)?))
}

/// One place for the places along several axes, and its shape.
fn joined(
    call: &Call<'_>,
    places: Vec<Value>,
    axes: &[usize],
    dims: &[usize],
) -> Result<(Value, Vec<usize>)> {
    let mut joined: Option<Value> = None;
    for (places, &axis) in places.into_iter().zip(axes) {
        let places = from_first(call, places.cast(Int, call.devices), dims[axis])?;
        joined = Some(match joined {
            None => places,
            Some(before) => {
                let side = number(dims[axis] as f64, Int, call.devices);
                let before = call.onnx("Mul", [before, side])?;
                call.onnx("Add", [before, places])?
            }
        });
    }
    let joined = joined.ok_or_else(|| wrong("there are no indices"))?;
    let shape = joined.dims();
    Ok((joined, shape))
}

/// Places that are all counted from the first.
fn from_first(call: &Call<'_>, places: Value, side: usize) -> Result<Value> {
    if places.known && places.ints()?.iter().all(|&place| place >= 0) {
        return Ok(places);
    }
    let zero = number(0.0, Int, call.devices);
    let negative = call.onnx("Less", [places.clone(), zero])?;
    let shifted = call.onnx(
        "Add",
        [places.clone(), number(side as f64, Int, call.devices)],
    )?;
    call.onnx("Where", [negative, shifted, places])
}

fn choose(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mask = call.operand("condition", Bool)?;
    if !call.has("self") {
        return Err(wrong("the places of a mask are as many as the data say"));
    }
    let kind = call.kind()?;
    let (yes, no) = (call.operand("self", kind)?, call.operand("other", kind)?);
    Ok(one(call.onnx("Where", [mask, yes, no])?))
}

fn masked_fill(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (value, mask) = (call.operand("self", kind)?, call.operand("mask", Bool)?);
    let filling = call.operand("value", kind)?;
    Ok(one(call.onnx("Where", [mask, filling, value])?))
}

/// The numbers of another tensor in the shape of this one.
fn copy(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (dims, kind) = (call.tensor("self")?.dims(), call.kind()?);
    Ok(one(call.operand("src", kind)?.expand(&dims)?))
}

fn triangle(call: &mut Call<'_>, upper: i64) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let diagonal = call.whole("diagonal")?.unwrap_or(0);
    let diagonal = number(diagonal as f64, Int, call.devices);
    let upper = vec![("upper", Attribute::Int(upper))];
    Ok(one(call.onnx_with(
        "Trilu",
        [Some(value), Some(diagonal)],
        upper,
    )?))
}

/// Axes made longer; lengths are given from the last axis on, in pairs.
fn pad(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    let lengths = call.wholes("pad")?.unwrap_or_default();
    let mode = match call.node.attributes.text("mode")?.unwrap_or("constant") {
        "constant" => "constant",
        "reflect" => "reflect",
        "replicate" => "edge",
        "circular" => "wrap",
        other => return Err(wrong(format_args!("padding of mode `{other}`"))),
    };
    let axes: Vec<usize> = (0..lengths.len() / 2).collect();
    let rank = value.rank();
    if axes.len() > rank {
        return Err(wrong(format_args!(
            "{} lengths for {rank} axes",
            lengths.len()
        )));
    }
    let mut pads = vec![0; 2 * rank];
    for pair in axes {
        let axis = rank - 1 - pair;
        pads[axis] = lengths[2 * pair];
        pads[rank + axis] = lengths[2 * pair + 1];
    }
    let pads = vector(&pads, call.devices);
    let filling = number(call.number_of("value")?.unwrap_or(0.0), kind, call.devices);
    let attributes = vec![("mode", Attribute::Text(mode.to_owned()))];
    Ok(one(call.onnx_with(
        "Pad",
        [value, pads, filling].map(Some),
        attributes,
    )?))
}

fn scatter(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    let places = call.operand("index", Int)?;
    let name = if call.has("src") { "src" } else { "value" };
    let mut updates = call.operand(name, kind)?;
    if updates.rank() == 0 {
        updates = updates.expand(&places.dims())?;
    }
    let mut attributes = along(call)?;
    if call.base() == "scatter_add" {
        attributes.push(("reduction", Attribute::Text("add".to_owned())));
    }
    Ok(one(call.onnx_with(
        "ScatterElements",
        [value, places, updates].map(Some),
        attributes,
    )?))
}

fn one_hot(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let places = call.operand("self", Int)?;
    let classes = call.whole("num_classes")?.filter(|&classes| classes > 0);
    let classes =
        classes.ok_or_else(|| wrong("the number of classes depends on data; give num_classes"))?;
    let numbers: Vec<i64> = (0..classes).collect();
    let classes = Value::known(
        TensorData::new(numbers.clone(), [numbers.len()]),
        call.devices,
    );
    let mut dims = places.dims();
    dims.push(1);
    let hot = call.onnx("Equal", [places.reshape(&dims)?, classes])?;
    Ok(one(hot.cast(FieldKind::Int, call.devices)))
}

/// Each number several times.
fn repeat_interleave(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let times = call
        .whole("repeats")?
        .and_then(|times| usize::try_from(times).ok());
    let times = times.ok_or_else(|| wrong("argument `repeats` is missing"))?;
    let (value, axis) = if let Some(axis) = call.whole("dim")? {
        let axis = value.axis(axis)?;
        (value, axis)
    } else {
        let count = value.dims().iter().product();
        (value.reshape(&[count])?, 0)
    };
    let dims = value.dims();
    let mut lifted = dims.clone();
    lifted.insert(axis + 1, 1);
    let mut repeated = lifted.clone();
    repeated[axis + 1] = times;
    let mut joined = dims;
    joined[axis] *= times;
    Ok(one(value
        .reshape(&lifted)?
        .expand(&repeated)?
        .reshape(&joined)?))
}

//! Operators that move numbers and compute none.

use influence_core::FieldKind::Float;

use super::{
    Run,
    arguments::{signed, wrong},
};
use crate::{
    Result,
    operators::{Call, Slot, one},
    value::{Value, axis_of, broadcast},
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "alias" | "clone" | "contiguous" | "lift_fresh" | "lift_fresh_copy" | "lift" => same,
        "dropout" | "feature_dropout" | "alpha_dropout" | "native_dropout" => undropped,
        "to" | "_to_copy" | "type_as" | "float" | "double" | "long" | "int" | "bool" => converted,
        "detach" => detached,
        "view" | "_unsafe_view" | "reshape" | "view_copy" => view,
        "view_as" | "reshape_as" => view_as,
        "flatten" => flatten,
        "unflatten" => unflatten,
        "permute" => permute,
        "transpose" | "swapaxes" | "swapdims" => transpose,
        "t" | "mT" | "numpy_T" | "adjoint" => reversed,
        "movedim" => movedim,
        "expand" => expand,
        "expand_as" => expand_as,
        "squeeze" => squeeze,
        "unsqueeze" => unsqueeze,
        "repeat" | "tile" => repeat,
        "cat" | "concat" | "concatenate" => concatenated,
        "stack" => stacked,
        "split"
        | "split_with_sizes"
        | "unsafe_split"
        | "unsafe_split_with_sizes"
        | "split_copy"
        | "split_with_sizes_copy" => split,
        "chunk" | "unsafe_chunk" => chunk,
        "unbind" => unbind,
        "broadcast_tensors" => broadcast_tensors,
        "flip" => flip,
        "roll" => roll,
        "pixel_shuffle" => pixel_shuffle,
        "channel_shuffle" => channel_shuffle,
        _ => return None,
    })
}

fn all(values: Vec<Value>) -> Vec<Slot> {
    values.into_iter().map(Slot::One).collect()
}

fn same(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    Ok(one(call.tensor("self")?))
}

fn undropped(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let name = if call.has("input") { "input" } else { "self" };
    Ok(one(call.tensor(name)?))
}

fn converted(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    Ok(one(call.operand("self", kind)?))
}

/// The same numbers, through which no derivative flows: in steps so small that they keep all digits
/// that numbers of order one have, and between which the function is constant.
fn detached(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    Ok(one(without_derivative(call, value)?))
}

/// See [`detached`].
pub(super) fn without_derivative(call: &Call<'_>, value: Value) -> Result<Value> {
    /// 2⁶⁰: a power of two, so that scaling rounds nothing.
    const STEPS: f64 = (1_u64 << 60) as f64;
    if value.known || value.kind != Float {
        return Ok(value);
    }
    let scaled = call.onnx("Mul", [value, call.known_float(STEPS)])?;
    let whole = call.onnx("Floor", [scaled])?;
    call.onnx("Mul", [whole, call.known_float(STEPS.recip())])
}

/// Lengths of which one may be -1: what is left of the numbers.
fn completed(sizes: &[i64], numbers: usize) -> Result<Vec<usize>> {
    let bad = || {
        wrong(format_args!(
            "{numbers} numbers do not have shape {sizes:?}"
        ))
    };
    let fixed = sizes.iter().filter(|&&size| size != -1);
    let fixed = fixed.map(|&size| usize::try_from(size).map_err(|_| bad()));
    let fixed = fixed.collect::<Result<Vec<_>>>()?;
    let product = fixed
        .iter()
        .try_fold(1_usize, |product, &side| product.checked_mul(side));
    let rest = numbers.checked_div(product.ok_or_else(bad)?).unwrap_or(0);
    let side = |&size: &i64| usize::try_from(size).unwrap_or(rest);
    Ok(sizes.iter().map(side).collect())
}

fn view(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let sizes = call.wholes("size")?.or(call.wholes("shape")?);
    let sizes = sizes.ok_or_else(|| wrong("views of another type are not computed"))?;
    let dims = completed(&sizes, value.dims().iter().product())?;
    Ok(one(value.reshape(&dims)?))
}

fn view_as(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, other) = (call.tensor("self")?, call.tensor("other")?);
    Ok(one(value.reshape(&other.dims())?))
}

fn flatten(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let dims = value.dims();
    if dims.is_empty() {
        return Ok(one(value.reshape(&[1])?));
    }
    let from = value.axis(call.whole("start_dim")?.unwrap_or(0))?;
    let to = value.axis(call.whole("end_dim")?.unwrap_or(-1))?;
    if from > to {
        return Err(wrong(format_args!("axes {from} to {to} are none")));
    }
    let joined = dims[from..=to].iter().product();
    let flat = [&dims[..from], &[joined], &dims[to + 1..]].concat();
    Ok(one(value.reshape(&flat)?))
}

fn unflatten(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let dims = value.dims();
    let sizes = call.wholes("sizes")?.unwrap_or_default();
    let parts = completed(&sizes, dims[axis])?;
    let dims = [&dims[..axis], &parts, &dims[axis + 1..]].concat();
    Ok(one(value.reshape(&dims)?))
}

fn permute(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axes = axes(call, "dims", &value)?;
    Ok(one(value.permute(&axes)?))
}

/// The axes in a list.
fn axes(call: &mut Call<'_>, name: &str, value: &Value) -> Result<Vec<usize>> {
    let axes = call.wholes(name)?.unwrap_or_default();
    axes.into_iter().map(|axis| value.axis(axis)).collect()
}

fn transpose(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let names = if call.has("dim0") {
        ["dim0", "dim1"]
    } else {
        ["axis0", "axis1"]
    };
    let axis = |call: &mut Call<'_>, name| {
        let axis = call.whole(name)?;
        axis.ok_or_else(|| wrong(format_args!("argument `{name}` is missing")))
    };
    let (first, second) = (axis(call, names[0])?, axis(call, names[1])?);
    if value.rank() == 0 {
        return Ok(one(value));
    }
    let mut order: Vec<usize> = (0..value.rank()).collect();
    order.swap(value.axis(first)?, value.axis(second)?);
    Ok(one(value.permute(&order)?))
}

/// The last two axes exchanged.
fn reversed(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let rank = value.rank();
    if rank < 2 {
        return Ok(one(value));
    }
    let mut order: Vec<usize> = (0..rank).collect();
    if call.base() == "numpy_T" {
        order.reverse();
    } else {
        order.swap(rank - 2, rank - 1);
    }
    Ok(one(value.permute(&order)?))
}

fn movedim(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let (from, to) = (
        axes(call, "source", &value)?,
        axes(call, "destination", &value)?,
    );
    let mut moved: Vec<(usize, usize)> = to.into_iter().zip(from.iter().copied()).collect();
    moved.sort_unstable();
    let mut order: Vec<usize> = (0..value.rank())
        .filter(|axis| !from.contains(axis))
        .collect();
    for (to, from) in moved {
        order.insert(to.min(order.len()), from);
    }
    Ok(one(value.permute(&order)?))
}

fn expand(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let sizes = call.wholes("size")?.unwrap_or_default();
    let own = value.dims();
    let missing = sizes.len().checked_sub(own.len());
    let missing =
        missing.ok_or_else(|| wrong(format_args!("shape {own:?} expanded to {sizes:?}")))?;
    let side = |(axis, &size): (usize, &i64)| match axis.checked_sub(missing) {
        Some(axis) if size == -1 => Ok(own[axis]),
        _ => usize::try_from(size).map_err(|_| wrong(format_args!("a length of {size}"))),
    };
    let dims = sizes
        .iter()
        .enumerate()
        .map(side)
        .collect::<Result<Vec<_>>>()?;
    Ok(one(value.expand(&dims)?))
}

fn expand_as(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, other) = (call.tensor("self")?, call.tensor("other")?);
    Ok(one(value.expand(&other.dims())?))
}

fn squeeze(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let dims = value.dims();
    let axes = match call.has("dim") {
        true if dims.is_empty() => Vec::new(),
        true => axes(call, "dim", &value)?,
        false => (0..dims.len()).collect(),
    };
    let kept = dims.iter().enumerate();
    let kept = kept.filter(|(axis, side)| **side != 1 || !axes.contains(axis));
    let kept: Vec<usize> = kept.map(|(_, &side)| side).collect();
    Ok(one(value.reshape(&kept)?))
}

fn unsqueeze(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = axis_of(call.whole("dim")?.unwrap_or(0), value.rank() + 1)?;
    let mut dims = value.dims();
    dims.insert(axis, 1);
    Ok(one(value.reshape(&dims)?))
}

fn repeat(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let times = call
        .wholes("repeats")?
        .or(call.wholes("dims")?)
        .unwrap_or_default();
    let mut value = value.lift(times.len())?;
    let skipped = value.rank() - times.len();
    for (axis, &times) in times.iter().enumerate() {
        let times = usize::try_from(times).ok().filter(|&times| times > 0);
        let times = times.ok_or_else(|| wrong("a tensor repeated no times"))?;
        value = value.repeat(axis + skipped, times)?;
    }
    Ok(one(value))
}

/// Values of one kind, on one device.
fn joined(call: &mut Call<'_>) -> Result<Vec<Value>> {
    let kind = call.kind()?;
    let values = call.tensors("tensors")?.into_iter();
    let values = values.map(|value| value.cast(kind, call.devices)).collect();
    Value::all_together(values, call.devices)
}

fn concatenated(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut values = joined(call)?;
    // PyTorch takes an empty vector for nothing.
    values.retain(|value| value.dims() != [0]);
    let Some(first) = values.first() else {
        return Err(wrong("nothing to concatenate"));
    };
    let axis = first.axis(call.whole("dim")?.unwrap_or(0))?;
    check_alike(&values, Some(axis))?;
    Ok(one(Value::concatenated(values, axis)?))
}

fn check_alike(values: &[Value], but: Option<usize>) -> Result<()> {
    let sides = |value: &Value| {
        let mut dims = value.dims();
        if let Some(side) = but.and_then(|axis| dims.get_mut(axis)) {
            *side = 0;
        }
        dims
    };
    let mut all = values.iter().map(sides);
    let first = all.next();
    if all.any(|dims| Some(dims) != first) {
        return Err(wrong("the tensors have different shapes"));
    }
    Ok(())
}

fn stacked(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let values = joined(call)?;
    check_alike(&values, None)?;
    let rank = values.first().map_or(0, Value::rank);
    let axis = axis_of(call.whole("dim")?.unwrap_or(0), rank + 1)?;
    let lifted = values.into_iter().map(|value| {
        let mut dims = value.dims();
        dims.insert(axis, 1);
        value.reshape(&dims)
    });
    let lifted = lifted.collect::<Result<Vec<_>>>()?;
    Ok(one(Value::concatenated(lifted, axis)?))
}

/// Parts of these lengths along an axis.
fn parted(value: &Value, axis: usize, sizes: &[i64]) -> Result<Vec<Slot>> {
    let side = value.dims()[axis];
    let mut from = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let to = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_add(from));
        let to = to.filter(|&to| to <= side);
        let to = to.ok_or_else(|| {
            wrong(format_args!(
                "an axis of length {side} split into {sizes:?}"
            ))
        })?;
        parts.push(value.clone().slice(axis, from, to, 1));
        from = to;
    }
    Ok(all(parts))
}

/// Parts of one length; the last may be shorter.
fn equal_parts(value: &Value, axis: usize, size: i64) -> Result<Vec<Slot>> {
    let side = signed(value.dims()[axis]);
    if size <= 0 {
        return Err(wrong(format_args!("parts of length {size}")));
    }
    let starts = (0..side).step_by(usize::try_from(size).unwrap_or(usize::MAX));
    let sizes: Vec<i64> = starts.map(|from| size.min(side - from)).collect();
    parted(value, axis, &sizes)
}

fn split(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    if let Some(sizes) = call.wholes("split_sizes")? {
        return parted(&value, axis, &sizes);
    }
    let sizes = call.wholes("split_size")?.unwrap_or_default();
    match sizes.as_slice() {
        [size] => equal_parts(&value, axis, *size),
        sizes => parted(&value, axis, sizes),
    }
}

fn chunk(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let chunks = call
        .whole("chunks")?
        .and_then(|chunks| usize::try_from(chunks).ok());
    let chunks = chunks.filter(|&chunks| chunks > 0);
    let chunks = chunks.ok_or_else(|| wrong("argument `chunks` is not positive"))?;
    equal_parts(
        &value,
        axis,
        signed(value.dims()[axis].div_ceil(chunks).max(1)),
    )
}

fn unbind(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(0))?;
    let mut dims = value.dims();
    let side = dims.remove(axis);
    let part = |from| value.clone().slice(axis, from, from + 1, 1).reshape(&dims);
    Ok(all((0..side).map(part).collect::<Result<_>>()?))
}

fn broadcast_tensors(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let values = call.tensors("tensors")?;
    let mut dims = Vec::new();
    for value in &values {
        dims = broadcast(&dims, &value.dims())?;
    }
    let values = values.into_iter().map(|value| value.expand(&dims));
    Ok(all(values.collect::<Result<_>>()?))
}

fn flip(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut value = call.tensor("self")?;
    for axis in axes(call, "dims", &value)? {
        value = value.flip(axis);
    }
    Ok(one(value))
}

fn roll(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let shifts = call.wholes("shifts")?.unwrap_or_default();
    let dims = value.dims();
    let along = axes(call, "dims", &value)?;
    if along.is_empty() {
        let count = dims.iter().product();
        let rolled = shifted(
            value.reshape(&[count])?,
            0,
            shifts.first().copied().unwrap_or(0),
        )?;
        return Ok(one(rolled.reshape(&dims)?));
    }
    let moves = along.into_iter().zip(shifts);
    let rolled = moves
        .into_iter()
        .try_fold(value, |value, (axis, shift)| shifted(value, axis, shift));
    Ok(one(rolled?))
}

/// The last numbers of an axis put first.
fn shifted(value: Value, axis: usize, shift: i64) -> Result<Value> {
    let side = value.dims()[axis];
    if side == 0 {
        return Ok(value);
    }
    let shift = usize::try_from(shift.rem_euclid(signed(side))).unwrap_or(0);
    if shift == 0 {
        return Ok(value);
    }
    let last = value.clone().slice(axis, side - shift, side, 1);
    Value::concatenated(vec![last, value.slice(axis, 0, side - shift, 1)], axis)
}

/// Channels to points: `(n, c r², h, w)` to `(n, c, h r, w r)`.
fn pixel_shuffle(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let factor = call
        .whole("upscale_factor")?
        .and_then(|factor| usize::try_from(factor).ok());
    let factor = factor
        .filter(|&factor| factor > 0)
        .ok_or_else(|| wrong("no factor"))?;
    let &[n, channels, height, width] = value.dims().as_slice() else {
        return Err(wrong("expected four axes"));
    };
    let outer = channels / (factor * factor);
    let parts = value.reshape(&[n, outer, factor, factor, height, width])?;
    let parts = parts.permute(&[0, 1, 4, 2, 5, 3])?;
    Ok(one(parts.reshape(&[
        n,
        outer,
        height * factor,
        width * factor,
    ])?))
}

fn channel_shuffle(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let groups = call
        .whole("groups")?
        .and_then(|groups| usize::try_from(groups).ok());
    let groups = groups
        .filter(|&groups| groups > 0)
        .ok_or_else(|| wrong("no groups"))?;
    let dims = value.dims();
    let [n, channels, points @ ..] = dims.as_slice() else {
        return Err(wrong("expected channels along axis 1"));
    };
    let points: usize = points.iter().product();
    let parts = value.reshape(&[*n, groups, channels / groups, points])?;
    Ok(one(parts.permute(&[0, 2, 1, 3])?.reshape(&dims)?))
}

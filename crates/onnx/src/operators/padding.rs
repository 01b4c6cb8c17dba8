//! Padding.

use burn::backend::{
    Dispatch,
    ops::{FloatTensorOps, IntTensorOps, PadMode},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    value::{Devices, Value, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    (name == "Pad").then_some(Operator::through(pad, &[0]))
}

/// What stands beyond the ends of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Beyond {
    /// A number.
    Constant(f64),
    /// The entries in the other direction, without the last one.
    Reflected,
    /// The last entry.
    Edge,
    /// The entries from the other end.
    Wrapped,
}

fn pad(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let pads = call.ints("pads", 1)?;
    let pads = pads.ok_or_else(|| Error::operator("the numbers of padding are missing"))?;
    let constant = match call.optional(2)? {
        Some(constant) => constant.cast(FieldKind::Float, call.devices).floats()?,
        None => Vec::new(),
    };
    let constant = constant.first().copied().unwrap_or(0.0);
    let axes: Vec<usize> = match call.optional(3)? {
        Some(axes) => {
            let axes = axes.ints()?;
            axes.iter()
                .map(|&axis| value.axis(axis))
                .collect::<Result<_>>()?
        }
        None => (0..value.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Error::Operator(format!(
            "padding {pads:?} of {} axes, expected two numbers for each",
            axes.len()
        )));
    }
    let beyond = match call.text("mode", "constant")? {
        "constant" => Beyond::Constant(constant),
        "reflect" => Beyond::Reflected,
        "edge" => Beyond::Edge,
        "wrap" => Beyond::Wrapped,
        other => return Err(Error::Operator(format!("the mode of padding `{other}`"))),
    };
    let mut ends = vec![(0, 0); value.rank()];
    for (place, &axis) in axes.iter().enumerate() {
        ends[axis] = (pads[place], pads[place + axes.len()]);
    }
    Ok(one(padded(value, &ends, beyond, call.devices)?))
}

/// With entries added before and after each axis, or taken away where the number is negative.
pub(super) fn padded(
    value: Value,
    ends: &[(i64, i64)],
    beyond: Beyond,
    devices: &Devices,
) -> Result<Value> {
    let dims = value.dims();
    let mut result = Vec::with_capacity(dims.len());
    for (&side, &(before, after)) in dims.iter().zip(ends) {
        let side = i64::try_from(side).unwrap_or(i64::MAX);
        let padded = side
            .checked_add(before)
            .and_then(|side| side.checked_add(after));
        let padded = padded.and_then(|padded| usize::try_from(padded).ok());
        result.push(padded.ok_or_else(|| {
            Error::Operator(format!("padding {ends:?} of a tensor of shape {dims:?}"))
        })?);
    }
    check_count(&result, value.known)?;
    match beyond {
        Beyond::Constant(number) => constant(value, ends, number),
        _ => ends
            .iter()
            .enumerate()
            .filter(|(_, ends)| **ends != (0, 0))
            .try_fold(value, |value, (axis, &ends)| {
                mirrored(value, axis, ends, beyond, devices)
            }),
    }
}

fn constant(mut value: Value, ends: &[(i64, i64)], number: f64) -> Result<Value> {
    let length = |end: i64| usize::try_from(end).unwrap_or(0);
    for (axis, &(before, after)) in ends.iter().enumerate() {
        let side = value.dims()[axis];
        let (from, cut) = (
            length(before.saturating_neg()),
            length(after.saturating_neg()),
        );
        let to = side.saturating_sub(cut);
        if from > to {
            return Err(Error::operator("more is cut off an axis than it has"));
        }
        value = value.slice(axis, from, to, 1);
    }
    let ends: Vec<(usize, usize)> = ends
        .iter()
        .map(|&(before, after)| (length(before), length(after)))
        .collect();
    if ends.iter().all(|&ends| ends == (0, 0)) {
        return Ok(value);
    }
    #[expect(clippy::cast_possible_truncation, reason = "burn pads with 32 bits")]
    let mode = PadMode::Constant(number as f32);
    Ok(match value.kind {
        FieldKind::Float => value.change(|x| Dispatch::float_pad(x, &ends, mode)),
        FieldKind::Int => value.change(|x| Dispatch::int_pad(x, &ends, mode)),
        FieldKind::Bool => return Err(Error::operator("expected numbers, got booleans")),
    })
}

/// Entries of an axis again beyond its ends.
fn mirrored(
    value: Value,
    axis: usize,
    (before, after): (i64, i64),
    beyond: Beyond,
    devices: &Devices,
) -> Result<Value> {
    let side = i64::try_from(value.dims()[axis]).unwrap_or(i64::MAX);
    if side == 0 {
        return Err(Error::operator(
            "an axis without entries is padded with its own",
        ));
    }
    let source = |place: i64| match beyond {
        Beyond::Edge => place.clamp(0, side - 1),
        Beyond::Wrapped => place.rem_euclid(side),
        _ if side == 1 => 0,
        _ => {
            let turn = place.rem_euclid(2 * side - 2);
            turn.min(2 * side - 2 - turn)
        }
    };
    let places: Vec<i64> = (-before..side + after).map(source).collect();
    let count = places.len();
    check_count(&[count], true)?;
    let places = Value::known_ints(places, &[count], devices);
    let [value, places] = Value::together([value, places], devices)?;
    Ok(value.select(axis, places.tensor))
}

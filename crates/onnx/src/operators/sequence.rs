//! Sequences of tensors.

use super::{Call, Operator, Slot, one, shape::unsqueezed, slicing};
use crate::{
    Error, Result,
    value::{Value, axis_of, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "SequenceConstruct" => Operator::smooth(construct),
        "SequenceEmpty" => Operator::flat(|_| Ok(vec![Slot::Many(Vec::new())])),
        "SequenceAt" => Operator::through(at, &[0]),
        "SequenceInsert" => Operator::through(insert, &[0, 1]),
        "SequenceLength" => Operator::flat(length),
        "SplitToSequence" => Operator::through(split, &[0]),
        "ConcatFromSequence" => Operator::smooth(concat),
        _ => return None,
    })
}

fn construct(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    Ok(vec![Slot::Many(call.all()?)])
}

/// A place in a sequence, which may be counted from its end.
fn place(value: &Value, length: usize) -> Result<usize> {
    let place = value.ints()?.first().copied().unwrap_or(0);
    axis_of(place, length)
        .map_err(|_| Error::Operator(format!("place {place} in a sequence of {length} tensors")))
}

fn at(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut values = call.sequence(0)?;
    let place = place(&call.value(1)?, values.len())?;
    Ok(one(values.swap_remove(place)))
}

fn insert(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut values = call.sequence(0)?;
    let value = call.value(1)?;
    let place = match call.optional(2)? {
        Some(at)
            if at
                .ints()?
                .first()
                .is_some_and(|&at| usize::try_from(at) != Ok(values.len())) =>
        {
            place(&at, values.len())?
        }
        _ => values.len(),
    };
    values.insert(place, value);
    Ok(vec![Slot::Many(values)])
}

fn length(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let length = i64::try_from(call.sequence(0)?.len()).unwrap_or(i64::MAX);
    Ok(one(Value::known_ints(vec![length], &[], call.devices)))
}

fn split(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let axis = call.axis(&value, 0)?;
    let length = value.dims()[axis];
    let sizes = call.optional(1)?;
    let single = sizes.is_none() && call.int("keepdims", 1)? == 0;
    let sizes = match sizes {
        None => vec![1; length],
        Some(size) if size.rank() == 0 => match lengths(&size.ints()?)?[..] {
            [size] if size > 0 => slicing::chunks(length, size, length.div_ceil(size)),
            _ => return Err(Error::operator("parts of length 0")),
        },
        Some(sizes) => lengths(&sizes.ints()?)?,
    };
    let mut parts = slicing::parts(&value, axis, &sizes)?;
    if single {
        let without = |part: Value| {
            let mut dims = part.dims();
            dims.remove(axis);
            part.reshape(&dims)
        };
        parts = parts.into_iter().map(without).collect::<Result<_>>()?;
    }
    Ok(vec![Slot::Many(parts)])
}

fn concat(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut values = Value::all_together(call.sequence(0)?, call.devices)?;
    let new = call.node.attributes.flag("new_axis")?;
    let rank = values.first().map_or(0, Value::rank) + usize::from(new);
    let axis = axis_of(call.int("axis", 0)?, rank)?;
    if new {
        let at = i64::try_from(axis).unwrap_or(i64::MAX);
        let widened = values.into_iter().map(|value| unsqueezed(value, &[at]));
        values = widened.collect::<Result<_>>()?;
    }
    Ok(one(Value::concatenated(values, axis)?))
}

//! Entries put at places that are arguments.
//!
//! Additions are one operation of burn. An assignment is an addition to a tensor that has zeros at
//! the places. Products and extremes, which few networks have, are taken one update after the
//! other: each changes the tensor where it says, which has derivatives whatever the places.

use burn::{
    backend::{
        Dispatch,
        ops::{FloatTensorOps, IntTensorOps},
    },
    tensor::IndexingUpdateOp,
};
use influence_core::FieldKind;

use super::{
    Call, Operator, Slot, arithmetic, comparison, comparison::Relation, indexing::flat_places, one,
};
use crate::{
    Error, Result,
    value::{Devices, Value},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    let run = match name {
        "ScatterElements" => elements,
        "ScatterND" => blocks,
        _ => return None,
    };
    Some(Operator::through(run, &[0, 2]))
}

/// What an update does to the entry that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Update {
    /// Takes its place. Places are distinct.
    Assign,
    Add,
    Multiply,
    Max,
    Min,
}

/// The most updates of one entry after the other.
const MOST: usize = 4096;

fn update(call: &Call<'_>) -> Result<Update> {
    Ok(match call.text("reduction", "none")? {
        "none" => Update::Assign,
        "add" => Update::Add,
        "mul" => Update::Multiply,
        "max" => Update::Max,
        "min" => Update::Min,
        other => return Err(Error::Operator(format!("reduction `{other}`"))),
    })
}

impl Update {
    /// The entry after an update.
    fn of(self, entry: Value, update: Value, devices: &Devices) -> Result<Value> {
        match self {
            Self::Assign => Ok(update),
            Self::Add => entry.plus(update),
            Self::Multiply => entry.times(update),
            Self::Max => arithmetic::extreme(entry, update, true, devices),
            Self::Min => arithmetic::extreme(entry, update, false, devices),
        }
    }
}

fn elements(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let update = update(call)?;
    let [value, places, updates] = call.together([0, 1, 2])?;
    let axis = call.axis(&value, 0)?;
    Ok(one(put_along(
        value,
        axis,
        places,
        updates,
        update,
        call.devices,
    )?))
}

/// Along an axis updates at places, one for each update.
pub(super) fn put_along(
    value: Value,
    axis: usize,
    places: Value,
    updates: Value,
    update: Update,
    devices: &Devices,
) -> Result<Value> {
    let (dims, at) = (value.dims(), places.dims());
    let fits = at.len() == dims.len()
        && updates.dims() == at
        && (0..dims.len()).all(|other| other == axis || at[other] <= dims[other]);
    if !fits {
        return Err(Error::Operator(format!(
            "updates of shape {:?} at indices of shape {at:?} in a tensor of shape {dims:?}",
            updates.dims()
        )));
    }
    let places = places.places(dims[axis])?;
    let updates = updates.of_kind(value.kind)?;
    // Updates meet the beginning of every other axis; the rest stays as it is.
    let mut rest = Vec::new();
    let mut inner = value;
    for other in (0..dims.len()).filter(|&other| other != axis && at[other] < dims[other]) {
        rest.push((other, inner.clone().slice(other, at[other], dims[other], 1)));
        inner = inner.slice(other, 0, at[other], 1);
    }
    let mut put = match update {
        Update::Add => scattered(inner, axis, places, updates)?,
        Update::Assign => {
            let hits = struck(&inner, axis, &places, devices)?;
            let cleared = cleared(inner, hits, devices)?;
            scattered(cleared, axis, places, updates)?
        }
        _ => one_by_one(inner, axis, &places, &updates, update, devices)?,
    };
    for (other, rest) in rest.into_iter().rev() {
        put = Value::concatenated(vec![put, rest], other)?;
    }
    Ok(put)
}

/// Updates added along an axis.
fn scattered(value: Value, axis: usize, places: Value, updates: Value) -> Result<Value> {
    let (places, updates) = (places.tensor, updates.tensor);
    let add = IndexingUpdateOp::Add;
    Ok(match value.kind {
        FieldKind::Float => value.map(|x| Dispatch::float_scatter(axis, x, places, updates, add)),
        FieldKind::Int => value.map(|x| Dispatch::int_scatter(axis, x, places, updates, add)),
        FieldKind::Bool => return Err(Error::operator("expected numbers, got booleans")),
    })
}

/// Where at least one place is, along an axis.
fn struck(value: &Value, axis: usize, places: &Value, devices: &Devices) -> Result<Value> {
    let whole = |number: f64, dims: &[usize]| {
        let numbers = Value::full(number, dims, devices)?.cast(FieldKind::Int, devices);
        if value.known {
            Ok(numbers)
        } else {
            numbers.away(devices)
        }
    };
    let nothing = whole(0.0, &value.dims())?;
    let counts = scattered(nothing, axis, places.clone(), whole(1.0, &places.dims())?)?;
    Ok(counts.cast(FieldKind::Bool, devices))
}

/// With zeros where a mask is true.
fn cleared(value: Value, mask: Value, devices: &Devices) -> Result<Value> {
    let zero = Value::full(0.0, &[1], devices)?.cast(value.kind, devices);
    comparison::chosen(mask, zero, value, devices)
}

/// Updates one after the other along an axis.
fn one_by_one(
    mut value: Value,
    axis: usize,
    places: &Value,
    updates: &Value,
    update: Update,
    devices: &Devices,
) -> Result<Value> {
    let dims = value.dims();
    let count = places.dims()[axis];
    if count > MOST {
        return Err(Error::Operator(format!(
            "{count} updates of a kind that is taken one by one, at most {MOST} are"
        )));
    }
    let mut line = vec![1; dims.len()];
    line[axis] = dims[axis];
    let entries = (0..i64::try_from(dims[axis]).unwrap_or(0)).collect();
    let entries = Value::known_ints(entries, &line, devices);
    for index in 0..count {
        let place = places.clone().slice(axis, index, index + 1, 1);
        let hit = Relation::Equal.of(place, entries.clone(), devices)?;
        let change = updates.clone().slice(axis, index, index + 1, 1);
        let changed = update.of(value.clone(), change, devices)?;
        value = comparison::chosen(hit, changed, value, devices)?;
    }
    Ok(value)
}

/// Updates of whole blocks, at places `(…, axes)` that are coordinates along the first axes.
fn blocks(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let update = update(call)?;
    let [value, places, updates] = call.together([0, 1, 2])?;
    let (dims, at) = (value.dims(), places.dims());
    let depth = at.last().copied().unwrap_or(0);
    let mut expected = at[..at.len().saturating_sub(1)].to_vec();
    expected.extend(dims.get(depth..).unwrap_or_default());
    if depth == 0 || depth > dims.len() || updates.dims() != expected {
        return Err(Error::Operator(format!(
            "updates of shape {:?} at indices of shape {at:?} in a tensor of shape {dims:?}",
            updates.dims()
        )));
    }
    let rows = flat_places(places, &dims[..depth], call.devices)?;
    let count = rows.dims()[0];
    let (entries, width) = (
        dims[..depth].iter().product(),
        dims[depth..].iter().product(),
    );
    let value = value.reshape(&[entries, width])?;
    let updates = updates.reshape(&[count, width])?;
    let rows = rows.reshape(&[count, 1])?.expand(&[count, width])?;
    let put = put_along(value, 0, rows, updates, update, call.devices)?;
    Ok(one(put.reshape(&dims)?))
}

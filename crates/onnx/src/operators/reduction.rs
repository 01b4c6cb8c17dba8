//! Reductions along axes, places of extreme entries, running sums and sorting.

use burn::backend::{
    Dispatch, DispatchTensor,
    ops::{FloatTensorOps, IntTensorOps},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, indexing, one};
use crate::{
    Error, Result,
    value::{INT, Value, axis_of},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "ArgMax" => Operator::flat(|call| place(call, true)),
        "ArgMin" => Operator::flat(|call| place(call, false)),
        "Hardmax" => Operator::flat(hardmax),
        "TopK" => Operator::through(top_k, &[0]),
        "CumSum" => Operator::through(running_sum, &[0]),
        _ => {
            let run = reduction(name)?;
            return Some(Operator::through(run, &[0]));
        }
    })
}

fn reduction(name: &str) -> Option<super::Run> {
    Some(match name {
        "ReduceSum" => |call| reduce(call, Reduction::Sum),
        "ReduceMean" => |call| reduce(call, Reduction::Mean),
        "ReduceMax" => |call| reduce(call, Reduction::Max),
        "ReduceMin" => |call| reduce(call, Reduction::Min),
        "ReduceProd" => |call| reduce(call, Reduction::Product),
        "ReduceL1" => |call| reduce(call, Reduction::Absolute),
        "ReduceL2" => |call| reduce(call, Reduction::Norm),
        "ReduceLogSum" => |call| reduce(call, Reduction::LogSum),
        "ReduceLogSumExp" => |call| reduce(call, Reduction::LogSumExp),
        "ReduceSumSquare" => |call| reduce(call, Reduction::SumSquare),
        _ => return None,
    })
}

/// A function of all entries along axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Product,
    /// The sum of absolute values.
    Absolute,
    /// The root of the sum of squares.
    Norm,
    LogSum,
    LogSumExp,
    SumSquare,
}

fn reduce(call: &mut Call<'_>, reduction: Reduction) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let axes = call.ints("axes", 1)?.unwrap_or_default();
    let mut axes: Vec<usize> = if !axes.is_empty() {
        axes.iter()
            .map(|&axis| value.axis(axis))
            .collect::<Result<_>>()?
    } else if call.node.attributes.flag("noop_with_empty_axes")? {
        Vec::new()
    } else {
        (0..value.rank()).collect()
    };
    axes.sort_unstable();
    axes.dedup();
    let keeps = call.int("keepdims", 1)? != 0;
    Ok(one(reduction.over(value, &axes, keeps)?))
}

impl Reduction {
    /// The function along axes, which stay with length 1 or are dropped.
    pub(super) fn over(self, value: Value, axes: &[usize], keeps: bool) -> Result<Value> {
        let dims = value.dims();
        let value = match self {
            Self::Sum | Self::Max | Self::Min | Self::Product => value,
            _ => value.float()?,
        };
        let reduced = self.along(value, axes)?;
        if keeps {
            return Ok(reduced);
        }
        let left = (0..dims.len()).filter(|axis| !axes.contains(axis));
        let left: Vec<usize> = left.map(|axis| dims[axis]).collect();
        reduced.reshape(&left)
    }

    fn along(self, value: Value, axes: &[usize]) -> Result<Value> {
        let sum = |value: Value| axes.iter().fold(value, |sum, &axis| sum.sum_along(axis));
        Ok(match self {
            Self::Sum => match value.kind {
                FieldKind::Bool => return Err(Error::operator("expected numbers, got booleans")),
                _ => sum(value),
            },
            Self::Mean => axes.iter().fold(value, |mean, &axis| mean.mean_along(axis)),
            Self::Absolute => sum(value.map(Dispatch::float_abs)),
            Self::SumSquare => sum(value.squared()),
            Self::Norm => sum(value.squared()).map(Dispatch::float_sqrt),
            Self::LogSum => sum(value).map(Dispatch::float_log),
            Self::LogSumExp => {
                let largest = Self::Max.along(value.clone(), axes)?;
                // Where all is −∞, nothing is subtracted.
                let largest =
                    largest.map(|tensor| Dispatch::float_clamp_min(tensor, f32::MIN.into()));
                let powers = value.minus(largest.clone())?.map(Dispatch::float_exp);
                largest.plus(sum(powers).map(Dispatch::float_log))?
            }
            Self::Max => extreme(value, axes, Dispatch::float_max_dim, Dispatch::int_max_dim)?,
            Self::Min => extreme(value, axes, Dispatch::float_min_dim, Dispatch::int_min_dim)?,
            Self::Product => axes
                .iter()
                .try_fold(value, |value, &axis| product(value, axis))?,
        })
    }
}

/// An extreme along axes, one axis after the other.
fn extreme(
    value: Value,
    axes: &[usize],
    float: fn(DispatchTensor, usize) -> DispatchTensor,
    int: fn(DispatchTensor, usize) -> DispatchTensor,
) -> Result<Value> {
    let operation = match value.kind {
        FieldKind::Float => float,
        FieldKind::Int => int,
        FieldKind::Bool => return Err(Error::operator("expected numbers, got booleans")),
    };
    let dims = value.dims();
    if axes.iter().any(|&axis| dims[axis] == 0) {
        return Err(Error::Operator(format!(
            "the extreme of no entries, in shape {dims:?}"
        )));
    }
    Ok(axes.iter().fold(value, |value, &axis| {
        value.change(|tensor| operation(tensor, axis))
    }))
}

/// The product along an axis. Of floats, halves are multiplied until one entry is left, since burn
/// differentiates its own by dividing by the entries.
fn product(mut value: Value, axis: usize) -> Result<Value> {
    if value.kind == FieldKind::Int {
        return Ok(value.change(|tensor| Dispatch::int_prod_dim(tensor, axis)));
    }
    value = value.float()?;
    if value.dims().contains(&0) {
        return Err(Error::operator("the product of no entries"));
    }
    loop {
        let length = value.dims()[axis];
        let half = length / 2;
        if length < 2 {
            return Ok(value);
        }
        let first = value.clone().slice(axis, 0, half, 1);
        let second = value.clone().slice(axis, half, 2 * half, 1);
        let products = first.times(second)?;
        value = match length % 2 {
            0 => products,
            _ => Value::concatenated(
                vec![products, value.slice(axis, length - 1, length, 1)],
                axis,
            )?,
        };
    }
}

/// The place of the largest, or the smallest, entry along an axis.
fn place(call: &mut Call<'_>, largest: bool) -> Result<Vec<Slot>> {
    let value = call.value(0)?;
    let axis = call.axis(&value, 0)?;
    let last = call.node.attributes.flag("select_last_index")?;
    let length = value.dims()[axis];
    if length == 0 {
        return Err(Error::operator("the place of the largest of no entries"));
    }
    let value = if last { value.flip(axis) } else { value };
    let mut places = extreme_place(value, axis, largest)?;
    if last {
        let end = i64::try_from(length - 1).unwrap_or(i64::MAX);
        places =
            places.map(|tensor| Dispatch::int_add_scalar(Dispatch::int_neg(tensor), end.into()));
    }
    if call.int("keepdims", 1)? == 0 {
        let mut dims = places.dims();
        dims.remove(axis);
        places = places.reshape(&dims)?;
    }
    Ok(one(places))
}

/// The first place of an extreme entry along an axis, which stays with length 1.
pub(super) fn extreme_place(value: Value, axis: usize, largest: bool) -> Result<Value> {
    if value.dims().contains(&0) {
        return Err(Error::operator("the place of an extreme of no entries"));
    }
    let known = value.known;
    let tensor = value.tensor;
    let tensor = match (value.kind, largest) {
        (FieldKind::Float, true) => Dispatch::float_argmax(tensor, axis, INT),
        (FieldKind::Float, false) => Dispatch::float_argmin(tensor, axis, INT),
        (FieldKind::Int, true) => Dispatch::int_argmax(tensor, axis),
        (FieldKind::Int, false) => Dispatch::int_argmin(tensor, axis),
        (FieldKind::Bool, _) => return Err(Error::operator("expected numbers, got booleans")),
    };
    Ok(Value {
        known,
        ..Value::new(FieldKind::Int, tensor)
    })
}

/// 1 at the first place of the largest entry along an axis, 0 elsewhere.
fn hardmax(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    let axis = call.axis(&value, -1)?;
    let length = value.dims()[axis];
    let places = extreme_place(value, axis, true)?;
    let mut dims = places.dims();
    dims.remove(axis);
    let hot = indexing::hot(places.reshape(&dims)?, axis, length, call.devices)?;
    Ok(one(hot.cast(FieldKind::Float, call.devices)))
}

/// The largest, or the smallest, entries along an axis in order, and their places.
fn top_k(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, count) = (call.value(0)?, call.value(1)?.ints()?);
    let axis = call.axis(&value, -1)?;
    let largest = call.int("largest", 1)? != 0;
    let length = value.dims()[axis];
    let count = count.first().and_then(|&count| usize::try_from(count).ok());
    let count = count.filter(|&count| count <= length).ok_or_else(|| {
        Error::Operator(format!("more entries than an axis of length {length} has"))
    })?;
    let order = value.clone();
    let order = match value.kind {
        FieldKind::Float => order.map_to(FieldKind::Int, |tensor| {
            Dispatch::float_argsort(tensor, axis, largest, INT)
        }),
        FieldKind::Int => order.map(|tensor| Dispatch::int_argsort(tensor, axis, largest)),
        FieldKind::Bool => return Err(Error::operator("expected numbers, got booleans")),
    };
    let places = order.slice(axis, 0, count, 1);
    let values = value.gather(axis, places.tensor.clone());
    Ok(vec![values.into(), places.into()])
}

fn running_sum(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (mut value, axis) = (call.value(0)?, call.value(1)?.ints()?);
    let axis = axis_of(axis.first().copied().unwrap_or(0), value.rank())?;
    let reverse = call.node.attributes.flag("reverse")?;
    let exclusive = call.node.attributes.flag("exclusive")?;
    if reverse {
        value = value.flip(axis);
    }
    let length = value.dims()[axis];
    let mut sums = match value.kind {
        FieldKind::Int => value.map(|tensor| Dispatch::int_cumsum(tensor, axis)),
        _ => value
            .float()?
            .map(|tensor| Dispatch::float_cumsum(tensor, axis)),
    };
    if exclusive && length > 0 {
        // The sum up to an entry is that up to the one before it, and none up to the first.
        let first = sums.clone().slice(axis, 0, 1, 1);
        let nothing = first.clone().minus(first)?;
        let rest = sums.slice(axis, 0, length - 1, 1);
        sums = Value::concatenated(vec![nothing, rest], axis)?;
    }
    Ok(one(if reverse { sums.flip(axis) } else { sums }))
}

//! Operations that move numbers and compute none.

use burn::{
    backend::{
        Dispatch, DispatchTensor,
        ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
    },
    tensor::{Scalar, Shape, Slice},
};
use influence_core::FieldKind;

use super::Value;
use crate::{Error, Result};

/// The value after the operation of its kind, which may change its shape.
macro_rules! by_kind {
    ($value:expr, $float:ident $int:ident $bool:ident, |$tensor:ident| $($argument:expr),*) => {{
        let value = $value;
        match value.kind {
            FieldKind::Float => value.change(|$tensor| Dispatch::$float($($argument),*)),
            FieldKind::Int => value.change(|$tensor| Dispatch::$int($($argument),*)),
            FieldKind::Bool => value.change(|$tensor| Dispatch::$bool($($argument),*)),
        }
    }};
}

impl Value {
    /// The same numbers in another shape.
    pub(crate) fn reshape(self, dims: &[usize]) -> Result<Self> {
        if self.dims() == dims {
            return Ok(self);
        }
        if count(dims) != count(&self.dims()) {
            return Err(Error::Operator(format!(
                "a tensor of shape {:?} cannot have shape {dims:?}; if a length of the first axis was written into the file, export it with that axis free",
                self.dims()
            )));
        }
        let shape = if dims.is_empty() {
            Shape::new([1])
        } else {
            Shape::from(dims.to_vec())
        };
        let reshaped =
            by_kind!(self, float_reshape int_reshape bool_reshape, |tensor| tensor, shape);
        Ok(Self {
            scalar: dims.is_empty(),
            ..reshaped
        })
    }

    /// Axis `i` of the result is axis `axes[i]`, each of them once.
    pub(crate) fn permute(self, axes: &[usize]) -> Result<Self> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..self.rank()) {
            return Err(Error::Operator(format!(
                "{axes:?} is no order of the axes of a tensor with {} axes",
                self.rank()
            )));
        }
        if axes.iter().copied().eq(0..axes.len()) {
            return Ok(self);
        }
        Ok(by_kind!(self, float_permute int_permute bool_permute, |tensor| tensor, axes))
    }

    /// Broadcast to a shape.
    pub(crate) fn expand(self, dims: &[usize]) -> Result<Self> {
        if self.dims() == dims {
            return Ok(self);
        }
        let own = self.dims();
        let fits = own.len() <= dims.len()
            && own
                .iter()
                .rev()
                .zip(dims.iter().rev())
                .all(|(&own, &side)| own == side || own == 1);
        if !fits {
            return Err(Error::Operator(format!(
                "a tensor of shape {own:?} cannot be broadcast to {dims:?}"
            )));
        }
        check_count(dims, self.known)?;
        let lifted = self.lift(dims.len())?;
        if lifted.dims() == dims {
            return Ok(lifted);
        }
        let shape = Shape::from(dims.to_vec());
        Ok(by_kind!(lifted, float_expand int_expand bool_expand, |tensor| tensor, shape))
    }

    /// With axes of length 1 in front, up to a rank.
    pub(crate) fn lift(self, rank: usize) -> Result<Self> {
        let dims = self.dims();
        if dims.len() >= rank {
            return Ok(self);
        }
        let mut lifted = vec![1; rank - dims.len()];
        lifted.extend(dims);
        self.reshape(&lifted)
    }

    /// Entries `from`, `from + step`, … below `to` of an axis.
    pub(crate) fn slice(self, axis: usize, from: usize, to: usize, step: usize) -> Self {
        let dims = self.dims();
        if from == 0 && to == dims[axis] && step == 1 {
            return self;
        }
        let index = |place: usize| isize::try_from(place).unwrap_or(isize::MAX);
        let slices = dims.iter().enumerate().map(|(other, &side)| {
            if other == axis {
                Slice::new(index(from), Some(index(to)), index(step))
            } else {
                Slice::new(0, Some(index(side)), 1)
            }
        });
        let slices: Vec<Slice> = slices.collect();
        by_kind!(self, float_slice int_slice bool_slice, |tensor| tensor, &slices)
    }

    /// The entries of an axis at the places of a vector of integers.
    pub(crate) fn select(self, axis: usize, places: DispatchTensor) -> Self {
        by_kind!(self, float_select int_select bool_select, |tensor| tensor, axis, places)
    }

    /// Along an axis the entries at the places of a tensor of integers, shaped alike but for that
    /// axis.
    pub(crate) fn gather(self, axis: usize, places: DispatchTensor) -> Self {
        by_kind!(self, float_gather int_gather bool_gather, |tensor| axis, tensor, places)
    }

    /// An axis in the other direction.
    pub(crate) fn flip(self, axis: usize) -> Self {
        by_kind!(self, float_flip int_flip bool_flip, |tensor| tensor, &[axis])
    }

    /// An axis repeated.
    pub(crate) fn repeat(self, axis: usize, times: usize) -> Result<Self> {
        if times == 1 {
            return Ok(self);
        }
        let mut dims = self.dims();
        dims[axis] = dims[axis].saturating_mul(times);
        check_count(&dims, self.known)?;
        Ok(
            by_kind!(self, float_repeat_dim int_repeat_dim bool_repeat_dim, |tensor| tensor, axis, times),
        )
    }

    /// Values of one kind and on one device, one behind the other along an axis.
    pub(crate) fn concatenated(mut values: Vec<Self>, axis: usize) -> Result<Self> {
        let Some((kind, known, mut dims)) =
            (values.first()).map(|first| (first.kind, first.known, first.dims()))
        else {
            return Err(Error::operator("nothing to concatenate"));
        };
        let mut length: usize = 0;
        for value in &values {
            let own = value.dims();
            let fits = own.len() == dims.len()
                && (0..dims.len()).all(|other| other == axis || own[other] == dims[other]);
            if !fits || value.kind != kind || axis >= own.len() {
                return Err(Error::Operator(format!(
                    "tensors of shapes {dims:?} and {own:?} cannot be joined along axis {axis}"
                )));
            }
            length = length.saturating_add(own[axis]);
        }
        dims[axis] = length;
        check_count(&dims, known)?;
        // Not every backend takes tensors without numbers.
        if length > 0 {
            values.retain(|value| value.dims()[axis] > 0);
        }
        if values.len() == 1 || length == 0 {
            return Ok(values.remove(0));
        }
        let tensors = values.into_iter().map(|value| value.tensor).collect();
        let tensor = match kind {
            FieldKind::Float => Dispatch::float_cat(tensors, axis),
            FieldKind::Int => Dispatch::int_cat(tensors, axis),
            FieldKind::Bool => Dispatch::bool_cat(tensors, axis),
        };
        Ok(Self {
            kind,
            tensor,
            scalar: false,
            known,
        })
    }

    /// Where a mask is true the entry of one value, elsewhere that of another; all on one device,
    /// broadcast.
    pub(crate) fn choose(mask: Self, yes: Self, no: Self) -> Result<Self> {
        let dims = broadcast(&broadcast(&mask.dims(), &yes.dims())?, &no.dims())?;
        let scalar = dims.is_empty();
        let full = if scalar { vec![1] } else { dims };
        let mask = mask.of_kind(FieldKind::Bool)?.expand(&full)?.tensor;
        let no = no.of_kind(yes.kind)?.expand(&full)?.tensor;
        let chosen = yes.expand(&full)?;
        let chosen =
            by_kind!(chosen, float_mask_where int_mask_where bool_mask_where, |yes| no, mask, yes);
        Ok(Self { scalar, ..chosen })
    }

    /// With one number where a mask, which is broadcast, is true.
    pub(crate) fn fill(self, mask: Self, number: Scalar) -> Result<Self> {
        let dims = broadcast(&self.dims(), &mask.dims())?;
        let scalar = dims.is_empty();
        let full = if scalar { vec![1] } else { dims };
        let mask = mask.of_kind(FieldKind::Bool)?.expand(&full)?.tensor;
        let filled = self.expand(&full)?;
        let filled = by_kind!(filled, float_mask_fill int_mask_fill bool_mask_fill, |tensor| tensor, mask, number);
        Ok(Self { scalar, ..filled })
    }
}

/// The most numbers of a value that a file computes from nothing, and of any other.
const MOST_KNOWN: usize = 1 << 28;
const MOST: usize = 1 << 31;

/// How many numbers a shape holds; `None` where there is no such number.
fn count(dims: &[usize]) -> Option<usize> {
    dims.iter()
        .try_fold(1_usize, |count, &length| count.checked_mul(length))
}

/// Checks that a shape which a file dictates is none that exhausts the memory.
///
/// # Errors
/// When it holds more than 2²⁸ numbers, or 2³¹ if they depend on data.
pub(crate) fn check_count(dims: &[usize], known: bool) -> Result<()> {
    let most = if known { MOST_KNOWN } else { MOST };
    match count(dims) {
        Some(count) if count <= most => Ok(()),
        _ => Err(Error::Operator(format!(
            "a tensor of shape {dims:?} is too large, at most {most} numbers are computed"
        ))),
    }
}

/// Integers as the lengths of axes.
///
/// # Errors
/// When one is negative.
pub(crate) fn lengths(ints: &[i64]) -> Result<Vec<usize>> {
    let length = |&int: &i64| {
        usize::try_from(int).map_err(|_| Error::Operator(format!("an axis of length {int}")))
    };
    ints.iter().map(length).collect()
}

/// The shape to which two shapes are broadcast.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>> {
    let rank = left.len().max(right.len());
    let side = |dims: &[usize], axis: usize| {
        let missing = rank - dims.len();
        axis.checked_sub(missing).map_or(1, |axis| dims[axis])
    };
    let joined = (0..rank).map(|axis| match (side(left, axis), side(right, axis)) {
        (1, side) | (side, 1) => Ok(side),
        (left, right) if left == right => Ok(left),
        _ => Err(Error::Operator(format!(
            "tensors of shapes {left:?} and {right:?} do not fit each other"
        ))),
    });
    joined.collect()
}

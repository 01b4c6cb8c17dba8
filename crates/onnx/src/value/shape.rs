//! Operations that move numbers and compute none.

use burn::{
    backend::{
        Dispatch, DispatchTensor,
        ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
    },
    tensor::{Shape, Slice},
};
use influence_core::FieldKind;

use super::Value;
use crate::{Error, Result};

/// The operation of this kind of value.
macro_rules! by_kind {
    ($value:expr, $float:ident $int:ident $bool:ident, |$tensor:ident| $($argument:expr),*) => {{
        let value = $value;
        let $tensor = value.tensor;
        match value.kind {
            FieldKind::Float => Dispatch::$float($($argument),*),
            FieldKind::Int => Dispatch::$int($($argument),*),
            FieldKind::Bool => Dispatch::$bool($($argument),*),
        }
    }};
}

impl Value {
    /// The same numbers in another shape.
    pub(crate) fn reshape(self, dims: &[usize]) -> Result<Self> {
        if self.dims() == dims {
            return Ok(self);
        }
        let numbers = |dims: &[usize]| dims.iter().product::<usize>();
        if numbers(dims) != numbers(&self.dims()) {
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
        let (kind, known) = (self.kind, self.known);
        let tensor = by_kind!(self, float_reshape int_reshape bool_reshape, |tensor| tensor, shape);
        Ok(Self {
            kind,
            tensor,
            scalar: dims.is_empty(),
            known,
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
        let like = self.clone();
        Ok(
            like.with(
                by_kind!(self, float_permute int_permute bool_permute, |tensor| tensor, axes),
            ),
        )
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
        let lifted = self.lift(dims.len())?;
        if lifted.dims() == dims {
            return Ok(lifted);
        }
        let like = lifted.clone();
        let shape = Shape::from(dims.to_vec());
        Ok(
            like.with(
                by_kind!(lifted, float_expand int_expand bool_expand, |tensor| tensor, shape),
            ),
        )
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
        let like = self.clone();
        like.with(by_kind!(self, float_slice int_slice bool_slice, |tensor| tensor, &slices))
    }

    /// The entries of an axis at the places of a vector of integers.
    pub(crate) fn select(self, axis: usize, places: DispatchTensor) -> Self {
        let like = self.clone();
        like.with(
            by_kind!(self, float_select int_select bool_select, |tensor| tensor, axis, places),
        )
    }

    /// Along an axis the entries at the places of a tensor of integers, shaped alike but for that axis.
    pub(crate) fn gather(self, axis: usize, places: DispatchTensor) -> Self {
        let like = self.clone();
        like.with(
            by_kind!(self, float_gather int_gather bool_gather, |tensor| axis, tensor, places),
        )
    }

    /// An axis in the other direction.
    pub(crate) fn flip(self, axis: usize) -> Self {
        let like = self.clone();
        like.with(by_kind!(self, float_flip int_flip bool_flip, |tensor| tensor, &[axis]))
    }

    /// An axis repeated.
    pub(crate) fn repeat(self, axis: usize, times: usize) -> Self {
        if times == 1 {
            return self;
        }
        let like = self.clone();
        like.with(by_kind!(self, float_repeat_dim int_repeat_dim bool_repeat_dim, |tensor| tensor, axis, times))
    }

    /// Values of one kind and on one device, one behind the other along an axis.
    pub(crate) fn concatenated(values: Vec<Self>, axis: usize) -> Result<Self> {
        let Some(first) = values.first().cloned() else {
            return Err(Error::Operator("nothing to concatenate".into()));
        };
        if values.len() == 1 {
            return Ok(first);
        }
        let tensors = values.into_iter().map(|value| value.tensor).collect();
        Ok(first.with(match first.kind {
            FieldKind::Float => Dispatch::float_cat(tensors, axis),
            FieldKind::Int => Dispatch::int_cat(tensors, axis),
            FieldKind::Bool => Dispatch::bool_cat(tensors, axis),
        }))
    }

    /// Where a mask is true the entry of one value, elsewhere that of another; all on one device,
    /// broadcast.
    pub(crate) fn choose(mask: Self, yes: Self, no: Self) -> Result<Self> {
        let dims = broadcast(&broadcast(&mask.dims(), &yes.dims())?, &no.dims())?;
        let scalar = dims.is_empty();
        let full = if scalar { vec![1] } else { dims };
        let (mask, yes, no) = (mask.expand(&full)?, yes.expand(&full)?, no.expand(&full)?);
        let like = yes.clone();
        let (mask, yes, no) = (mask.tensor, yes.tensor, no.tensor);
        let chosen = like.with(match like.kind {
            FieldKind::Float => Dispatch::float_mask_where(no, mask, yes),
            FieldKind::Int => Dispatch::int_mask_where(no, mask, yes),
            FieldKind::Bool => Dispatch::bool_mask_where(no, mask, yes),
        });
        Ok(Self { scalar, ..chosen })
    }
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

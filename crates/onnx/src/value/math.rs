//! Arithmetic of values, with broadcasting.

use burn::{
    backend::{
        Dispatch, DispatchTensor,
        ops::{FloatTensorOps, IntTensorOps},
    },
    tensor::Scalar,
};
use influence_core::FieldKind;

use super::{Value, axis_of, shape::broadcast, shape::check_count};
use crate::{Error, Result};

impl Value {
    /// The result of an operation that broadcasts, on two values on one device.
    ///
    /// # Errors
    /// When their shapes do not fit each other.
    pub(crate) fn joined(
        self,
        other: Self,
        operation: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Result<Self> {
        let dims = broadcast(&self.dims(), &other.dims())?;
        check_count(&dims, self.known)?;
        let other = other.lift(dims.len())?;
        let joined = self
            .lift(dims.len())?
            .map(|tensor| operation(tensor, other.tensor));
        Ok(Self {
            scalar: dims.is_empty(),
            ..joined
        })
    }

    /// As [`joined`](Self::joined), by the operation of their kind.
    ///
    /// # Errors
    /// Also when they are not both floats or both integers.
    pub(crate) fn computed(
        self,
        other: Self,
        float: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor,
        int: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor,
    ) -> Result<Self> {
        let other = other.of_kind(self.kind)?;
        match self.kind {
            FieldKind::Float => self.joined(other, float),
            FieldKind::Int => self.joined(other, int),
            FieldKind::Bool => Err(Error::operator("expected numbers, got booleans")),
        }
    }

    /// The sum.
    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        self.computed(other, Dispatch::float_add, Dispatch::int_add)
    }

    /// The difference.
    pub(crate) fn minus(self, other: Self) -> Result<Self> {
        self.computed(other, Dispatch::float_sub, Dispatch::int_sub)
    }

    /// The product of entries.
    pub(crate) fn times(self, other: Self) -> Result<Self> {
        self.computed(other, Dispatch::float_mul, Dispatch::int_mul)
    }

    /// The quotient of floats.
    pub(crate) fn over(self, other: Self) -> Result<Self> {
        self.float()?.joined(other.float()?, Dispatch::float_div)
    }

    /// Floats times a number.
    pub(crate) fn scaled(self, number: f64) -> Self {
        self.map(|tensor| Dispatch::float_mul_scalar(tensor, number.into()))
    }

    /// Floats plus a number.
    pub(crate) fn shifted(self, number: f64) -> Self {
        self.map(|tensor| Dispatch::float_add_scalar(tensor, number.into()))
    }

    /// The squares of floats.
    pub(crate) fn squared(self) -> Self {
        self.map(|tensor| Dispatch::float_mul(tensor.clone(), tensor))
    }

    /// Sums along an axis, which stays with length 1.
    pub(crate) fn sum_along(self, axis: usize) -> Self {
        match self.kind {
            FieldKind::Int => self.change(|tensor| Dispatch::int_sum_dim(tensor, axis)),
            _ => self.change(|tensor| Dispatch::float_sum_dim(tensor, axis)),
        }
    }

    /// Means of floats along an axis, which stays with length 1.
    pub(crate) fn mean_along(self, axis: usize) -> Self {
        self.change(|tensor| Dispatch::float_mean_dim(tensor, axis))
    }

    /// The last two axes exchanged.
    ///
    /// # Errors
    /// When there are fewer.
    pub(crate) fn transposed(self) -> Result<Self> {
        let (row, column) = (axis_of(-2, self.rank())?, axis_of(-1, self.rank())?);
        Ok(if self.kind == FieldKind::Int {
            self.change(|tensor| Dispatch::int_swap_dims(tensor, row, column))
        } else {
            let value = self.float()?;
            value.change(|tensor| Dispatch::float_swap_dims(tensor, row, column))
        })
    }

    /// Integers that count from the end of an axis where they are negative, as integers that do
    /// not.
    ///
    /// # Errors
    /// When known ones lie beyond the axis.
    pub(crate) fn places(self, length: usize) -> Result<Self> {
        let value = self.of_kind(FieldKind::Int)?;
        let end = i64::try_from(length).unwrap_or(i64::MAX);
        if value.known {
            let ints = value.ints()?;
            if let Some(beyond) = ints.iter().find(|&&int| int < -end || int >= end) {
                return Err(Error::Operator(format!(
                    "index {beyond} into an axis of length {length}"
                )));
            }
            if ints.iter().all(|&int| int >= 0) {
                return Ok(value);
            }
        }
        // One is added for each negative entry: x + length · (x < 0), where −(x < 0) is the sign
        // capped at 0.
        Ok(value.map(|tensor| {
            let sign = Dispatch::int_clamp_max(Dispatch::int_sign(tensor.clone()), 0_i64.into());
            let wrapped = Dispatch::int_mul_scalar(sign, Scalar::Int(end));
            Dispatch::int_sub(tensor, wrapped)
        }))
    }
}

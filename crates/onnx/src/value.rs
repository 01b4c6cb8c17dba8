//! Tensors of any rank and kind, on any device.
//!
//! burn's tensors have their rank in their type; those of its `Dispatch` backend have it at run
//! time. A [`Value`] is one of these, with what ONNX needs beyond: tensors of rank 0, which are
//! kept as tensors `[1]`, and whether its numbers are *known*. A value is known if it depends
//! neither on parameters nor on data. Known values are computed on the CPU while the network runs,
//! by the same operators as any other, so that shapes, axes and masks that a file computes need no
//! second evaluator; they move to the device of the data when they meet a value that is not known.

mod math;
mod shape;

use burn::{
    backend::{
        DeviceOps, Dispatch, DispatchDevice, DispatchTensor, TensorMetadata,
        ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
    },
    tensor::{Bool, BoolDType, DType, FloatDType, Int, IntDType, Tensor, TensorData},
};
use influence_core::FieldKind;

use crate::{Error, Result};

pub(crate) use shape::{broadcast, check_count, lengths};

/// The types in which values are computed; the precision of a fit is chosen when its recording is
/// evaluated.
pub(crate) const FLOAT: FloatDType = FloatDType::F32;
pub(crate) const INT: IntDType = IntDType::I64;
/// The type of known floats: a number that is made of them enters a recording in 64 bits.
pub(crate) const KNOWN_FLOAT: FloatDType = FloatDType::F64;

/// Where values are.
#[derive(Debug, Clone)]
pub(crate) struct Devices {
    /// The CPU, where known values are.
    pub(crate) home: DispatchDevice,
    /// The device of the parameters and the data.
    pub(crate) away: DispatchDevice,
}

/// A tensor of any rank and kind.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) kind: FieldKind,
    /// Of shape `[1]` for a scalar.
    pub(crate) tensor: DispatchTensor,
    /// Whether its rank is 0.
    pub(crate) scalar: bool,
    /// Whether it depends neither on parameters nor on data; it is at home then.
    pub(crate) known: bool,
}

impl Value {
    /// A value that is not known.
    pub(crate) fn new(kind: FieldKind, tensor: DispatchTensor) -> Self {
        Self {
            kind,
            tensor,
            scalar: false,
            known: false,
        }
    }

    /// Numbers on a device: at home they are known.
    pub(crate) fn from_data(data: TensorData, known: bool, device: &DispatchDevice) -> Self {
        let scalar = data.shape().is_empty();
        let data = if scalar {
            TensorData::from_bytes_vec(data.as_bytes().to_vec(), [1], data.dtype())
        } else {
            data
        };
        let (kind, tensor) = if data.dtype().is_float() {
            let float = if known { KNOWN_FLOAT } else { FLOAT };
            let data = data.convert_dtype(float.into());
            (FieldKind::Float, Dispatch::float_from_data(data, device))
        } else if data.dtype().is_bool() {
            let data = data.convert_dtype(DType::from(device.defaults().bool_dtype));
            (FieldKind::Bool, Dispatch::bool_from_data(data, device))
        } else {
            let data = data.convert_dtype(INT.into());
            (FieldKind::Int, Dispatch::int_from_data(data, device))
        };
        Self {
            kind,
            tensor,
            scalar,
            known,
        }
    }

    /// Known numbers.
    pub(crate) fn known(data: TensorData, devices: &Devices) -> Self {
        Self::from_data(data, true, &devices.home)
    }

    /// The result of an operation that keeps kind and shape.
    pub(crate) fn map(self, operation: impl FnOnce(DispatchTensor) -> DispatchTensor) -> Self {
        let tensor = operation(self.tensor);
        Self { tensor, ..self }
    }

    /// The result of an operation that keeps the shape, in another kind.
    pub(crate) fn map_to(
        self,
        kind: FieldKind,
        operation: impl FnOnce(DispatchTensor) -> DispatchTensor,
    ) -> Self {
        let mapped = self.map(operation);
        Self { kind, ..mapped }
    }

    /// The result of an operation that keeps the kind and changes the shape; not a scalar.
    pub(crate) fn change(self, operation: impl FnOnce(DispatchTensor) -> DispatchTensor) -> Self {
        let changed = self.map(operation);
        Self {
            scalar: false,
            ..changed
        }
    }

    /// This value, if it is of a kind.
    ///
    /// # Errors
    /// When it is of another kind.
    pub(crate) fn of_kind(self, kind: FieldKind) -> Result<Self> {
        if self.kind == kind {
            return Ok(self);
        }
        let words = |kind| match kind {
            FieldKind::Float => "floats",
            FieldKind::Int => "integers",
            FieldKind::Bool => "booleans",
        };
        Err(Error::Operator(format!(
            "expected {}, got {}",
            words(kind),
            words(self.kind)
        )))
    }

    /// This value, if it holds floats.
    ///
    /// # Errors
    /// When it holds anything else.
    pub(crate) fn float(self) -> Result<Self> {
        self.of_kind(FieldKind::Float)
    }

    /// As many times the same number, known.
    ///
    /// # Errors
    /// When there would be more of them than [`check_count`] allows.
    pub(crate) fn full(number: f64, dims: &[usize], devices: &Devices) -> Result<Self> {
        let one = Self::known(TensorData::new(vec![number], [1]), devices);
        if dims.is_empty() {
            one.reshape(dims)
        } else {
            one.expand(dims)
        }
    }

    /// Known integers in a shape that takes as many.
    pub(crate) fn known_ints(ints: Vec<i64>, dims: &[usize], devices: &Devices) -> Self {
        Self::known(TensorData::new(ints, dims.to_vec()), devices)
    }

    /// Its shape; empty for a scalar.
    pub(crate) fn dims(&self) -> Vec<usize> {
        if self.scalar {
            Vec::new()
        } else {
            self.tensor.shape().to_vec()
        }
    }

    pub(crate) fn rank(&self) -> usize {
        if self.scalar {
            0
        } else {
            self.tensor.shape().num_dims()
        }
    }

    /// An axis, which may be counted from the last one.
    pub(crate) fn axis(&self, axis: i64) -> Result<usize> {
        axis_of(axis, self.rank())
    }

    /// The numbers of a known value.
    ///
    /// # Errors
    /// When it depends on parameters or data.
    pub(crate) fn data(&self) -> Result<TensorData> {
        if !self.known {
            return Err(Error::Operator(
                "a shape, an axis or a setting depends on the data; export the network so that it depends on shapes only"
                    .into(),
            ));
        }
        let tensor = self.tensor.clone();
        Ok(match self.kind {
            FieldKind::Float => Tensor::<1>::from_dispatch(tensor).into_data(),
            FieldKind::Int => Tensor::<1, Int>::from_dispatch(tensor).into_data(),
            FieldKind::Bool => Tensor::<1, Bool>::from_dispatch(tensor).into_data(),
        })
    }

    /// The integers of a known value; booleans are 0 and 1.
    ///
    /// # Errors
    /// When it depends on parameters or data, or holds floats.
    pub(crate) fn ints(&self) -> Result<Vec<i64>> {
        if self.kind == FieldKind::Float {
            return Err(Error::operator("expected integers, got floats"));
        }
        Ok(self.data()?.iter::<i64>().collect())
    }

    /// The numbers of a known value.
    pub(crate) fn floats(&self) -> Result<Vec<f64>> {
        Ok(self.data()?.iter::<f64>().collect())
    }

    /// The only number of a known value, if it has one and no more.
    pub(crate) fn single(&self) -> Option<f64> {
        let one =
            self.known && self.kind != FieldKind::Bool && self.tensor.shape().num_elements() == 1;
        one.then(|| self.floats().ok()?.first().copied()).flatten()
    }

    /// The same numbers on the device of the data.
    pub(crate) fn away(self, devices: &Devices) -> Result<Self> {
        if !self.known {
            return Ok(self);
        }
        let moved = Self::from_data(self.data()?, false, &devices.away);
        Ok(Self {
            scalar: self.scalar,
            ..moved
        })
    }

    /// Values on one device: known if all are, else away.
    pub(crate) fn together<const N: usize>(
        values: [Self; N],
        devices: &Devices,
    ) -> Result<[Self; N]> {
        let moved = Self::all_together(values.into(), devices)?;
        moved
            .try_into()
            .map_err(|_| Error::Operator("values were lost".into()))
    }

    /// As [`together`](Self::together), of any number of values.
    pub(crate) fn all_together(values: Vec<Self>, devices: &Devices) -> Result<Vec<Self>> {
        if values.iter().all(|value| value.known) {
            return Ok(values);
        }
        values
            .into_iter()
            .map(|value| value.away(devices))
            .collect()
    }

    /// The type of booleans where it is.
    pub(crate) fn bools(&self, devices: &Devices) -> BoolDType {
        let device = if self.known {
            &devices.home
        } else {
            &devices.away
        };
        device.defaults().bool_dtype
    }

    /// The same numbers in another kind; integers are floats rounded towards zero, booleans whether
    /// a number is not zero.
    pub(crate) fn cast(self, kind: FieldKind, devices: &Devices) -> Self {
        use FieldKind::{Bool, Float, Int};
        let bools = self.bools(devices);
        let floats = if self.known { KNOWN_FLOAT } else { FLOAT };
        match (self.kind, kind) {
            (Float, Int) => self
                .rounded()
                .map_to(kind, |tensor| Dispatch::float_into_int(tensor, INT)),
            (Float, Bool) => self.map_to(kind, |tensor| {
                Dispatch::float_not_equal_elem(tensor, 0.0.into(), bools)
            }),
            (Int, Float) => self.map_to(kind, |tensor| Dispatch::int_into_float(tensor, floats)),
            (Int, Bool) => self.map_to(kind, |tensor| {
                Dispatch::int_not_equal_elem(tensor, 0_i64.into(), bools)
            }),
            (Bool, Float) => self.map_to(kind, |tensor| Dispatch::bool_into_float(tensor, floats)),
            (Bool, Int) => self.map_to(kind, |tensor| Dispatch::bool_into_int(tensor, INT)),
            _ => self,
        }
    }

    /// Floats as they would be in 32 bits, which whoever wrote the file computed with: sizes that
    /// are rounded to integers must not fall on the other side.
    pub(crate) fn rounded(self) -> Self {
        if self.known && self.kind == FieldKind::Float {
            self.map(|tensor| {
                Dispatch::float_cast(Dispatch::float_cast(tensor, FLOAT), KNOWN_FLOAT)
            })
        } else {
            self
        }
    }
}

/// An axis among `rank` of them, which may be counted from the last one.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let ranked = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_first = if axis < 0 {
        axis.saturating_add(ranked)
    } else {
        axis
    };
    usize::try_from(from_first)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Error::Operator(format!("axis {axis} of a tensor with {rank} axes")))
}

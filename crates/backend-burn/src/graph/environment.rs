//! The tensors of a graph while it runs.

use std::{collections::HashMap, fmt::Debug};

use burn::{
    backend::{
        Backend, DeviceOps, TensorMetadata,
        ir::{TensorId, TensorIr, TensorStatus},
        tensor::{BoolTensor, FloatTensor, IntTensor},
    },
    tensor::{BoolDType, DType, FloatDType, IntDType, Shape, TensorData},
};

use super::kernels::Kernels;
use crate::{Error, Result};

/// The tensors of a graph while it runs.
#[derive(Clone)]
pub(crate) struct Environment<B: Backend> {
    pub(super) floats: HashMap<TensorId, FloatTensor<B>>,
    pub(super) ints: HashMap<TensorId, IntTensor<B>>,
    pub(super) bools: HashMap<TensorId, BoolTensor<B>>,
    pub(super) device: B::Device,
    /// Every float tensor is computed in this type, whatever type was recorded.
    pub(super) float: FloatDType,
    pub(super) int: IntDType,
    pub(super) bool: BoolDType,
    pub(super) erf: fn(FloatTensor<B>) -> FloatTensor<B>,
    pub(super) exp: fn(FloatTensor<B>) -> FloatTensor<B>,
    pub(super) tanh: fn(FloatTensor<B>) -> FloatTensor<B>,
    pub(super) product: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
}

impl<B: Backend> Environment<B> {
    pub(crate) fn new(device: B::Device, float: FloatDType) -> Self
    where
        B: Kernels,
    {
        let defaults = device.defaults();
        Self {
            floats: HashMap::new(),
            ints: HashMap::new(),
            bools: HashMap::new(),
            device,
            float,
            int: defaults.int_dtype,
            bool: defaults.bool_dtype,
            erf: B::erf,
            exp: B::exp,
            tanh: B::tanh,
            product: B::product,
        }
    }

    /// A product of matrices. One by which a whole batch is multiplied takes the rows of all at
    /// once: it would be packed again for each of them, and its derivative formed for each. It may
    /// have leading axes of length 1, or none.
    pub(crate) fn multiplied(&self, left: FloatTensor<B>, right: FloatTensor<B>) -> FloatTensor<B> {
        let (mut shape, matrix) = (left.shape(), right.shape());
        let (last, rank) = (shape.rank() - 1, matrix.rank());
        let [inner, columns] = [matrix[rank - 2], matrix[rank - 1]];
        if last == 1 || matrix.num_elements() != inner * columns {
            return (self.product)(left, right);
        }
        let rows = shape[..last].iter().product();
        let product = (self.product)(
            B::float_reshape(left, Shape::new([rows, inner])),
            B::float_reshape(right, Shape::new([inner, columns])),
        );
        shape[last] = columns;
        B::float_reshape(product, shape)
    }

    pub(crate) fn insert_float(&mut self, id: TensorId, value: FloatTensor<B>) {
        self.floats.insert(id, value);
    }

    /// Some operations of a backend return another integer type than the one chosen here; the two
    /// do not mix.
    pub(super) fn insert_int(&mut self, id: TensorId, value: IntTensor<B>) {
        let same = value.dtype() == DType::from(self.int);
        let value = if same {
            value
        } else {
            B::int_cast(value, self.int)
        };
        self.ints.insert(id, value);
    }

    pub(super) fn insert_bool(&mut self, id: TensorId, value: BoolTensor<B>) {
        self.bools.insert(id, value);
    }

    /// Puts host data on the device, in the types of this environment; converted here, as not every
    /// device has every type.
    pub(crate) fn insert_data(&mut self, id: TensorId, data: TensorData) {
        let kind = data.dtype();
        if kind.is_float() {
            let value = self.constant(data);
            self.insert_float(id, value);
        } else if kind.is_bool() {
            let value = self.truths(data);
            self.insert_bool(id, value);
        } else {
            let data = data.convert_dtype(DType::from(self.int));
            let value = B::int_from_data(data, &self.device);
            self.insert_int(id, value);
        }
    }

    /// Host truth values on the device.
    pub(super) fn truths(&self, data: TensorData) -> BoolTensor<B> {
        let data = data.convert_dtype(DType::from(self.bool));
        B::bool_from_data(data, &self.device)
    }

    /// Host floats on the device.
    pub(super) fn constant(&self, data: TensorData) -> FloatTensor<B> {
        let data = data.convert_dtype(DType::from(self.float));
        B::float_from_data(data, &self.device)
    }

    pub(super) fn remove(&mut self, id: TensorId) {
        self.floats.remove(&id);
        self.ints.remove(&id);
        self.bools.remove(&id);
    }

    /// A float tensor; the last reading of a tensor takes it out.
    pub(crate) fn float(&mut self, tensor: &TensorIr) -> Result<FloatTensor<B>> {
        read(&mut self.floats, tensor, "float")
    }

    pub(crate) fn int(&mut self, tensor: &TensorIr) -> Result<IntTensor<B>> {
        read(&mut self.ints, tensor, "integer")
    }

    pub(super) fn bool(&mut self, tensor: &TensorIr) -> Result<BoolTensor<B>> {
        read(&mut self.bools, tensor, "bool")
    }

    /// A float tensor, left in place.
    pub(crate) fn peek_float(&self, tensor: &TensorIr) -> Result<FloatTensor<B>> {
        self.floats
            .get(&tensor.id)
            .cloned()
            .ok_or_else(|| missing(tensor, "float"))
    }

    /// An integer tensor, left in place.
    pub(crate) fn peek_int(&self, tensor: &TensorIr) -> Result<IntTensor<B>> {
        self.ints
            .get(&tensor.id)
            .cloned()
            .ok_or_else(|| missing(tensor, "integer"))
    }
}

fn read<T: Clone>(
    values: &mut HashMap<TensorId, T>,
    tensor: &TensorIr,
    kind: &'static str,
) -> Result<T> {
    let value = match tensor.status {
        TensorStatus::ReadWrite => values.remove(&tensor.id),
        TensorStatus::ReadOnly | TensorStatus::NotInit => values.get(&tensor.id).cloned(),
    };
    value.ok_or_else(|| missing(tensor, kind))
}

fn missing(tensor: &TensorIr, kind: &'static str) -> Error {
    Error::MissingTensor {
        tensor: tensor.id.value(),
        kind,
    }
}

/// Ends in the error for an operation that is not evaluated.
pub(super) fn refuse<B: Backend>(operation: &impl Debug, _: &mut Environment<B>) -> Result<()> {
    Err(unsupported(operation))
}

/// The error for an operation that is not evaluated, named as burn's intermediate representation
/// names it.
pub(super) fn unsupported(operation: &impl Debug) -> Error {
    let text = format!("{operation:?}");
    let names = text
        .split('(')
        .take_while(|name| name.chars().all(char::is_alphanumeric) && !name.ends_with("Ir"));
    Error::Unsupported {
        operation: names.last().unwrap_or("unknown").to_owned(),
    }
}

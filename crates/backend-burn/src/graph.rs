//! The interpreter of recorded graphs, over any backend, with twice differentiable operations.
//!
//! Operations whose backward pass burn cannot differentiate again, or computes only approximately, are taken apart into
//! primitives that it can: pooling, embedding, normalisation, attention, the error function, gelu and the sigmoids.

mod activation;
mod base;
mod convolution;
mod float;
mod int;
mod module;
mod pool;
mod table;
mod tanh;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt::Debug};

use burn::{
    backend::{
        Backend, DeviceOps, TensorMetadata,
        ir::{OperationIr, TensorId, TensorIr, TensorStatus},
        tensor::{BoolTensor, FloatTensor, IntTensor},
    },
    tensor::{BoolDType, DType, FloatDType, IntDType, TensorData},
};

use crate::{Error, Result};

pub(crate) use convolution::{Convolution, Unfolding};
pub(crate) use module::{affine, batch_normalise, embedding, layer_normalise};
pub(crate) use tanh::Tanh;

/// The tensors of a graph while it runs.
#[derive(Clone)]
pub(crate) struct Environment<B: Backend> {
    floats: HashMap<TensorId, FloatTensor<B>>,
    ints: HashMap<TensorId, IntTensor<B>>,
    bools: HashMap<TensorId, BoolTensor<B>>,
    device: B::Device,
    /// Every float tensor is computed in this type, whatever type was recorded.
    float: FloatDType,
    int: IntDType,
    bool: BoolDType,
    tanh: fn(FloatTensor<B>) -> FloatTensor<B>,
}

impl<B: Backend> Environment<B> {
    pub(crate) fn new(device: B::Device, float: FloatDType) -> Self
    where
        B: Tanh,
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
            tanh: B::tanh,
        }
    }

    pub(crate) fn insert_float(&mut self, id: TensorId, value: FloatTensor<B>) {
        self.floats.insert(id, value);
    }

    /// Backends answer some questions in an integer type of their own, which does not mix with others.
    fn insert_int(&mut self, id: TensorId, value: IntTensor<B>) {
        let same = value.dtype() == DType::from(self.int);
        let value = if same {
            value
        } else {
            B::int_cast(value, self.int)
        };
        self.ints.insert(id, value);
    }

    fn insert_bool(&mut self, id: TensorId, value: BoolTensor<B>) {
        self.bools.insert(id, value);
    }

    /// Puts host data on the device, in the types of this environment; converted here, as not every device has every type.
    pub(crate) fn insert_data(&mut self, id: TensorId, data: TensorData) {
        let kind = data.dtype();
        if kind.is_float() {
            let value = self.constant(data);
            self.insert_float(id, value);
        } else if kind.is_bool() {
            let value = B::bool_from_data(data, &self.device);
            self.insert_bool(id, value);
        } else {
            let data = data.convert_dtype(DType::from(self.int));
            let value = B::int_from_data(data, &self.device);
            self.insert_int(id, value);
        }
    }

    /// Host floats on the device.
    fn constant(&self, data: TensorData) -> FloatTensor<B> {
        let data = data.convert_dtype(DType::from(self.float));
        B::float_from_data(data, &self.device)
    }

    fn remove(&mut self, id: TensorId) {
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

    fn bool(&mut self, tensor: &TensorIr) -> Result<BoolTensor<B>> {
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

/// Evaluates one operation.
pub(crate) fn execute<B: Backend>(
    operation: &OperationIr,
    environment: &mut Environment<B>,
) -> Result<()> {
    match operation {
        OperationIr::BaseFloat(operation) => base::float(operation, environment),
        OperationIr::BaseInt(operation) => base::int(operation, environment),
        OperationIr::BaseBool(operation) => base::bool(operation, environment),
        OperationIr::NumericFloat(_, operation) => float::numeric(operation, environment),
        OperationIr::Float(_, operation) => float::float(operation, environment),
        OperationIr::NumericInt(_, operation) => int::numeric(operation, environment),
        OperationIr::Int(operation) => int::int(operation, environment),
        OperationIr::Bool(operation) => int::bool(operation, environment),
        OperationIr::Module(operation) => module::module(operation, environment),
        OperationIr::Activation(operation) => activation::activation(operation, environment),
        // Their values are in the environment before the graph runs.
        OperationIr::Init(_) => Ok(()),
        OperationIr::Drop(tensor) => {
            environment.remove(tensor.id);
            Ok(())
        }
        other => refuse(other, environment),
    }
}

/// Ends in the error for an operation that is not evaluated.
fn refuse<B: Backend>(operation: &impl Debug, _: &mut Environment<B>) -> Result<()> {
    Err(unsupported(operation))
}

/// The error for an operation that is not evaluated, named as burn's intermediate representation names it.
fn unsupported(operation: &impl Debug) -> Error {
    let text = format!("{operation:?}");
    let names = text
        .split('(')
        .take_while(|name| name.chars().all(char::is_alphanumeric) && !name.ends_with("Ir"));
    Error::Unsupported {
        operation: names.last().unwrap_or("unknown").to_owned(),
    }
}

//! The interpreter of recorded graphs, over any backend, with twice differentiable operations.
//!
//! Operations whose backward pass burn cannot differentiate again, or computes only approximately,
//! are taken apart into primitives that it can: pooling, embedding, normalisation, attention, the
//! error function, gelu and the sigmoids.

mod activation;
mod base;
mod convolution;
mod environment;
#[cfg(any(feature = "wgpu", feature = "cuda", test))]
mod error_function;
mod float;
mod int;
mod kernels;
mod module;
mod pool;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod product;
mod table;
#[cfg(test)]
mod tests;

use burn::backend::{Backend, ir::OperationIr};

use crate::Result;

pub(crate) use convolution::{RecordedConvolution, Unfolding};
pub(crate) use environment::Environment;
pub(crate) use kernels::Kernels;
pub(crate) use module::{affine, batch_normalise, embedding, layer_normalise};

use environment::refuse;

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

//! A sequential model: a burn module made at run time from configured layers and PyTorch weights.
//!
//! [`Architecture::plan`] checks every shape symbolically before a number is computed;
//! [`Architecture::build`] makes the module.

mod architecture;
mod build;
mod initial;
mod layer;
mod norms;
mod operation;
mod shape;

use burn::{
    module::{Devices, Module, ModuleMapper, ModuleVisitor},
    tensor::{Device, Int, Tensor},
};

pub use architecture::Architecture;
pub use initial::initial_weights;
use operation::{Operation, each, within};

/// Layers one after another. Parameters are named as in the state dict: `fc.weight`, `fc.bias`.
///
/// Samples enter and leave as rows; each layer gives its rows the shape that it works on, so
/// reshaping costs nothing.
#[derive(Debug, Clone)]
pub struct SequentialModel {
    layers: Vec<BuiltLayer>,
}

/// A layer, with the shape in which it takes a sample.
#[derive(Debug, Clone)]
struct BuiltLayer {
    name: String,
    input: Vec<usize>,
    operation: Operation,
}

impl SequentialModel {
    /// The outputs `(n, outputs)` of samples `(n, inputs)`.
    pub fn forward(&self, samples: Tensor<2>) -> Tensor<2> {
        through(&self.layers, samples)
    }

    /// The outputs of samples `(n, t)` of a model that begins with an embedding.
    pub fn embed(&self, samples: Tensor<2, Int>) -> Tensor<2> {
        match self.layers.split_first() {
            Some((
                BuiltLayer {
                    operation: Operation::Embedding(table),
                    ..
                },
                rest,
            )) => through(rest, table.forward(samples).flatten(1, 2)),
            _ => self.forward(samples.float()),
        }
    }
}

fn through(layers: &[BuiltLayer], samples: Tensor<2>) -> Tensor<2> {
    layers.iter().fold(samples, |samples, layer| {
        layer.operation.forward(samples, &layer.input)
    })
}

impl BuiltLayer {
    fn with(self, change: impl FnOnce(Operation) -> Operation) -> Self {
        Self {
            operation: change(self.operation),
            ..self
        }
    }
}

/// By hand, since derived paths are those of struct fields: a layer's parameters are found under
/// its own name.
impl Module for SequentialModel {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.layers
            .iter()
            .fold(devices, |devices, layer| {
                within!(&layer.operation, module => module.collect_devices(devices), Operation::Fixed(_) => devices)
            })
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for BuiltLayer {
            name, operation, ..
        } in &self.layers
        {
            visitor.enter_module(name, "Sequential");
            within!(operation, module => module.visit(visitor), Operation::Fixed(_) => {});
            visitor.exit_module(name, "Sequential");
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.each(|layer| {
            let name = layer.name.clone();
            mapper.enter_module(&name, "Sequential");
            let layer = layer.with(|operation| each!(operation, module => module.map(mapper)));
            mapper.exit_module(&name, "Sequential");
            layer
        })
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|layer| layer.with(|operation| each!(operation, module => module.fork(device))))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|layer| {
            layer.with(|operation| each!(operation, module => module.to_device(device)))
        })
    }

    fn train(self) -> Self {
        self.each(|layer| layer.with(|operation| each!(operation, module => module.train())))
    }

    fn valid(&self) -> Self {
        self.clone()
            .each(|layer| layer.with(|operation| each!(operation, module => module.valid())))
    }

    fn materialize(self) -> Self {
        self.each(|layer| layer.with(|operation| each!(operation, module => module.materialize())))
    }
}

impl SequentialModel {
    fn each(self, change: impl FnMut(BuiltLayer) -> BuiltLayer) -> Self {
        Self {
            layers: self.layers.into_iter().map(change).collect(),
        }
    }
}

#[cfg(test)]
mod tests;

//! A network as a burn module.

mod parameter;
mod program;

use std::sync::Arc;

use burn::{
    module::{Devices as ModuleDevices, Module, ModuleMapper, ModuleVisitor},
    tensor::Device,
};

use crate::{
    Result,
    settings::NamedTensor,
    value::{Devices, Value},
};

use parameter::AnyParameter;
pub(crate) use parameter::MOST_AXES;
pub(crate) use program::Program;

/// A network read from a file, as a burn module: its parameters under the names of the file, and
/// the nodes that compute with them.
#[derive(Debug, Clone)]
pub struct Network {
    parameters: Vec<(String, AnyParameter)>,
    program: Arc<Program>,
}

impl Network {
    pub(crate) fn new(tensors: &[NamedTensor], program: Arc<Program>, device: &Device) -> Self {
        let parameters = tensors.iter().map(|tensor| {
            let parameter = AnyParameter::new(&tensor.data, tensor.trained, device);
            (tensor.name.clone(), parameter)
        });
        Self {
            parameters: parameters.collect(),
            program,
        }
    }

    /// Computes the chosen output of the network for a batch, samples along its first axis. The
    /// node that makes the tensor `passed` is passed over: the tensor is its first argument.
    ///
    /// # Errors
    /// When a node cannot be computed from values of these shapes.
    pub(crate) fn forward_past(
        &self,
        inputs: &[Value],
        device: &Device,
        passed: Option<&str>,
    ) -> Result<Value> {
        self.computed(&self.program, inputs, device, passed)
    }

    /// Computes the result of nodes with the parameters of the network.
    ///
    /// # Errors
    /// When a node cannot be computed from values of these shapes.
    pub(crate) fn computed(
        &self,
        program: &Program,
        inputs: &[Value],
        device: &Device,
        passed: Option<&str>,
    ) -> Result<Value> {
        let devices = Devices {
            home: Device::flex().as_dispatch().clone(),
            away: device.as_dispatch().clone(),
        };
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|(name, parameter)| (name.as_str(), parameter.value()));
        program.run(parameters, inputs, &devices, passed)
    }

    fn each(self, mut change: impl FnMut(&str, AnyParameter) -> AnyParameter) -> Self {
        let parameters = self.parameters.into_iter().map(|(name, parameter)| {
            let changed = change(&name, parameter);
            (name, changed)
        });
        Self {
            parameters: parameters.collect(),
            program: self.program,
        }
    }
}

/// The container of the parameters in the eyes of visitors: no layer of burn's, so that nobody
/// transposes a weight.
const CONTAINER: &str = "Network";

impl Module for Network {
    fn collect_devices(&self, devices: ModuleDevices) -> ModuleDevices {
        let parameters = self.parameters.iter();
        parameters.fold(devices, |devices, (_, parameter)| {
            parameter.collect_devices(devices)
        })
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, parameter) in &self.parameters {
            visitor.enter_module(name, CONTAINER);
            parameter.visit(visitor);
            visitor.exit_module(name, CONTAINER);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.each(|name, parameter| {
            mapper.enter_module(name, CONTAINER);
            let mapped = parameter.map(mapper);
            mapper.exit_module(name, CONTAINER);
            mapped
        })
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|_, parameter| parameter.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|_, parameter| parameter.to_device(device))
    }

    fn train(self) -> Self {
        self.each(|_, parameter| parameter.train())
    }

    fn valid(&self) -> Self {
        self.clone().each(|_, parameter| parameter.valid())
    }

    fn materialize(self) -> Self {
        self.each(|_, parameter| parameter.materialize())
    }
}

//! Fields of a batch whose number, rank and kind are known at run time.

use burn::{
    backend::capture::{CaptureBackend, TensorId},
    tensor::{Bool, Device, Int, Tensor},
};
use influence_backend_burn::{Inputs, Result, tensor_data};
use influence_core::{FieldForm, FieldKind, Values};

use crate::value::Value;

/// The fields of a batch, of any number, rank and kind: the inputs of a network, then its targets.
#[derive(Debug)]
pub struct Fields {
    values: Vec<Value>,
    device: Device,
}

impl Fields {
    /// Takes the last field.
    pub(super) fn take_targets(&mut self) -> Option<Value> {
        self.values.pop()
    }

    pub(super) fn inputs(&self) -> &[Value] {
        &self.values
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }
}

impl Inputs for Fields {
    /// None that is known without the network: [`Task::forms`](influence_backend_burn::Task::forms)
    /// says it.
    fn forms() -> Vec<FieldForm> {
        Vec::new()
    }

    fn read(fields: &[Values], device: &Device) -> Result<Self> {
        let values = fields
            .iter()
            .map(|field| Value::from_data(tensor_data(field), false, device.as_dispatch()));
        Ok(Self {
            values: values.collect(),
            device: device.clone(),
        })
    }

    fn captured(&self) -> Option<Vec<TensorId>> {
        let id = |value: &Value| {
            let tensor = value.tensor.clone();
            Some(match value.kind {
                FieldKind::Float => {
                    let tensor = Tensor::<1>::from_dispatch(tensor);
                    tensor.try_into_primitive::<CaptureBackend>().ok()?.id()
                }
                FieldKind::Int => {
                    let tensor = Tensor::<1, Int>::from_dispatch(tensor);
                    tensor.try_into_primitive::<CaptureBackend>().ok()?.id()
                }
                FieldKind::Bool => {
                    let tensor = Tensor::<1, Bool>::from_dispatch(tensor);
                    tensor.try_into_primitive::<CaptureBackend>().ok()?.id()
                }
            })
        };
        self.values.iter().map(id).collect()
    }
}

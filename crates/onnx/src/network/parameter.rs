//! A parameter whose rank is known at run time.

use burn::{
    module::{Devices, Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::FieldKind;

use crate::value::Value;

/// A parameter of one of the ranks that burn's modules have.
#[derive(Debug, Clone)]
pub(super) enum AnyParameter {
    One(Param<Tensor<1>>),
    Two(Param<Tensor<2>>),
    Three(Param<Tensor<3>>),
    Four(Param<Tensor<4>>),
    Five(Param<Tensor<5>>),
}

/// The same for a parameter of each rank.
macro_rules! of_any_rank {
    ($parameter:expr, |$one:ident| $result:expr) => {
        match $parameter {
            AnyParameter::One($one) => $result,
            AnyParameter::Two($one) => $result,
            AnyParameter::Three($one) => $result,
            AnyParameter::Four($one) => $result,
            AnyParameter::Five($one) => $result,
        }
    };
}

/// As above; the result is a parameter of the same rank.
macro_rules! in_any_rank {
    ($parameter:expr, |$one:ident| $result:expr) => {
        match $parameter {
            AnyParameter::One($one) => AnyParameter::One($result),
            AnyParameter::Two($one) => AnyParameter::Two($result),
            AnyParameter::Three($one) => AnyParameter::Three($result),
            AnyParameter::Four($one) => AnyParameter::Four($result),
            AnyParameter::Five($one) => AnyParameter::Five($result),
        }
    };
}

/// The most axes of a parameter.
pub(crate) const MOST_AXES: usize = 5;

fn of_rank<const D: usize>(data: &TensorData, trained: bool, device: &Device) -> Param<Tensor<D>> {
    let tensor = Tensor::from_data(data.clone(), (device, data.dtype()));
    Param::from_tensor(tensor).set_require_grad(trained)
}

impl AnyParameter {
    /// A parameter of at most five axes, in the type of its numbers; a scalar has one axis.
    pub(super) fn new(data: &TensorData, trained: bool, device: &Device) -> Self {
        match data.shape().len() {
            2 => Self::Two(of_rank(data, trained, device)),
            3 => Self::Three(of_rank(data, trained, device)),
            4 => Self::Four(of_rank(data, trained, device)),
            5 => Self::Five(of_rank(data, trained, device)),
            _ => Self::One(of_rank(data, trained, device)),
        }
    }

    /// Its tensor.
    pub(super) fn value(&self) -> Value {
        let tensor = of_any_rank!(self, |parameter| parameter.val().into_dispatch());
        Value::new(FieldKind::Float, tensor)
    }

    pub(super) fn collect_devices(&self, devices: Devices) -> Devices {
        of_any_rank!(self, |parameter| parameter.collect_devices(devices))
    }

    pub(super) fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        of_any_rank!(self, |parameter| Module::visit(parameter, visitor));
    }

    pub(super) fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        in_any_rank!(self, |parameter| Module::map(parameter, mapper))
    }

    pub(super) fn fork(self, device: &Device) -> Self {
        in_any_rank!(self, |parameter| Module::fork(parameter, device))
    }

    #[expect(clippy::wrong_self_convention, reason = "as burn's modules have it")]
    pub(super) fn to_device(self, device: &Device) -> Self {
        in_any_rank!(self, |parameter| Module::to_device(parameter, device))
    }

    pub(super) fn train(self) -> Self {
        in_any_rank!(self, |parameter| Module::train(parameter))
    }

    pub(super) fn valid(self) -> Self {
        in_any_rank!(self, |parameter| Module::valid(&parameter))
    }

    pub(super) fn materialize(self) -> Self {
        in_any_rank!(self, |parameter| Module::materialize(parameter))
    }
}

//! Models with the layout of the fixtures: weights `(out, in)`, then biases.

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use serde_json::Value;

use crate::reference::numbers;

/// A linear layer that keeps its weight as `(out, in)`.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    pub(crate) fn from_fixture(case: &Value, prefix: &str) -> Self {
        let parameter = |name: &str| {
            let name = format!("{prefix}{name}");
            let shape: Vec<usize> = numbers(&case["param_shapes"][&name])
                .into_iter()
                .map(usize_of)
                .collect();
            TensorData::new(numbers(&case["params"][&name]), shape)
        };
        let options = || (Device::flex(), DType::F64);
        let (weight, bias) = (parameter("weight"), parameter("bias"));
        let (device, float) = options();
        Self {
            weight: Param::from_tensor(Tensor::from_data(weight, (&device, float))),
            bias: Param::from_tensor(Tensor::from_data(bias, (&device, float))),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides of arrays are small and positive"
)]
fn usize_of(side: f64) -> usize {
    side as usize
}

/// Two layers with a tanh between them; the names of the fields are those of the fixture's blocks
/// in order.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    first: Dense,
    last: Dense,
}

impl Mlp {
    pub(crate) fn from_fixture(case: &Value) -> Self {
        Self {
            first: Dense::from_fixture(case, "0."),
            last: Dense::from_fixture(case, "2."),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x).tanh())
    }
}

//! The losses, the measurement and the outputs of a network.

mod fields;

use burn::tensor::{Int, Tensor, activation::log_softmax};
use influence_backend_burn::{OutputLoss, Outputs, Task};
use influence_core::FieldForm;

use crate::{Network, value::Value};

pub use fields::Fields;

/// The training loss of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Cross-entropy of the softmax of the outputs `(n, c)`; targets are class numbers `(n)`.
    CrossEntropy,
}

/// The quantity that is explained for each test point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measurement {
    /// Its loss.
    #[default]
    Loss,
}

/// The task of a network: a loss on its output, and what is measured.
#[derive(Debug)]
pub struct NetworkTask {
    /// The loss.
    pub loss: Loss,
    /// The measurement.
    pub measurement: Measurement,
    /// In what form the network and the loss read the fields of a batch.
    pub forms: Vec<FieldForm>,
}

impl Task for NetworkTask {
    type Module = Network;
    type Inputs = Fields;

    fn forms(&self) -> Vec<FieldForm> {
        self.forms.clone()
    }

    fn loss(&self, network: &Network, mut fields: Fields) -> Tensor<1> {
        let targets: Tensor<1, Int> = Tensor::from_dispatch(fields.targets().tensor);
        let logits: Tensor<2> = Tensor::from_dispatch(output(network, &fields).tensor);
        let log_probabilities = log_softmax(logits, 1);
        log_probabilities
            .gather(1, targets.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }

    fn outputs(&self, network: &Network, mut fields: Fields) -> Option<Outputs> {
        fields.targets();
        let logits = Tensor::from_dispatch(output(network, &fields).tensor);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

/// The output of the network.
///
/// # Panics
/// When a node cannot be computed, which reading the model has tried; whoever records a network
/// turns panics into errors.
fn output(network: &Network, fields: &Fields) -> Value {
    match network.forward(fields.inputs(), fields.device()) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

//! Losses and measurements of outputs that are lost on one by one.

use burn::tensor::{Tensor, activation::log_sigmoid};

use super::{
    counted::{Counted, summed},
    settings::{LossKind, Measurement, NetworkLoss},
};

/// The outputs of a batch, `w` for each sample, with their targets.
pub(super) struct NumberOutputs {
    /// `(n, w)`.
    pub(super) outputs: Tensor<2>,
    /// `(n, w)`.
    pub(super) targets: Tensor<2>,
    /// Which of them count.
    pub(super) counted: Counted,
}

impl NumberOutputs {
    /// The measurement of each sample, `(n)`: the loss, if it is nothing else that is made of them.
    pub(super) fn measured(&self, measurement: Measurement, loss: &NetworkLoss) -> Tensor<1> {
        match measurement {
            Measurement::Loss | Measurement::InFile => self.loss(loss),
            Measurement::Margin => self.margin(),
            Measurement::Logit { class } => self.output(class.unwrap_or_default()),
            Measurement::LogProbability => self.log_probability(),
        }
    }

    /// The loss of each sample, `(n)`.
    pub(super) fn loss(&self, loss: &NetworkLoss) -> Tensor<1> {
        let losses = if loss.kind == LossKind::BinaryCrossEntropy {
            self.log_probabilities().neg()
        } else {
            (self.outputs.clone() - self.targets.clone()).square()
        };
        summed(losses, self.counted.shares(None))
    }

    /// By what the loss differs from the mean over all `w` outputs: a factor of each, `(n, w)`;
    /// `None` for 1.
    pub(super) fn weights(&self) -> Option<Tensor<2>> {
        let width = self.outputs.dims()[1] as f64;
        Some(self.counted.shares(None)? * width)
    }

    /// `log p / (1 - p)` of the probability of each label, mean over what counts, `(n)`.
    fn margin(&self) -> Tensor<1> {
        let signs = self.targets.clone() * 2.0 - 1.0;
        self.counted.mean(signs * self.outputs.clone())
    }

    /// One of the outputs, `(n)`.
    fn output(&self, place: usize) -> Tensor<1> {
        self.outputs.clone().narrow(1, place, 1).squeeze_dim(1)
    }

    /// The logarithm of the probability of each label, mean over what counts, `(n)`.
    fn log_probability(&self) -> Tensor<1> {
        self.counted.mean(self.log_probabilities())
    }

    /// `y log p + (1 - y) log (1 - p)` of each output, `(n, w)`.
    fn log_probabilities(&self) -> Tensor<2> {
        let (outputs, yes) = (self.outputs.clone(), self.targets.clone());
        let no = yes.clone().neg() + 1.0;
        yes * log_sigmoid(outputs.clone()) + no * log_sigmoid(outputs.neg())
    }
}

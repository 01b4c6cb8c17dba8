//! Measurements of outputs whose network is not that of a file.

use burn::tensor::{Int, Tensor};

use super::{
    classes::Choices,
    counted::Counted,
    numbers::NumberOutputs,
    settings::{LossKind, Measurement, NetworkLoss},
};

impl Measurement {
    /// What is measured of logits `(n, c)` and the numbers of classes `(n)`, `(n)`: of the loss
    /// [`LossKind::CrossEntropy`].
    pub fn of_classes(self, logits: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
        let choices = Choices {
            logits: logits.unsqueeze_dim(1),
            labels: classes.unsqueeze_dim(1),
            counted: Counted::all(),
        };
        choices.measured(self, &NetworkLoss::new(LossKind::CrossEntropy))
    }

    /// What is measured of outputs `(n, c)` and targets of the same shape, `(n)`: of the loss
    /// [`LossKind::MeanSquaredError`].
    pub fn of_numbers(self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let numbers = NumberOutputs {
            outputs,
            targets,
            counted: Counted::all(),
        };
        numbers.measured(self, &NetworkLoss::new(LossKind::MeanSquaredError))
    }
}

//! Losses and measurements of outputs that choose one of several classes, once or at each position.

use burn::tensor::{Device, Int, Tensor, activation::log_softmax};

use super::{
    counted::{Counted, summed},
    settings::{LossKind, Measurement, NetworkLoss},
};

/// The choices of a batch, `t` for each sample.
pub(super) struct Choices {
    /// `(n, t, c)`.
    pub(super) logits: Tensor<3>,
    /// The number of the right class, `(n, t)`; of any class where a choice does not count.
    pub(super) labels: Tensor<2, Int>,
    /// Which of them count.
    pub(super) counted: Counted,
}

impl Choices {
    /// The measurement of each sample, `(n)`: the loss, if it is nothing else that is made of them.
    pub(super) fn measured(&self, measurement: Measurement, loss: &NetworkLoss) -> Tensor<1> {
        match measurement {
            Measurement::Loss | Measurement::InFile => self.loss(loss),
            Measurement::Margin => self.margin(),
            Measurement::Logit { class } => self.logit(class),
            Measurement::LogProbability => self.log_probability(),
        }
    }

    /// The loss of each sample, `(n)`.
    ///
    /// With the distribution `q` of the label, `1 - ε` its class and `ε / c` each class, and
    /// weights `w` of the classes, the loss of a choice is `Σ_k q_k w_k (-log p_k)`.
    pub(super) fn loss(&self, loss: &NetworkLoss) -> Tensor<1> {
        let logs = log_softmax(self.logits.clone(), 2);
        let smoothing = loss.label_smoothing;
        let mut losses = self.of_labels(logs.clone()).neg();
        if let Some(weights) = self.label_weights(loss) {
            losses = losses * weights;
        }
        if smoothing > 0.0 {
            let weighted = match self.class_weights(loss) {
                Some(weights) => logs * weights.unsqueeze(),
                None => logs,
            };
            let of_all = weighted.mean_dim(2).squeeze_dim(2).neg();
            losses = losses * (1.0 - smoothing) + of_all * smoothing;
        }
        summed(losses, self.shares(loss))
    }

    /// By what the loss differs from the mean cross-entropy over all `t` choices: a factor of each,
    /// `(n, t)`; `None` for 1.
    ///
    /// The second derivative of the loss of a choice is `(Σ_k q_k w_k) (diag p - p pᵀ)`.
    pub(super) fn weights(&self, loss: &NetworkLoss) -> Option<Tensor<2>> {
        let smoothing = loss.label_smoothing;
        let total = self.label_weights(loss).map(|weights| {
            let mean = self.class_weights(loss).map(Tensor::mean);
            match mean {
                Some(mean) if smoothing > 0.0 => {
                    weights * (1.0 - smoothing) + mean.unsqueeze() * smoothing
                }
                _ => weights,
            }
        });
        let positions = self.labels.dims()[1] as f64;
        let shares = self.shares(loss).map(|shares| shares * positions);
        match (total, shares) {
            (Some(total), Some(shares)) => Some(total * shares),
            (total, shares) => total.or(shares),
        }
    }

    /// The logits of the labels less the logarithm of the summed exponentials of all others, mean
    /// over what counts, `(n)`.
    fn margin(&self) -> Tensor<1> {
        /// So far below any logit that its exponential is 0.
        const NOTHING: f64 = -1e30;
        let own = self.of_labels(self.logits.clone());
        let classes = i64::try_from(self.logits.dims()[2]).unwrap_or(i64::MAX);
        let numbers = Tensor::<1, Int>::arange(0..classes, &self.logits.device());
        let numbers: Tensor<3, Int> = numbers.unsqueeze();
        let labels: Tensor<3, Int> = self.labels.clone().unsqueeze_dim(2);
        let all = self.logits.dims();
        let is_label = labels.expand(all).equal(numbers.expand(all));
        let others = self.logits.clone().mask_fill(is_label, NOTHING);
        let largest = others.clone().max_dim(2);
        let sum = (others - largest.clone()).exp().sum_dim(2);
        let others = (sum.log() + largest).squeeze_dim(2);
        self.counted.mean(own - others)
    }

    /// The logits of the labels, or those of a class, mean over what counts, `(n)`.
    fn logit(&self, class: Option<usize>) -> Tensor<1> {
        self.counted.mean(match class {
            None => self.of_labels(self.logits.clone()),
            Some(class) => self.logits.clone().narrow(2, class, 1).squeeze_dim(2),
        })
    }

    /// The logarithms of the probabilities of the labels, mean over what counts, `(n)`.
    fn log_probability(&self) -> Tensor<1> {
        let logs = log_softmax(self.logits.clone(), 2);
        self.counted.mean(self.of_labels(logs))
    }

    /// The entries of the labels, `(n, t)`.
    fn of_labels(&self, values: Tensor<3>) -> Tensor<2> {
        let labels = self.labels.clone().unsqueeze_dim(2);
        values.gather(2, labels).squeeze_dim(2)
    }

    /// The part of each choice in the loss of its sample.
    fn shares(&self, loss: &NetworkLoss) -> Option<Tensor<2>> {
        // The weighted mean of one choice would not depend on its weight.
        let of_sequence = loss.kind != LossKind::CrossEntropy;
        let weights = of_sequence.then(|| self.label_weights(loss)).flatten();
        self.counted.shares(weights)
    }

    /// The weight of each label, `(n, t)`.
    fn label_weights(&self, loss: &NetworkLoss) -> Option<Tensor<2>> {
        let [n, t] = self.labels.dims();
        let labels = self.labels.clone().reshape([n * t]);
        let weights = self.class_weights(loss)?;
        Some(weights.select(0, labels).reshape([n, t]))
    }

    fn class_weights(&self, loss: &NetworkLoss) -> Option<Tensor<1>> {
        let weights = loss.class_weights.as_ref()?;
        Some(in_two_parts(weights, &self.logits.device()))
    }
}

/// Numbers as the sum of two tensors: floats of a recording have 32 bits, their sums those of the
/// fit.
fn in_two_parts(numbers: &[f64], device: &Device) -> Tensor<1> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the other part has the rest"
    )]
    let rounded = |number: f64| number as f32;
    let part = |of: &dyn Fn(f64) -> f32| {
        let part: Vec<f32> = numbers.iter().map(|&number| of(number)).collect();
        Tensor::<1>::from_floats(part.as_slice(), device)
    };
    let rest = |number: f64| rounded(number - f64::from(rounded(number)));
    part(&rounded) + part(&rest)
}

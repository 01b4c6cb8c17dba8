//! Normalisations, and the table of an embedding, with PyTorch's names for their parameters.

use burn::{
    module::{Flag, Module, Param, RunningState},
    tensor::{
        Int, Tensor,
        module::{batch_norm, batch_norm_train, embedding, layer_norm},
    },
};

/// Normalisation along the last axis, then scale and shift.
#[derive(Debug, Module)]
pub(super) struct LayerNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    pub(super) epsilon: f64,
}

impl LayerNorm {
    pub(super) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        layer_norm(
            input,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            self.epsilon,
        )
    }
}

/// Division by the root of the mean square along the last axis, then scale.
#[derive(Debug, Module)]
pub(super) struct RmsNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) epsilon: f64,
}

impl RmsNorm {
    pub(super) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let squares = input.clone() * input.clone();
        let root = (squares.mean_dim(D - 1) + self.epsilon).sqrt();
        input / root * self.weight.val().unsqueeze()
    }
}

/// Normalisation of each group of channels over all positions, then scale and shift by channel.
#[derive(Debug, Module)]
pub(super) struct GroupNorm {
    pub(super) weight: Option<Param<Tensor<1>>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    pub(super) groups: usize,
    pub(super) epsilon: f64,
}

impl GroupNorm {
    /// `(n, channels, positions)`.
    pub(super) fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [n, channels, positions] = input.dims();
        let grouped = input.reshape([n, self.groups, channels / self.groups * positions]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        let normalised = centred / (variance + self.epsilon).sqrt();
        let normalised = normalised.reshape([n, channels, positions]);
        let along = |vector: &Param<Tensor<1>>| vector.val().reshape([1, channels, 1]);
        let scaled = match &self.weight {
            Some(weight) => normalised * along(weight),
            None => normalised,
        };
        match &self.bias {
            Some(bias) => scaled + along(bias),
            None => scaled,
        }
    }
}

/// Normalisation of each channel, then scale and shift: by running statistics, or in training by
/// those of the batch.
#[derive(Debug, Module)]
pub(super) struct BatchNorm {
    pub(super) weight: Option<Param<Tensor<1>>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    pub(super) running_mean: RunningState<Tensor<1>>,
    pub(super) running_var: RunningState<Tensor<1>>,
    pub(super) training: Param<Flag>,
    pub(super) momentum: f64,
    pub(super) epsilon: f64,
}

impl BatchNorm {
    /// `(n, channels, positions)`.
    pub(super) fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let (device, kind) = (input.device(), input.dtype());
        let channels = [input.dims()[1]];
        let weight = match &self.weight {
            Some(weight) => weight.val(),
            None => Tensor::ones(channels, (&device, kind)),
        };
        let bias = match &self.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros(channels, (&device, kind)),
        };
        if device.is_autodiff() && self.training.is_enabled() {
            return self.by_batch(input, weight, bias);
        }
        let [mean, variance] =
            [&self.running_mean, &self.running_var].map(|state| state.value().to_device(&device));
        batch_norm(input, weight, bias, mean, variance, self.epsilon)
    }

    /// By the statistics of the batch, which then count towards the running ones: the variance
    /// divided by one number less, as PyTorch has it.
    fn by_batch(&self, input: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<3> {
        let [n, _, positions] = input.dims();
        let numbers = (n * positions) as f64;
        let batch = batch_norm_train(input, weight, bias, self.epsilon);
        let unbiased = batch.variance * (numbers / (numbers - 1.0).max(1.0));
        for (state, now) in [
            (&self.running_mean, batch.mean),
            (&self.running_var, unbiased),
        ] {
            let now = now.detach();
            let kept = state.value_sync().to_device(&now.device()) * (1.0 - self.momentum);
            state.update((kept + now * self.momentum).detach());
        }
        batch.output
    }
}

/// An embedding: the rows of a table, by index.
#[derive(Debug, Module)]
pub(super) struct Embedding {
    pub(super) weight: Param<Tensor<2>>,
    /// The row that stays zero.
    pub(super) padding: Option<usize>,
}

impl Embedding {
    /// `(n, t)` to `(n, t, numbers of a row)`. The row of the padding has no gradient: zeros stand
    /// in for it.
    pub(super) fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        let rows = embedding(self.weight.val(), indices.clone());
        match self.padding {
            None => rows,
            Some(padding) => {
                let padding = i64::try_from(padding).unwrap_or(i64::MAX);
                let kept = indices.not_equal_scalar(padding).float();
                rows * kept.unsqueeze_dim(2)
            }
        }
    }
}

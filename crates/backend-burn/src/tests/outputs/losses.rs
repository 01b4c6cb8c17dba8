//! A small network, and losses of its outputs.

use super::*;

#[derive(Module, Debug)]
pub(super) struct Line {
    pub(super) layer: Linear,
    /// Before the layer, where there is more than one.
    pub(super) before: Linear,
}

impl Line {
    pub(super) fn new(outputs: usize) -> Self {
        let device = Device::flex();
        let line = Self {
            layer: LinearConfig::new(4, outputs).init(&device),
            before: LinearConfig::new(4, 4).init(&device),
        };
        settled(line, 2.0)
    }

    /// One layer; the other is frozen.
    pub(super) fn single(outputs: usize) -> Self {
        let line = Self::new(outputs);
        Self {
            before: line.before.no_grad(),
            ..line
        }
    }
}

/// A loss of outputs `(n, c)` and targets.
pub(super) type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;
/// Weights that a task declares, from the targets.
pub(super) type Weights = fn(Tensor<2>) -> Tensor<2>;

#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) loss: Loss,
    pub(super) declared: OutputLoss,
    pub(super) weights: Option<Weights>,
    /// Whether there are two layers with a residual around the first, which is no chain of maps.
    pub(super) deep: bool,
}

impl Own {
    pub(super) fn new(loss: Loss, declared: OutputLoss) -> Self {
        Self {
            loss,
            declared,
            weights: None,
            deep: false,
        }
    }

    pub(super) fn forward(&self, line: &Line, x: Tensor<2>) -> Tensor<2> {
        if self.deep {
            let x = line.before.forward(x.clone()).tanh() + x;
            return line.layer.forward(x);
        }
        line.layer.forward(x)
    }
}

impl Task for Own {
    type Module = Line;
    type Inputs = (Tensor<2>, Tensor<2>);

    fn loss(&self, line: &Line, (x, targets): Self::Inputs) -> Tensor<1> {
        (self.loss)(self.forward(line, x), targets)
    }

    fn outputs(&self, line: &Line, (x, targets): Self::Inputs) -> Option<Outputs> {
        let outputs = Outputs::new(self.forward(line, x), self.declared);
        Some(match self.weights {
            Some(weights) => outputs.with_weights(weights(targets)),
            None => outputs,
        })
    }
}

pub(super) fn picked(logits: Tensor<2>, targets: &Tensor<2>) -> Tensor<2> {
    let [n, _] = targets.dims();
    let labels = targets.clone().slice([0..n, 0..1]).int();
    log_softmax(logits, 1).gather(1, labels)
}

pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    picked(logits, &targets).neg().squeeze_dim(1)
}

/// 5 for class 1, else 1.
pub(super) fn class_weights(targets: Tensor<2>) -> Tensor<2> {
    let [n, _] = targets.dims();
    targets.slice([0..n, 0..1]).equal_elem(1.0).float() * 4.0 + 1.0
}

pub(super) fn class_weighted(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let weights = class_weights(targets.clone());
    (picked(logits, &targets).neg() * weights).squeeze_dim(1)
}

pub(super) fn smoothed(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let logs = log_softmax(logits.clone(), 1).mean_dim(1);
    let loss = picked(logits, &targets) * 0.9 + logs * 0.1;
    loss.neg().squeeze_dim(1)
}

pub(super) fn mean_squares(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).square().mean_dim(1).squeeze_dim(1)
}

pub(super) fn summed_squares(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).square().sum_dim(1).squeeze_dim(1)
}

/// Squared within 1/2, linear beyond.
pub(super) fn huber(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let residual = (outputs - targets).abs();
    let near = residual.clone().lower_elem(0.5);
    let far = residual.clone() * 0.5 - 0.125;
    let loss = far.mask_where(near, residual.square() * 0.5);
    loss.sum_dim(1).squeeze_dim(1)
}

pub(super) fn log_cosh(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (outputs - targets).cosh().log().sum_dim(1).squeeze_dim(1)
}

pub(super) fn poisson(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let loss = outputs.clone().exp() - outputs * targets;
    loss.sum_dim(1).squeeze_dim(1)
}

pub(super) fn masked_binary(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let masked = targets.clone().lower_equal_elem(0.5);
    let loss = log_sigmoid(logits) * -3.0;
    loss.mask_fill(masked, 0.0).sum_dim(1).squeeze_dim(1)
}

pub(super) fn focal(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let log = picked(logits, &targets);
    let missed = log.clone().exp().neg() + 1.0;
    (missed.square() * log).neg().squeeze_dim(1)
}

/// Far from uniform, where the focal loss is not convex.
pub(super) fn sharp_focal(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    focal(logits * oracle::SHARP, targets)
}

pub(super) fn normal(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [n, _] = outputs.dims();
    let pairs: Tensor<3> = outputs.reshape([n, 2, 2]);
    let of = |index: usize| pairs.clone().slice([0..n, 0..2, index..index + 1]);
    let (mean, log_variance): (Tensor<2>, Tensor<2>) = (of(0).squeeze_dim(2), of(1).squeeze_dim(2));
    let squares = (targets.slice([0..n, 0..2]) - mean).square();
    let loss = log_variance.clone() + squares * log_variance.neg().exp();
    (loss * 0.5).sum_dim(1).squeeze_dim(1)
}

/// Class numbers in the first column, and numbers around zero in the others.
pub(super) fn targets(columns: usize) -> TensorData {
    let mut values = wave(SAMPLES * columns, 5.0);
    for (sample, row) in values.chunks_exact_mut(columns).enumerate() {
        // The first three samples are of a class with a weight of 1.
        row[0] = if sample < 3 {
            0.0
        } else {
            ((sample * 7 + 1) % 3) as f64
        };
    }
    TensorData::new(values, [SAMPLES, columns])
}

pub(super) fn residual_targets(columns: usize) -> TensorData {
    TensorData::new(wave(SAMPLES * columns, 5.0), [SAMPLES, columns])
}

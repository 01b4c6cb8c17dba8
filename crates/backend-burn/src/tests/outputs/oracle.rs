//! Second derivatives of losses by their outputs, from the formulas, in plain loops.

use ndarray::{Array1, Array2};

/// The second derivative of the loss of a sample, by its outputs and targets.
pub(super) type Second = fn(&[f64], &[f64]) -> Array2<f64>;

pub(in crate::tests) fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn diagonal(values: impl Iterator<Item = f64>) -> Array2<f64> {
    Array2::from_diag(&values.collect::<Array1<f64>>())
}

pub(in crate::tests) fn cross_entropy(outputs: &[f64], _: &[f64]) -> Array2<f64> {
    let p = softmax(outputs);
    Array2::from_shape_fn((p.len(), p.len()), |(i, j)| {
        (if i == j { p[i] } else { 0.0 }) - p[i] * p[j]
    })
}

pub(super) fn class_weighted(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let weight = if (targets[0] - 1.0).abs() < 0.5 {
        5.0
    } else {
        1.0
    };
    cross_entropy(outputs, targets) * weight
}

pub(in crate::tests) fn mean_squares(outputs: &[f64], _: &[f64]) -> Array2<f64> {
    Array2::eye(outputs.len()) * (2.0 / outputs.len() as f64)
}

pub(super) fn summed_squares(outputs: &[f64], _: &[f64]) -> Array2<f64> {
    Array2::eye(outputs.len()) * 2.0
}

pub(super) fn huber(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let pairs = outputs.iter().zip(targets);
    diagonal(pairs.map(|(o, t)| f64::from(u8::from((o - t).abs() < 0.5))))
}

pub(super) fn log_cosh(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let pairs = outputs.iter().zip(targets);
    diagonal(pairs.map(|(o, t)| (o - t).cosh().powi(-2)))
}

pub(super) fn poisson(outputs: &[f64], _: &[f64]) -> Array2<f64> {
    diagonal(outputs.iter().map(|o| o.exp()))
}

/// Labels above 1/2 are known, others are masked.
pub(super) fn masked_binary(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let pairs = outputs.iter().zip(targets);
    diagonal(pairs.map(|(o, t)| {
        let p = sigmoid(*o);
        if *t > 0.5 { 3.0 * p * (1.0 - p) } else { 0.0 }
    }))
}

/// `−(1 − p)² log p` of the label's probability.
pub(super) fn focal(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let p = softmax(outputs);
    let label = targets[0] as usize;
    let u = p[label];
    let first = 2.0 * (1.0 - u) * u.ln() - (1.0 - u).powi(2) / u;
    let second = -2.0 * u.ln() + 4.0 * (1.0 - u) / u + ((1.0 - u) / u).powi(2);
    let away = |i: usize| (if i == label { 1.0 } else { 0.0 }) - p[i];
    Array2::from_shape_fn((p.len(), p.len()), |(i, j)| {
        let own = if i == j { p[i] } else { 0.0 };
        let bend = u * (away(i) * away(j) - own + p[i] * p[j]);
        second * u * away(i) * u * away(j) + first * bend
    })
}

/// What logits are multiplied by where they are to be far from uniform.
pub(super) const SHARP: f64 = 8.0;

pub(super) fn sharp_focal(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let sharp: Vec<f64> = outputs.iter().map(|output| SHARP * output).collect();
    focal(&sharp, targets) * (SHARP * SHARP)
}

/// `(s + (t − m)² exp(−s)) / 2` with outputs `m` and `s`, twice over: the third and fourth output
/// belong to the second target.
pub(super) fn normal(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    let mut matrix = Array2::zeros((4, 4));
    for pair in 0..2 {
        let (m, s) = (outputs[2 * pair], outputs[2 * pair + 1]);
        let (residual, precision) = (targets[pair] - m, (-s).exp());
        let (i, j) = (2 * pair, 2 * pair + 1);
        matrix[[i, i]] = precision;
        matrix[[i, j]] = residual * precision;
        matrix[[j, i]] = residual * precision;
        matrix[[j, j]] = 0.5 * residual * residual * precision;
    }
    matrix
}

/// Cross-entropy at each of five positions times a factor of the targets and the position.
pub(super) fn by_position(
    outputs: &[f64],
    targets: &[f64],
    weight: impl Fn(&[f64], usize) -> f64,
) -> Array2<f64> {
    let classes = outputs.len() / targets.len();
    let mut matrix = Array2::zeros((outputs.len(), outputs.len()));
    for position in 0..targets.len() {
        let own = position * classes..(position + 1) * classes;
        let block = cross_entropy(&outputs[own.clone()], &[]) * weight(targets, position);
        matrix
            .slice_mut(ndarray::s![own.clone(), own])
            .assign(&block);
    }
    matrix
}

pub(super) fn mean_over_positions(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    by_position(outputs, targets, |targets, _| 1.0 / targets.len() as f64)
}

pub(super) fn summed_over_positions(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    by_position(outputs, targets, |_, _| 1.0)
}

/// Targets below zero are padding, and the mean is over the others.
pub(super) fn padding_ignored(outputs: &[f64], targets: &[f64]) -> Array2<f64> {
    by_position(outputs, targets, |targets, position| {
        let counted = targets.iter().filter(|target| **target >= 0.0).count();
        if targets[position] < 0.0 {
            0.0
        } else {
            1.0 / counted as f64
        }
    })
}

//! Losses whose second derivative by the outputs is known: those of a distribution, from which
//! labels can be drawn.

use burn::tensor::{Device, Tensor, activation::softmax};
use influence_core::Precision;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::random::stream;
use crate::{
    Error, OutputLoss, Result,
    tensors::{tensor, values},
};

/// The number of outputs of a position, which interact, and the number of positions; `None` for a
/// loss without a closed form.
pub(super) fn form(loss: OutputLoss, width: usize) -> Result<Option<(usize, usize)>> {
    Ok(match loss {
        OutputLoss::CrossEntropy => Some((width, 1)),
        OutputLoss::SequenceCrossEntropy { classes } => Some(positions(classes, width)?),
        OutputLoss::MeanSquaredError | OutputLoss::BinaryCrossEntropy => Some((1, width)),
        OutputLoss::Derived => None,
    })
}

/// How large second derivatives are, wherever the outputs are.
pub(super) fn scale(loss: OutputLoss, positions: usize, width: usize) -> f64 {
    match loss {
        OutputLoss::CrossEntropy | OutputLoss::SequenceCrossEntropy { .. } => {
            1.0 / positions as f64
        }
        OutputLoss::MeanSquaredError | OutputLoss::BinaryCrossEntropy => 1.0 / width as f64,
        OutputLoss::Derived => 0.0,
    }
}

/// The product of the second derivative with a direction `(n, width)`.
pub(super) fn along(
    loss: OutputLoss,
    outputs: &Tensor<2>,
    direction: &Tensor<2>,
) -> Result<Tensor<2>> {
    let [n, width] = outputs.dims();
    let direction = direction.clone();
    let (classes, positions) = match loss {
        OutputLoss::CrossEntropy => (width, 1),
        OutputLoss::SequenceCrossEntropy { classes } => positions(classes, width)?,
        OutputLoss::MeanSquaredError => return Ok(direction * (2.0 / width as f64)),
        OutputLoss::BinaryCrossEntropy => {
            return Ok(direction * variance(outputs) / width as f64);
        }
        OutputLoss::Derived => return Ok(direction.zeros_like()),
    };
    let by_position = |values: Tensor<2>| values.reshape([n, positions, classes]);
    let p = softmax(by_position(outputs.clone()), 2);
    let weighted = p.clone() * by_position(direction);
    let product = weighted.clone() - p * weighted.sum_dim(2);
    Ok((product / positions as f64).reshape([n, width]))
}

/// `p (1 − p)` of the sigmoid of each output.
fn variance(outputs: &Tensor<2>) -> Tensor<2> {
    let p = burn::tensor::activation::sigmoid(outputs.clone());
    p.clone() * (p.ones_like() - p)
}

/// The classes among which each position chooses, and the number of positions.
fn positions(classes: usize, width: usize) -> Result<(usize, usize)> {
    if classes > 0 && width.is_multiple_of(classes) {
        return Ok((classes, width / classes));
    }
    Err(Error::OutputWidth { classes, width })
}

/// Vectors `u_c (n, width)` with `Σ_c u_c u_cᵀ = ∂²loss/∂outputs²` for each row.
pub(crate) fn square_root_factors(
    loss: OutputLoss,
    outputs: &Tensor<2>,
) -> Result<Box<dyn Iterator<Item = Tensor<2>>>> {
    let [_, width] = outputs.dims();
    let zeros = outputs.zeros_like();
    Ok(match loss {
        OutputLoss::CrossEntropy => categorical(outputs, (width, 1)),
        OutputLoss::SequenceCrossEntropy { classes } => {
            categorical(outputs, positions(classes, width)?)
        }
        OutputLoss::MeanSquaredError => {
            let root = outputs.full_like((2.0 / width as f64).sqrt());
            Box::new((0..width).map(move |column| entry(&zeros, &root, column)))
        }
        OutputLoss::BinaryCrossEntropy => {
            let root = (variance(outputs) / width as f64).sqrt();
            Box::new((0..width).map(move |column| entry(&zeros, &root, column)))
        }
        OutputLoss::Derived => Box::new(std::iter::empty()),
    })
}

/// `diag(p) − p pᵀ = Σ_c p_c (e_c − p)(e_c − p)ᵀ` at each position, averaged over them.
fn categorical(
    outputs: &Tensor<2>,
    (classes, positions): (usize, usize),
) -> Box<dyn Iterator<Item = Tensor<2>>> {
    let [n, width] = outputs.dims();
    let p = softmax(outputs.clone().reshape([n, positions, classes]), 2);
    let zeros = outputs.zeros_like();
    let root = move |column: usize| {
        let (position, class) = (column / classes, column % classes);
        let block = p.clone().slice([0..n, position..position + 1, 0..classes]);
        let block = block.reshape([n, classes]);
        let own = [0..n, class..class + 1];
        let weight = (block.clone().slice(own.clone()) / positions as f64).sqrt();
        let unit = block.zeros_like().slice_assign(own, weight.ones_like());
        let first = position * classes;
        zeros
            .clone()
            .slice_assign([0..n, first..first + classes], (unit - block) * weight)
    };
    Box::new((0..width).map(root))
}

/// Zeros but for one column.
fn entry(zeros: &Tensor<2>, values: &Tensor<2>, column: usize) -> Tensor<2> {
    let place = [0..zeros.dims()[0], column..column + 1];
    zeros
        .clone()
        .slice_assign(place.clone(), values.clone().slice(place))
}

/// A vector `u (n, width)` with `E[u uᵀ] = ∂²loss/∂outputs²` for each row: the gradient of the loss
/// at a label drawn from the outputs.
///
/// The draw for a sample depends on the seed and the index of the sample alone.
pub(crate) fn drawn(
    loss: OutputLoss,
    outputs: &Tensor<2>,
    seed: u64,
    first_sample: usize,
    precision: Precision,
) -> Result<Tensor<2>> {
    let [n, width] = outputs.dims();
    let device: Device = outputs.device();
    let mut numbers = values(outputs)?;
    let (classes, positions) = match loss {
        OutputLoss::SequenceCrossEntropy { classes } => positions(classes, width)?,
        _ => (width, 1),
    };
    for (index, row) in numbers.chunks_exact_mut(width.max(1)).enumerate() {
        let mut random = stream(seed, first_sample + index);
        match loss {
            OutputLoss::CrossEntropy | OutputLoss::SequenceCrossEntropy { .. } => {
                let scale = 1.0 / (positions as f64).sqrt();
                row.chunks_exact_mut(classes)
                    .for_each(|logits| draw_class(logits, scale, &mut random));
            }
            OutputLoss::MeanSquaredError => {
                let scale = (2.0 / width as f64).sqrt();
                row.fill_with(|| scale * random.sample::<f64, _>(StandardNormal));
            }
            OutputLoss::BinaryCrossEntropy => {
                let scale = 1.0 / (width as f64).sqrt();
                for logit in row {
                    let p = 1.0 / (1.0 + (-*logit).exp());
                    let label = if random.random::<f64>() < p { 1.0 } else { 0.0 };
                    *logit = scale * (p - label);
                }
            }
            OutputLoss::Derived => row.fill(0.0),
        }
    }
    Ok(tensor(numbers.into_iter(), [n, width], &device, precision))
}

/// Replaces logits by the probabilities minus the indicator of a class drawn from them.
fn draw_class(logits: &mut [f64], scale: f64, random: &mut impl RngExt) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
    }
    let sum: f64 = logits.iter().sum();
    let mut left = random.random::<f64>() * sum;
    let mut class = logits.len() - 1;
    for (index, weight) in logits.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            class = index;
            break;
        }
    }
    for weight in logits.iter_mut() {
        *weight *= scale / sum;
    }
    logits[class] -= scale;
}

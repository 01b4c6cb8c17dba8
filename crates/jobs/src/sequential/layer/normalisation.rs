//! Normalisations.

use anyhow::{Context, Result, ensure};

use super::{
    kind::{LayerKind, STATISTICS},
    tensors::{Checked, bias, shape_of},
};
use crate::{
    sequential::shape::{last_axis, shown},
    weights::Weights,
};

const LAST_AXIS: &str = "(features), for normalisation along the last axis";

pub(super) fn layer_norm(
    name: &str,
    epsilon: f64,
    weights: &Weights,
    input: &[usize],
) -> Result<Checked> {
    let (features, bias) = along_last_axis(name, epsilon, true, weights, input)?;
    let kind = LayerKind::LayerNorm {
        features,
        bias,
        epsilon,
    };
    Ok((Some(kind), input.to_vec()))
}

pub(super) fn rms_norm(
    name: &str,
    epsilon: f64,
    weights: &Weights,
    input: &[usize],
) -> Result<Checked> {
    let (features, _) = along_last_axis(name, epsilon, false, weights, input)?;
    Ok((
        Some(LayerKind::RmsNorm { features, epsilon }),
        input.to_vec(),
    ))
}

/// The features of a normalisation along the last axis, and whether it has a bias, if it may.
fn along_last_axis(
    name: &str,
    epsilon: f64,
    may_have_bias: bool,
    weights: &Weights,
    input: &[usize],
) -> Result<(usize, bool)> {
    check_epsilon(epsilon)?;
    let features = shape_of(name, weights, 1, LAST_AXIS)?[0];
    let bias = may_have_bias && bias(name, weights, features)?;
    last_axis(input, features)?;
    Ok((features, bias))
}

pub(super) fn batch_norm(
    name: &str,
    (epsilon, momentum, tracked): (f64, f64, bool),
    affine: bool,
    weights: &Weights,
    input: &[usize],
) -> Result<Checked> {
    check_epsilon(epsilon)?;
    ensure!(
        (0.0..=1.0).contains(&momentum),
        "momentum must be between 0 and 1, got {momentum}"
    );
    let statistics = STATISTICS.map(|statistic| format!("{name}.{statistic}"));
    let there = statistics
        .iter()
        .all(|tensor| weights.shape(tensor).is_some());
    ensure!(
        tracked && there,
        "it has no running statistics (`{}`, `{}`), so the samples of a batch interact, and none has an influence of its own; \
         train it with track_running_stats = true",
        statistics[0],
        statistics[1]
    );
    let channels = channels(input)?;
    for tensor in &statistics {
        let shape = weights.shape(tensor).unwrap_or_default();
        ensure!(
            shape == [channels],
            "tensor `{tensor}` has shape {}, but the samples reach it in shape {}, with {channels} channels",
            shown(shape),
            shown(input)
        );
    }
    let negative = |value: f64| value < 0.0;
    ensure!(
        !weights.tensor(&statistics[1])?.iter::<f64>().any(negative),
        "tensor `{}` holds a negative variance",
        statistics[1]
    );
    check_affine(name, affine, channels, weights)?;
    let kind = LayerKind::BatchNorm {
        channels,
        affine,
        epsilon,
        momentum,
    };
    Ok((Some(kind), input.to_vec()))
}

pub(super) fn group_norm(
    name: &str,
    (epsilon, groups): (f64, usize),
    affine: bool,
    weights: &Weights,
    input: &[usize],
) -> Result<Checked> {
    check_epsilon(epsilon)?;
    let channels = channels(input)?;
    ensure!(
        groups > 0 && channels.is_multiple_of(groups),
        "the samples reach it in shape {}, whose {channels} channels do not divide into num_groups = {groups}",
        shown(input)
    );
    check_affine(name, affine, channels, weights)?;
    let kind = LayerKind::GroupNorm {
        channels,
        affine,
        epsilon,
        groups,
    };
    Ok((Some(kind), input.to_vec()))
}

fn check_epsilon(epsilon: f64) -> Result<()> {
    ensure!(
        epsilon.is_finite() && epsilon > 0.0,
        "eps must be positive and finite, got {epsilon}"
    );
    Ok(())
}

/// The size of the first axis of a sample.
fn channels(input: &[usize]) -> Result<usize> {
    let channels = input.first().copied();
    channels.context("the samples have no axis")
}

/// Scale and shift: both of them, for each channel, or neither, as the layer says.
fn check_affine(name: &str, affine: bool, channels: usize, weights: &Weights) -> Result<()> {
    if !affine {
        let tensor = ["weight", "bias"].map(|tensor| format!("{name}.{tensor}"));
        let there = tensor.iter().find(|tensor| weights.shape(tensor).is_some());
        ensure!(
            there.is_none(),
            "affine = false, but there is a tensor `{}`",
            there.map_or("", String::as_str)
        );
        return Ok(());
    }
    let missing = format!("if it has no scale and shift, say affine = false in `{name}`");
    let weight = shape_of(name, weights, 1, "(channels)").context(missing.clone())?;
    ensure!(
        weight == [channels],
        "its weights take {} channels, but the samples reach it with {channels}",
        weight[0]
    );
    ensure!(
        bias(name, weights, channels)?,
        "{} has no tensor `{name}.bias`; {missing}",
        weights.source()
    );
    Ok(())
}

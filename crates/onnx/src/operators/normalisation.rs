//! Normalisation by batch, layer, instance and group.

use burn::backend::{
    Dispatch,
    ops::{FloatTensorOps, ModuleOps, PadMode},
};

use super::{Call, Operator, Slot, arithmetic::power, one};
use crate::{
    Error, Result,
    value::{Value, axis_of},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "BatchNormalization" => Operator::through(batch, &[0, 1, 2]),
        "LayerNormalization" => Operator::smooth(layer),
        "RMSNormalization" => Operator::smooth(root_mean_square),
        "InstanceNormalization" => Operator::smooth(instance),
        "GroupNormalization" => Operator::smooth(group),
        "LpNormalization" => Operator::smooth(by_norm),
        "MeanVarianceNormalization" => Operator::smooth(mean_variance),
        "LRN" => Operator::smooth(local_response),
        _ => return None,
    })
}

/// The error that a vector has not one number for each channel.
fn unfit(what: &str, vector: &[usize], dims: &[usize]) -> Error {
    Error::Operator(format!(
        "a {what} of shape {vector:?} does not fit a tensor of shape {dims:?}"
    ))
}

fn batch(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.node.attributes.flag("training_mode")? {
        return Err(Error::operator(
            "it was exported in training mode, in which samples of a batch interact; export the network after model.eval()",
        ));
    }
    let [x, scale, shift, mean, variance] = call.together([0, 1, 2, 3, 4])?;
    let epsilon = call.real("epsilon", 1e-5)?;
    Ok(one(by_batch(x, [scale, shift, mean, variance], epsilon)?))
}

/// `(x − mean) / √(variance + ε) · scale + shift`, each with one number for a channel; `vectors`
/// are scale, shift, mean and variance.
pub(super) fn by_batch(x: Value, vectors: [Value; 4], epsilon: f64) -> Result<Value> {
    let dims = x.dims();
    let channels = dims.get(1).copied();
    for vector in &vectors {
        if vector.rank() != 1 || channels != Some(vector.dims()[0]) {
            return Err(unfit("statistic", &vector.dims(), &dims));
        }
    }
    let [scale, shift, mean, variance] = vectors;
    let (scale, shift) = (scale.float()?.tensor, shift.float()?.tensor);
    let (mean, variance) = (mean.float()?.tensor, variance.float()?.tensor);
    let x = x.float()?;
    Ok(x.map(|x| Dispatch::batch_norm(x, scale, shift, mean, variance, epsilon)))
}

fn layer(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, scale, shift] = call.gathered([0, 1, 2])?;
    let (Some(x), Some(scale)) = (x, scale) else {
        return Err(Error::operator("the input or the scale is missing"));
    };
    let axis = call.axis(&x, -1)?;
    let epsilon = call.real("epsilon", 1e-5)?;
    Ok(one(by_layer(x, scale, shift, axis, epsilon)?))
}

/// The last axes of a shape as one.
fn joined(dims: &[usize], axis: usize) -> Vec<usize> {
    let mut joined = dims[..axis].to_vec();
    joined.push(dims[axis..].iter().product());
    joined
}

/// Normalised over the axes from one on, then scaled and shifted entry by entry.
pub(super) fn by_layer(
    x: Value,
    scale: Value,
    shift: Option<Value>,
    axis: usize,
    epsilon: f64,
) -> Result<Value> {
    let dims = x.dims();
    let vector = |value: Value| {
        let width: usize = dims[axis..].iter().product();
        value.float()?.expand(&dims[axis..])?.reshape(&[width])
    };
    let scale = vector(scale)?.tensor;
    let shift = shift.map(vector).transpose()?.map(|shift| shift.tensor);
    let rows = x.float()?.reshape(&joined(&dims, axis))?;
    let normal = rows.map(|x| Dispatch::layer_norm(x, scale, shift, epsilon));
    normal.reshape(&dims)
}

fn root_mean_square(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, scale] = call.together([0, 1])?;
    let axis = call.axis(&x, -1)?;
    let epsilon = call.real("epsilon", 1e-5)?;
    Ok(one(
        by_root_mean_square(x.float()?, axis, epsilon)?.times(scale)?
    ))
}

/// `x / √(mean(x²) + ε)` over the axes from one on.
pub(super) fn by_root_mean_square(x: Value, axis: usize, epsilon: f64) -> Result<Value> {
    let dims = x.dims();
    let rows = x.reshape(&joined(&dims, axis))?;
    let mean = rows.clone().squared().mean_along(axis).shifted(epsilon);
    rows.over(mean.map(Dispatch::float_sqrt))?.reshape(&dims)
}

/// `(x − mean) / √(variance + ε)` over one axis, with the biased variance.
pub(super) fn normalised(x: Value, axis: usize, epsilon: f64) -> Result<Value> {
    let centred = x.clone().minus(x.mean_along(axis))?;
    let variance = centred.clone().squared().mean_along(axis).shifted(epsilon);
    centred.over(variance.map(Dispatch::float_sqrt))
}

/// A vector with one number for each channel, as a tensor of a rank.
fn by_channel(vector: Value, rank: usize) -> Result<Value> {
    let mut dims = vec![1; rank];
    dims[axis_of(1, rank)?] = vector.dims().iter().product();
    vector.reshape(&dims)
}

fn instance(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, scale, shift] = call.together([0, 1, 2])?;
    let channels = *x.dims().get(1).unwrap_or(&0);
    let epsilon = call.real("epsilon", 1e-5)?;
    Ok(one(by_group(x, channels, Some((scale, shift)), epsilon)?))
}

fn group(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, scale, shift] = call.together([0, 1, 2])?;
    let groups = usize::try_from(call.int("num_groups", 0)?).unwrap_or(0);
    let epsilon = call.real("epsilon", 1e-5)?;
    let dims = x.dims();
    if call.node.version >= 21 {
        return Ok(one(by_group(x, groups, Some((scale, shift)), epsilon)?));
    }
    // Before version 21 there was one number for each group.
    let each = |vector: Value| {
        let channels = dims.get(1).copied().unwrap_or(0);
        let in_group = channels.checked_div(groups).unwrap_or(0);
        let column = vector.reshape(&[groups, 1])?.expand(&[groups, in_group])?;
        column.reshape(&[groups * in_group])
    };
    let affine = Some((each(scale)?, each(shift)?));
    Ok(one(by_group(x, groups, affine, epsilon)?))
}

/// Normalised over the axes after the channels and the channels of each group, then scaled and
/// shifted by channel.
pub(super) fn by_group(
    x: Value,
    groups: usize,
    affine: Option<(Value, Value)>,
    epsilon: f64,
) -> Result<Value> {
    let dims = x.dims();
    let fits = dims.len() > 1 && groups > 0 && dims[1].is_multiple_of(groups);
    if !fits {
        return Err(Error::Operator(format!(
            "{groups} groups of the channels of a tensor of shape {dims:?}"
        )));
    }
    let width = dims[1..].iter().product::<usize>() / groups;
    let rows = x.float()?.reshape(&[dims[0], groups, width])?;
    let normal = normalised(rows, 2, epsilon)?.reshape(&dims)?;
    let Some((scale, shift)) = affine else {
        return Ok(normal);
    };
    for vector in [&scale, &shift] {
        if vector.dims() != dims[1..2] {
            return Err(unfit("scale or shift", &vector.dims(), &dims));
        }
    }
    let scale = by_channel(scale, dims.len())?;
    normal.times(scale)?.plus(by_channel(shift, dims.len())?)
}

fn by_norm(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.float(0)?;
    let axis = call.axis(&x, -1)?;
    let norm = match call.int("p", 2)? {
        1 => x.clone().map(Dispatch::float_abs).sum_along(axis),
        2 => x
            .clone()
            .squared()
            .sum_along(axis)
            .map(Dispatch::float_sqrt),
        other => {
            return Err(Error::Operator(format!(
                "a norm of order {other}, expected 1 or 2"
            )));
        }
    };
    Ok(one(x.over(norm)?))
}

/// Normalised over axes, by default all but the channels.
fn mean_variance(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut centred = call.float(0)?;
    let axes = call.node.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = axes.iter().map(|&axis| centred.axis(axis));
    let axes: Vec<usize> = axes.collect::<Result<_>>()?;
    let mean = axes
        .iter()
        .fold(centred.clone(), |mean, &axis| mean.mean_along(axis));
    centred = centred.minus(mean)?;
    let squares = centred.clone().squared();
    let variance = axes
        .iter()
        .fold(squares, |mean, &axis| mean.mean_along(axis));
    // ONNX defines it with this number after the root.
    let deviation = variance.map(Dispatch::float_sqrt).shifted(1e-9);
    Ok(one(centred.over(deviation)?))
}

/// `x / (bias + α/size · Σ x²)^β`, the sum over neighbouring channels.
fn local_response(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.float(0)?;
    let dims = x.dims();
    let size = usize::try_from(call.int("size", 0)?).ok();
    let size = size.filter(|size| (1..=1024).contains(size) && dims.len() > 2);
    let size = size.ok_or_else(|| {
        Error::Operator(format!(
            "neighbours of the channels of a tensor of shape {dims:?}"
        ))
    })?;
    let mut ends = vec![(0, 0); dims.len()];
    ends[1] = ((size - 1) / 2, size / 2);
    let squares = x.clone().squared();
    let squares = squares.change(|x| Dispatch::float_pad(x, &ends, PadMode::Constant(0.0)));
    let shifted = |from: usize| squares.clone().slice(1, from, from + dims[1], 1);
    let sum = (1..size).try_fold(shifted(0), |sum, from| sum.plus(shifted(from)))?;
    let alpha = call.real("alpha", 1e-4)? / size as f64;
    let below = sum.scaled(alpha).shifted(call.real("bias", 1.0)?);
    let beta = call.real("beta", 0.75)?;
    let below = below.map(|x| power(x, beta));
    Ok(one(x.over(below)?))
}

//! Normalisations. Statistics of batches are those that the network was trained to.

use influence_core::FieldKind::Float;

use super::{
    Run,
    arguments::{signed, wrong},
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "batch_norm"
        | "native_batch_norm"
        | "_native_batch_norm_legit_no_training"
        | "cudnn_batch_norm" => batch,
        "_native_batch_norm_legit" => one_sample,
        "layer_norm" | "native_layer_norm" => layer,
        "group_norm" | "native_group_norm" => group,
        "instance_norm" => instance,
        "rms_norm" | "_fused_rms_norm" => root_mean_square,
        "_weight_norm" | "_weight_norm_interface" => weight,
        _ => return None,
    })
}

/// An argument, or the same number for each channel.
fn each(call: &mut Call<'_>, name: &str, default: f64, channels: usize) -> Result<Value> {
    match call.maybe_tensor(name)? {
        Some(value) => Ok(value.cast(Float, call.devices)),
        None => call.known_float(default).expand(&[channels]),
    }
}

fn channels(x: &Value) -> Result<usize> {
    let dims = x.dims();
    dims.get(1)
        .copied()
        .ok_or_else(|| wrong("expected channels along axis 1"))
}

fn epsilon(call: &mut Call<'_>) -> Result<Vec<(&'static str, Attribute)>> {
    let epsilon = call
        .number_of("eps")?
        .or(call.number_of("epsilon")?)
        .unwrap_or(1e-5);
    Ok(vec![("epsilon", Attribute::Float(epsilon))])
}

fn batch(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.operand("input", Float)?;
    if !call.has("running_mean") || !call.has("running_var") {
        return Err(wrong(
            "it normalises by the statistics of the batch, so that samples depend on one another; use track_running_stats=True",
        ));
    }
    let count = channels(&x)?;
    let scale = each(call, "weight", 1.0, count)?;
    let shift = each(call, "bias", 0.0, count)?;
    let mean = call.operand("running_mean", Float)?;
    let variance = call.operand("running_var", Float)?;
    let epsilon = epsilon(call)?;
    let arguments = [x, scale, shift, mean, variance].map(Some);
    Ok(one(call.onnx_with(
        "BatchNormalization",
        arguments,
        epsilon,
    )?))
}

/// The axes from the one at which a normalised shape begins.
fn from_axis(call: &mut Call<'_>) -> Result<(Vec<usize>, i64)> {
    let shape = call.wholes("normalized_shape")?.unwrap_or_default();
    let axis = -signed(shape.len());
    let sides = shape.iter().map(|&side| usize::try_from(side));
    let sides = sides.collect::<Result<Vec<_>, _>>();
    Ok((sides.map_err(|_| wrong("a negative length"))?, axis))
}

fn layer(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.operand("input", Float)?;
    let (sides, axis) = from_axis(call)?;
    let scale = match call.maybe_tensor("weight")? {
        Some(scale) => scale,
        None => call.known_float(1.0).expand(&sides)?,
    };
    let shift = call.maybe_tensor("bias")?;
    let mut attributes = epsilon(call)?;
    attributes.push(("axis", Attribute::Int(axis)));
    Ok(one(call.onnx_with(
        "LayerNormalization",
        [Some(x), Some(scale), shift],
        attributes,
    )?))
}

fn root_mean_square(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    /// The default is the precision of the program's floats.
    const SINGLE: f64 = f32::EPSILON as f64;
    let x = call.operand("input", Float)?;
    let (sides, axis) = from_axis(call)?;
    let scale = match call.maybe_tensor("weight")? {
        Some(scale) => scale,
        None => call.known_float(1.0).expand(&sides)?,
    };
    let epsilon = call.number_of("eps")?.unwrap_or(SINGLE);
    let attributes = vec![
        ("epsilon", Attribute::Float(epsilon)),
        ("axis", Attribute::Int(axis)),
    ];
    Ok(one(call.onnx_with(
        "RMSNormalization",
        [Some(x), Some(scale)],
        attributes,
    )?))
}

/// `v · g / ‖v‖`, with a norm for each place along an axis.
fn weight(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (v, g) = (call.operand("v", Float)?, call.operand("g", Float)?);
    let kept = v.axis(call.whole("dim")?.unwrap_or(0))?;
    let mut squares = v.clone().squared();
    for other in (0..v.rank()).filter(|&other| other != kept) {
        squares = squares.sum_along(other);
    }
    let norms = call.onnx("Sqrt", [squares])?;
    let ratio = call.onnx("Div", [g, norms])?;
    Ok(one(call.onnx("Mul", [v, ratio])?))
}

fn group(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.operand("input", Float)?;
    let groups = call
        .whole("num_groups")?
        .or(call.whole("group")?)
        .unwrap_or(1);
    let count = channels(&x)?;
    let scale = each(call, "weight", 1.0, count)?;
    let shift = each(call, "bias", 0.0, count)?;
    let mut attributes = epsilon(call)?;
    attributes.push(("num_groups", Attribute::Int(groups)));
    Ok(one(call.onnx_with(
        "GroupNormalization",
        [x, scale, shift].map(Some),
        attributes,
    )?))
}

/// What instance norms are taken apart into: all channels of all samples as those of one sample.
/// With more samples their statistics would be shared.
fn one_sample(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.has("running_mean") || call.shown("input")?.dims().first() != Some(&1) {
        return Err(wrong(
            "it normalises by the statistics of the batch, as in training, so that samples would depend on one another; export `model.eval()`",
        ));
    }
    by_instance(call)
}

fn instance(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if !call.is_set("use_input_stats")? {
        return batch(call);
    }
    by_instance(call)
}

fn by_instance(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.operand("input", Float)?;
    let count = channels(&x)?;
    let scale = each(call, "weight", 1.0, count)?;
    let shift = each(call, "bias", 0.0, count)?;
    let epsilon = epsilon(call)?;
    Ok(one(call.onnx_with(
        "InstanceNormalization",
        [x, scale, shift].map(Some),
        epsilon,
    )?))
}

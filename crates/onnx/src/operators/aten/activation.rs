//! Activation functions.

use influence_core::FieldKind::Float;

use super::Run;
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "silu" => silu,
        "gelu" => gelu,
        "mish" => |call| plain(call, "Mish"),
        "selu" => selu,
        "softsign" => |call| plain(call, "Softsign"),
        "hardswish" => |call| plain(call, "HardSwish"),
        "hardsigmoid" => hard_sigmoid,
        "hardtanh" => |call| clipped(call, (-1.0, 1.0)),
        "relu6" => |call| clipped(call, (0.0, 6.0)),
        "elu" => elu,
        "celu" => |call| scaled(call, "Celu", "alpha", 1.0),
        "leaky_relu" => |call| scaled(call, "LeakyRelu", "negative_slope", 0.01),
        "prelu" | "_prelu_kernel" => prelu,
        "softplus" => softplus,
        "log_sigmoid" | "log_sigmoid_forward" => log_sigmoid,
        "softmax" | "_softmax" | "special_softmax" => |call| softmax(call, "Softmax"),
        "log_softmax" | "_log_softmax" | "special_log_softmax" => {
            |call| softmax(call, "LogSoftmax")
        }
        "_safe_softmax" => safe_softmax,
        "glu" => glu,
        _ => return None,
    })
}

fn argument(call: &mut Call<'_>) -> Result<Value> {
    call.operand("self", Float)
}

fn plain(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    Ok(one(call.onnx(operator, [value])?))
}

fn silu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let gate = call.onnx("Sigmoid", [value.clone()])?;
    Ok(one(call.onnx("Mul", [value, gate])?))
}

fn gelu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let form = call.node.attributes.text("approximate")?.unwrap_or("none");
    let form = Attribute::Text(form.to_owned());
    Ok(one(call.onnx_with(
        "Gelu",
        [Some(value)],
        vec![("approximate", form)],
    )?))
}

fn hard_sigmoid(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let slope = vec![("alpha", Attribute::Float(6.0_f64.recip()))];
    Ok(one(call.onnx_with("HardSigmoid", [Some(value)], slope)?))
}

fn clipped(call: &mut Call<'_>, default: (f64, f64)) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let from = call.number_of("min_val")?.unwrap_or(default.0);
    let to = call.number_of("max_val")?.unwrap_or(default.1);
    let above = call.onnx("Max", [value, call.known_float(from)])?;
    Ok(one(call.onnx("Min", [above, call.known_float(to)])?))
}

/// A function with one parameter, which ONNX calls `alpha`.
fn scaled(call: &mut Call<'_>, operator: &str, name: &str, default: f64) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let alpha = call.number_of(name)?.unwrap_or(default);
    let alpha = vec![("alpha", Attribute::Float(alpha))];
    Ok(one(call.onnx_with(operator, [Some(value)], alpha)?))
}

/// Has constants of 64 bits here, of 32 in ONNX.
fn selu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    /// PyTorch's, from the paper on self-normalising networks (Klambauer et al. 2017).
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const SCALE: f64 = 1.050_700_987_355_480_5;
    let value = argument(call)?;
    let alpha = vec![("alpha", Attribute::Float(ALPHA))];
    let curve = call.onnx_with("Elu", [Some(value)], alpha)?;
    Ok(one(call.onnx("Mul", [curve, call.known_float(SCALE)])?))
}

/// `scale · x` where `x` is positive, else `scale · alpha · (exp(input_scale · x) − 1)`.
fn elu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let alpha = call.number_of("alpha")?.unwrap_or(1.0);
    let inner = call.number_of("input_scale")?.unwrap_or(1.0);
    let outer = call.number_of("scale")?.unwrap_or(1.0);
    let alpha = vec![("alpha", Attribute::Float(alpha))];
    let mut result = if inner - 1.0 == 0.0 {
        call.onnx_with("Elu", [Some(value)], alpha)?
    } else {
        let scaled = call.onnx("Mul", [value.clone(), call.known_float(inner)])?;
        let below = call.onnx_with("Elu", [Some(scaled)], alpha)?;
        let above = call.onnx("Greater", [value.clone(), call.known_float(0.0)])?;
        call.onnx("Where", [above, value, below])?
    };
    if outer - 1.0 != 0.0 {
        result = call.onnx("Mul", [result, call.known_float(outer)])?;
    }
    Ok(one(result))
}

fn prelu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, weight) = (argument(call)?, call.operand("weight", Float)?);
    // One slope for each channel, which are on axis 1.
    let weight = match (weight.dims().as_slice(), value.rank()) {
        (&[channels], rank) if channels > 1 && rank > 2 => {
            let mut dims = vec![1; rank - 1];
            dims[0] = channels;
            weight.reshape(&dims)?
        }
        _ => weight,
    };
    Ok(one(call.onnx("PRelu", [value, weight])?))
}

/// `log(1 + exp(β x)) / β`, and `x` where `β x` is above the threshold.
fn softplus(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let beta = call.number_of("beta")?.unwrap_or(1.0);
    let threshold = call.number_of("threshold")?.unwrap_or(20.0);
    let scaled = match beta {
        1.0 => value.clone(),
        beta => call.onnx("Mul", [value.clone(), call.known_float(beta)])?,
    };
    let linear = call.onnx("Greater", [scaled.clone(), call.known_float(threshold)])?;
    let mut curve = call.onnx("Softplus", [scaled])?;
    if beta - 1.0 != 0.0 {
        curve = call.onnx("Div", [curve, call.known_float(beta)])?;
    }
    Ok(one(call.onnx("Where", [linear, value, curve])?))
}

fn log_sigmoid(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let opposite = call.onnx("Neg", [value])?;
    let curve = call.onnx("Softplus", [opposite])?;
    Ok(one(call.onnx("Neg", [curve])?))
}

fn softmax(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let axis = call.whole("dim")?.unwrap_or(-1);
    Ok(one(call.onnx_with(
        operator,
        [Some(value)],
        vec![("axis", Attribute::Int(axis))],
    )?))
}

/// A softmax that is 0 where all arguments are −∞.
fn safe_softmax(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let axis = call.whole("dim")?.unwrap_or(-1);
    Ok(one(softmax_or_zero(call, value, axis)?))
}

/// A softmax along an axis that is 0 where all arguments are −∞, with a derivative of 0 there.
pub(super) fn softmax_or_zero(call: &Call<'_>, value: Value, axis: i64) -> Result<Value> {
    /// What no score is below, unless it is masked.
    const LOWEST: f64 = -1e30;
    let axis_of = vec![("axis", Attribute::Int(axis))];
    let held = call.onnx("Max", [value, call.known_float(LOWEST)])?;
    let seen = call
        .onnx("Greater", [held.clone(), call.known_float(LOWEST)])?
        .cast(Float, call.devices);
    let along = super::arguments::vector(&[axis], call.devices);
    let some = call.onnx("ReduceMax", [seen, along])?;
    let shares = call.onnx_with("Softmax", [Some(held)], axis_of)?;
    call.onnx("Mul", [shares, some])
}

fn glu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = argument(call)?;
    let axis = value.axis(call.whole("dim")?.unwrap_or(-1))?;
    let side = value.dims()[axis];
    let half = value.clone().slice(axis, 0, side / 2, 1);
    let gate = call.onnx("Sigmoid", [value.slice(axis, side / 2, side, 1)])?;
    Ok(one(call.onnx("Mul", [half, gate])?))
}

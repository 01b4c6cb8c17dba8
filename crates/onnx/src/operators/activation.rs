//! Activation functions.

use burn::backend::{
    Dispatch, DispatchTensor,
    ops::{ActivationOps, FloatTensorOps, IntTensorOps},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, arithmetic, each, one};
use crate::{Error, Result, value::Value};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "Relu" => |call| each(call, Dispatch::relu),
        "Sigmoid" => |call| each(call, Dispatch::sigmoid),
        "Tanh" => |call| each(call, Dispatch::float_tanh),
        "Softplus" => |call| each(call, softplus),
        "Softsign" => |call| each(call, softsign),
        "HardSwish" => |call| each(call, hard_swish),
        "Mish" => |call| each(call, mish),
        "Gelu" => gelu,
        "LeakyRelu" => leaky_relu,
        "PRelu" => prelu,
        "Elu" => elu,
        "Selu" => selu,
        "Celu" => celu,
        "ThresholdedRelu" => thresholded_relu,
        "HardSigmoid" => hard_sigmoid,
        "Softmax" => |call| along(call, Dispatch::softmax),
        "LogSoftmax" => |call| along(call, Dispatch::log_softmax),
        "Clip" => clip,
        _ => return None,
    }))
}

/// A function of the entries along an axis.
fn along(
    call: &mut Call<'_>,
    operation: fn(DispatchTensor, usize) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    let axis = call.axis(&value, -1)?;
    if value.dims().contains(&0) {
        return Err(Error::operator("a softmax of no entries"));
    }
    Ok(one(value.map(|tensor| operation(tensor, axis))))
}

/// `log(1 + exp(x))`.
pub(super) fn softplus(x: DispatchTensor) -> DispatchTensor {
    Dispatch::float_neg(Dispatch::log_sigmoid(Dispatch::float_neg(x)))
}

/// `x / (1 + |x|)`.
fn softsign(x: DispatchTensor) -> DispatchTensor {
    let below = Dispatch::float_add_scalar(Dispatch::float_abs(x.clone()), 1.0.into());
    Dispatch::float_div(x, below)
}

/// `x · max(0, min(1, x/6 + 1/2))`.
pub(super) fn hard_swish(x: DispatchTensor) -> DispatchTensor {
    let gate = Dispatch::hard_sigmoid(x.clone(), (1.0 / 6.0).into(), 0.5.into());
    Dispatch::float_mul(x, gate)
}

/// `x · tanh(log(1 + exp(x)))`.
pub(super) fn mish(x: DispatchTensor) -> DispatchTensor {
    Dispatch::float_mul(x.clone(), Dispatch::float_tanh(softplus(x)))
}

fn gelu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    Ok(one(match call.text("approximate", "none")? {
        "none" => value.map(Dispatch::gelu),
        "tanh" => value.map(gelu_by_tanh),
        other => {
            return Err(Error::Operator(format!(
                "approximate is `{other}`, expected none or tanh"
            )));
        }
    }))
}

/// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub(super) fn gelu_by_tanh(x: DispatchTensor) -> DispatchTensor {
    let cube = Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x.clone());
    let inner = Dispatch::float_add(
        x.clone(),
        Dispatch::float_mul_scalar(cube, 0.044_715.into()),
    );
    let slope = (2.0 / std::f64::consts::PI).sqrt();
    let bent = Dispatch::float_tanh(Dispatch::float_mul_scalar(inner, slope.into()));
    let gate = Dispatch::float_add_scalar(bent, 1.0.into());
    Dispatch::float_mul_scalar(Dispatch::float_mul(x, gate), 0.5.into())
}

fn leaky_relu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let slope = call.real("alpha", 0.01)?;
    each(call, |x| Dispatch::leaky_relu(x, slope.into()))
}

fn prelu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [value, slope] = call.together([0, 1])?;
    Ok(one(value
        .float()?
        .joined(slope.float()?, Dispatch::prelu)?))
}

/// `max(x, 0) + height · (exp(min(x, 0) / width) − 1)`.
pub(super) fn exponential_unit(x: DispatchTensor, height: f64, width: f64) -> DispatchTensor {
    let below = Dispatch::float_clamp_max(x.clone(), 0.0.into());
    let decay = Dispatch::float_exp(Dispatch::float_mul_scalar(below, width.recip().into()));
    let decay = Dispatch::float_add_scalar(decay, (-1.0).into());
    let decay = Dispatch::float_mul_scalar(decay, height.into());
    Dispatch::float_add(Dispatch::relu(x), decay)
}

fn elu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let alpha = call.real("alpha", 1.0)?;
    each(call, |x| exponential_unit(x, alpha, 1.0))
}

fn selu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let alpha = call.real("alpha", 1.673_263_192_176_818_8)?;
    let gamma = call.real("gamma", 1.050_701_022_148_132_3)?;
    each(call, |x| {
        Dispatch::float_mul_scalar(exponential_unit(x, alpha, 1.0), gamma.into())
    })
}

fn celu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let alpha = call.real("alpha", 1.0)?;
    each(call, |x| exponential_unit(x, alpha, alpha))
}

fn thresholded_relu(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let alpha = call.real("alpha", 1.0)?;
    let value = call.float(0)?;
    let bools = value.bools(call.devices);
    Ok(one(value.map(|x| {
        let below = Dispatch::float_lower_equal_elem(x.clone(), alpha.into(), bools);
        Dispatch::float_mask_fill(x, below, 0.0.into())
    })))
}

fn hard_sigmoid(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (alpha, beta) = (call.real("alpha", 0.2)?, call.real("beta", 0.5)?);
    each(call, |x| {
        Dispatch::hard_sigmoid(x, alpha.into(), beta.into())
    })
}

fn clip(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let mut value = call.value(0)?;
    for (place, largest) in [(1, false), (2, true)] {
        if let Some(bound) = call.optional(place)? {
            value = bounded(value, bound, largest, call)?;
        }
    }
    Ok(one(value))
}

/// With entries beyond a bound in the place of the bound.
fn bounded(value: Value, bound: Value, largest: bool, call: &Call<'_>) -> Result<Value> {
    let Some(number) = bound.single() else {
        return arithmetic::extreme(value, bound, !largest, call.devices);
    };
    Ok(match (value.kind, largest) {
        (FieldKind::Int, false) => value.map(|x| Dispatch::int_clamp_min(x, whole(number).into())),
        (FieldKind::Int, true) => value.map(|x| Dispatch::int_clamp_max(x, whole(number).into())),
        (_, false) => value
            .float()?
            .map(|x| Dispatch::float_clamp_min(x, number.into())),
        (_, true) => value
            .float()?
            .map(|x| Dispatch::float_clamp_max(x, number.into())),
    })
}

/// A number that was read from an integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds of integers are integers, and saturate"
)]
fn whole(number: f64) -> i64 {
    number as i64
}

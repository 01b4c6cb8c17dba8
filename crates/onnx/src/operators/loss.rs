//! Losses that are computed inside a file.

use burn::{
    backend::{
        Dispatch,
        ops::{ActivationOps, FloatTensorOps, IntTensorOps},
    },
    tensor::Scalar,
};
use influence_core::FieldKind;

use super::{
    Call, Operator, Slot,
    indexing::{taken, taken_along},
    shape::unsqueezed,
};
use crate::{
    Error, Result,
    value::{Devices, Value},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    let run: super::Run = match name {
        "SoftmaxCrossEntropyLoss" => cross_entropy,
        "NegativeLogLikelihoodLoss" => |call| {
            let log_probabilities = call.float(0)?;
            likelihood(call, log_probabilities)
        },
        _ => return None,
    };
    Some(Operator::through(run, &[0, 2]))
}

fn cross_entropy(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let scores = call.float(0)?;
    let axis = scores.axis(1)?;
    if scores.dims().contains(&0) {
        return Err(Error::operator("the loss of no scores"));
    }
    let log_probabilities = scores.map(|tensor| Dispatch::log_softmax(tensor, axis));
    let mut slots = likelihood(call, log_probabilities.clone())?;
    slots.push(log_probabilities.into());
    Ok(slots)
}

/// `−w_c log p_c` of the class `c` of each entry: as they are, added up, or their mean by weight.
fn likelihood(call: &mut Call<'_>, log_probabilities: Value) -> Result<Vec<Slot>> {
    let classes = call.value(1)?.of_kind(FieldKind::Int)?;
    let ignored = call.node.attributes.int("ignore_index")?;
    let weights = call.optional(2)?;
    let (dims, at) = (log_probabilities.dims(), classes.dims());
    let fits =
        dims.len() > 1 && !dims.contains(&0) && at.first() == dims.first() && at[1..] == dims[2..];
    if !fits {
        return Err(Error::Operator(format!(
            "classes of shape {at:?} for scores of shape {dims:?}"
        )));
    }
    let bools = classes.bools(call.devices);
    let left_out = ignored.map(|ignored| {
        let classes = classes.clone();
        classes.map_to(FieldKind::Bool, |classes| {
            Dispatch::int_equal_elem(classes, Scalar::Int(ignored), bools)
        })
    });
    let classes = match &left_out {
        Some(left_out) => classes.fill(left_out.clone(), Scalar::Int(0))?,
        None => classes,
    };
    let places = unsqueezed(classes.clone(), &[1])?;
    let chosen = taken_along(log_probabilities, 1, places, call.devices)?;
    let losses = chosen.reshape(&at)?.map(Dispatch::float_neg);
    let weights = entry_weights(weights, classes, left_out, call.devices)?;
    let losses = match &weights {
        Some(weights) => {
            let [losses, weights] = Value::together([losses, weights.clone()], call.devices)?;
            losses.times(weights)?
        }
        None => losses,
    };
    Ok(vec![reduced(call, losses, weights)?.into()])
}

/// The weight of each entry, by its class; 0 where it is left out, `None` where all are 1.
fn entry_weights(
    weights: Option<Value>,
    classes: Value,
    left_out: Option<Value>,
    devices: &Devices,
) -> Result<Option<Value>> {
    let at = classes.dims();
    let weights = match (weights, &left_out) {
        (Some(weights), _) => {
            let weights = weights.float()?;
            Some(taken(weights, 0, classes, devices)?)
        }
        (None, Some(_)) => {
            let ones = Value::full(1.0, &at, devices)?;
            Some(if classes.known {
                ones
            } else {
                ones.away(devices)?
            })
        }
        (None, None) => None,
    };
    match (weights, left_out) {
        (Some(weights), Some(left_out)) => {
            let [weights, left_out] = Value::together([weights, left_out], devices)?;
            Ok(Some(weights.fill(left_out, 0.0.into())?))
        }
        (weights, _) => Ok(weights),
    }
}

fn reduced(call: &Call<'_>, losses: Value, weights: Option<Value>) -> Result<Value> {
    let count: usize = losses.dims().iter().product();
    let sum = |value: Value| Ok(value.reshape(&[count])?.sum_along(0));
    match call.text("reduction", "mean")? {
        "none" => Ok(losses),
        "sum" => sum(losses)?.reshape(&[]),
        "mean" => match weights {
            None => sum(losses)?
                .scaled((count.max(1) as f64).recip())
                .reshape(&[]),
            Some(weights) => {
                let [losses, weights] = Value::together([losses, weights], call.devices)?;
                sum(losses)?.over(sum(weights)?)?.reshape(&[])
            }
        },
        other => Err(Error::Operator(format!("reduction `{other}`"))),
    }
}

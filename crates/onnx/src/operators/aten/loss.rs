//! Losses of each sample or number. Those that add up what samples lose are refused: influences
//! need the loss of each.

use influence_core::FieldKind::{Float, Int};

use super::{Run, arguments::wrong};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "cross_entropy_loss" => |call| of_classes(call, "SoftmaxCrossEntropyLoss"),
        "nll_loss" | "nll_loss_nd" | "nll_loss2d" => {
            |call| of_classes(call, "NegativeLogLikelihoodLoss")
        }
        "mse_loss" => |call| {
            let left = difference(call)?;
            Ok(one(call.onnx("Mul", [left.clone(), left])?))
        },
        "l1_loss" => |call| {
            let left = difference(call)?;
            Ok(one(call.onnx("Abs", [left])?))
        },
        "smooth_l1_loss" => |call| {
            let beta = call.number_of("beta")?.unwrap_or(1.0);
            partly_square(call, beta, beta.recip())
        },
        "huber_loss" => |call| {
            let delta = call.number_of("delta")?.unwrap_or(1.0);
            partly_square(call, delta, 1.0)
        },
        "binary_cross_entropy" => binary,
        "binary_cross_entropy_with_logits" => binary_of_logits,
        "kl_div" => divergence,
        _ => return None,
    })
}

/// Refuses a loss of all samples together.
fn check_each(call: &mut Call<'_>) -> Result<()> {
    /// PyTorch's number of `reduction="none"`.
    const NONE: i64 = 0;
    if call.whole("reduction")? == Some(NONE) {
        return Ok(());
    }
    Err(wrong(
        "it adds up what the samples of a batch lose; export it with reduction=\"none\"",
    ))
}

/// What is lost on one of several classes.
fn of_classes(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    /// PyTorch's default.
    const IGNORED: i64 = -100;
    check_each(call)?;
    if call.number_of("label_smoothing")?.unwrap_or(0.0) != 0.0 {
        return Err(wrong(
            "labels are smoothed; take the logits as model.output, and set model.label_smoothing",
        ));
    }
    let scores = call.operand("self", Float)?;
    let classes = call.tensor("target")?;
    if classes.kind != Int {
        return Err(wrong(
            "expected the numbers of classes as targets, got probabilities",
        ));
    }
    let weights = call.maybe_tensor("weight")?;
    let ignored = call.whole("ignore_index")?.unwrap_or(IGNORED);
    let attributes = vec![
        ("ignore_index", Attribute::Int(ignored)),
        ("reduction", Attribute::Text("none".into())),
    ];
    let arguments = [Some(scores), Some(classes), weights];
    Ok(one(call.onnx_with(operator, arguments, attributes)?))
}

fn both(call: &mut Call<'_>) -> Result<[Value; 2]> {
    check_each(call)?;
    Ok([call.operand("self", Float)?, call.operand("target", Float)?])
}

fn difference(call: &mut Call<'_>) -> Result<Value> {
    let both = both(call)?;
    call.onnx("Sub", both)
}

/// Of a difference `d`: `slope d² / 2` up to the bound `b`, and beyond it the tangent, with
/// `slope b (|d| − b / 2)`.
fn partly_square(call: &mut Call<'_>, bound: f64, slope: f64) -> Result<Vec<Slot>> {
    let left = difference(call)?;
    let known = |number: f64| call.known_float(number);
    let square = call.onnx("Mul", [left.clone(), left.clone()])?;
    let square = call.onnx("Mul", [square, known(slope / 2.0)])?;
    let size = call.onnx("Abs", [left])?;
    let beyond = call.onnx("Sub", [size.clone(), known(bound / 2.0)])?;
    let beyond = call.onnx("Mul", [beyond, known(slope * bound)])?;
    let within = call.onnx("Less", [size, known(bound)])?;
    Ok(one(call.onnx("Where", [within, square, beyond])?))
}

/// A loss times its weights, if there are some.
fn weighted(call: &mut Call<'_>, loss: Value) -> Result<Vec<Slot>> {
    match call.maybe_tensor("weight")? {
        None => Ok(one(loss)),
        Some(weights) => Ok(one(call.onnx("Mul", [loss, weights])?)),
    }
}

/// `−y log p − (1 − y) log (1 − p)`; PyTorch takes no logarithm as less than −100.
fn binary(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [p, yes] = both(call)?;
    let known = |number: f64| call.known_float(number);
    let log = |of: Value| call.onnx("Max", [call.onnx("Log", [of])?, known(-100.0)]);
    let no = call.onnx("Sub", [known(1.0), yes.clone()])?;
    let rest = call.onnx("Sub", [known(1.0), p.clone()])?;
    let of_yes = call.onnx("Mul", [yes, log(p)?])?;
    let of_no = call.onnx("Mul", [no, log(rest)?])?;
    let sum = call.onnx("Add", [of_yes, of_no])?;
    let loss = call.onnx("Neg", [sum])?;
    weighted(call, loss)
}

/// `w y log(1 + exp(−x)) + (1 − y) log(1 + exp(x))`, with `w` the `pos_weight`.
fn binary_of_logits(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, yes] = both(call)?;
    let no = call.onnx("Sub", [call.known_float(1.0), yes.clone()])?;
    let yes = match call.maybe_tensor("pos_weight")? {
        None => yes,
        Some(weights) => call.onnx("Mul", [yes, weights])?,
    };
    let below = call.onnx("Neg", [x.clone()])?;
    let below = call.onnx("Softplus", [below])?;
    let above = call.onnx("Softplus", [x])?;
    let of_yes = call.onnx("Mul", [yes, below])?;
    let of_no = call.onnx("Mul", [no, above])?;
    let loss = call.onnx("Add", [of_yes, of_no])?;
    weighted(call, loss)
}

/// `t (log t − x)`, of targets `t`, or of their logarithms.
fn divergence(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, target] = both(call)?;
    let (target, log) = if call.is_set("log_target")? {
        (call.onnx("Exp", [target.clone()])?, target)
    } else {
        // Where a target is zero nothing is lost, whatever its logarithm.
        let least = call.known_float(f64::from(f32::MIN_POSITIVE));
        let positive = call.onnx("Max", [target.clone(), least])?;
        (target, call.onnx("Log", [positive])?)
    };
    let left = call.onnx("Sub", [log, x])?;
    Ok(one(call.onnx("Mul", [target, left])?))
}

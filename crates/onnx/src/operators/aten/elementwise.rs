//! Functions of single numbers, and of pairs of them.

use influence_core::FieldKind::{Bool, Float, Int};

use super::{
    Run,
    arguments::{number, wrong},
};
use crate::{
    Result,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    if unary(name).is_some() {
        return Some(function);
    }
    Some(match name {
        "add" | "sub" | "mul" | "multiply" | "subtract" => arithmetic,
        "rsub" => reversed,
        "div" | "true_divide" | "divide" => divided,
        "floor_divide" => floor_divided,
        "remainder" => remainder,
        "fmod" => |call| pair(call, "other", "Mod"),
        "pow" => power,
        "maximum" | "fmax" => |call| pair(call, "other", "Max"),
        "minimum" | "fmin" => |call| pair(call, "other", "Min"),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "greater" | "less" => comparison,
        "logical_and" | "logical_or" | "logical_xor" | "bitwise_and" | "bitwise_or"
        | "bitwise_xor" | "and" | "or" | "xor" => logical,
        "logical_not" | "bitwise_not" => negated,
        "rsqrt" => rsqrt,
        "square" => square,
        "log1p" => log1p,
        "expm1" => expm1,
        "log2" => |call| scaled_log(call, std::f64::consts::LOG2_E),
        "log10" => |call| scaled_log(call, std::f64::consts::LOG10_E),
        "exp2" => exp2,
        "clamp" | "clamp_min" | "clamp_max" | "clip" => clamp,
        "addcmul" => |call| add_of_pair(call, "Mul"),
        "addcdiv" => |call| add_of_pair(call, "Div"),
        "lerp" => lerp,
        _ => return None,
    })
}

/// The operator of ONNX that is the same function of one number.
fn unary(name: &str) -> Option<&'static str> {
    Some(match name {
        "abs" => "Abs",
        "acos" => "Acos",
        "acosh" => "Acosh",
        "asin" => "Asin",
        "asinh" => "Asinh",
        "atan" => "Atan",
        "atanh" => "Atanh",
        "ceil" => "Ceil",
        "cos" => "Cos",
        "cosh" => "Cosh",
        "erf" | "special_erf" => "Erf",
        "exp" => "Exp",
        "floor" => "Floor",
        "isinf" => "IsInf",
        "isnan" => "IsNaN",
        "log" => "Log",
        "neg" | "negative" => "Neg",
        "reciprocal" => "Reciprocal",
        "round" => "Round",
        "sign" | "sgn" => "Sign",
        "sin" => "Sin",
        "sinh" => "Sinh",
        "sqrt" => "Sqrt",
        "tan" => "Tan",
        "tanh" => "Tanh",
        "sigmoid" => "Sigmoid",
        "relu" => "Relu",
        _ => return None,
    })
}

fn function(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.tensor("self")?;
    let kind = call.kind()?;
    // Of integers some functions are floats.
    let value = if kind == Float {
        value.cast(Float, call.devices)
    } else {
        value
    };
    let operator = unary(call.base()).ok_or_else(|| wrong("the function is not known"))?;
    Ok(one(call.onnx(operator, [value])?))
}

/// A function of two numbers, in the kind of its result.
fn pair(call: &mut Call<'_>, other: &str, operator: &str) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (left, right) = (call.operand("self", kind)?, call.operand(other, kind)?);
    if operator == "Mod" {
        let rounded = vec![("fmod", crate::graph::Attribute::Int(1))];
        return Ok(one(call.onnx_with(
            "Mod",
            [Some(left), Some(right)],
            rounded,
        )?));
    }
    Ok(one(call.onnx(operator, [left, right])?))
}

/// A sum, a difference, or a product; the second summand may have a factor.
fn arithmetic(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    if kind == Bool {
        return logical(call);
    }
    let operator = match call.base() {
        "add" => "Add",
        "sub" | "subtract" => "Sub",
        _ => "Mul",
    };
    let (left, right) = (call.operand("self", kind)?, call.operand("other", kind)?);
    let right = times_alpha(call, right)?;
    Ok(one(call.onnx(operator, [left, right])?))
}

fn times_alpha(call: &mut Call<'_>, value: Value) -> Result<Value> {
    match call.number_of("alpha")? {
        Some(alpha) if alpha - 1.0 != 0.0 => {
            let alpha = number(alpha, value.kind, call.devices);
            call.onnx("Mul", [value, alpha])
        }
        _ => Ok(value),
    }
}

fn reversed(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (left, right) = (call.operand("self", kind)?, call.operand("other", kind)?);
    let left = times_alpha(call, left)?;
    Ok(one(call.onnx("Sub", [right, left])?))
}

fn divided(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    match call.node.attributes.text("rounding_mode")? {
        None => pair(call, "other", "Div"),
        Some("floor") => floor_divided(call),
        Some("trunc") if call.kind()? == Int => pair(call, "other", "Div"),
        Some(mode) => Err(wrong(format_args!(
            "division of floats rounded by `{mode}`"
        ))),
    }
}

/// The quotient, rounded down.
fn floor_divided(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (left, right) = (call.operand("self", kind)?, call.operand("other", kind)?);
    if kind == Float {
        let quotient = call.onnx("Div", [left, right])?;
        return Ok(one(call.onnx("Floor", [quotient])?));
    }
    // ONNX rounds quotients of integers towards zero, but remainders have the sign of the divisor.
    let rest = call.onnx("Mod", [left.clone(), right.clone()])?;
    let whole = call.onnx("Sub", [left, rest])?;
    Ok(one(call.onnx("Div", [whole, right])?))
}

/// What is left by a division that is rounded down.
fn remainder(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (left, right) = (call.operand("self", kind)?, call.operand("other", kind)?);
    if kind == Int {
        return Ok(one(call.onnx("Mod", [left, right])?));
    }
    let quotient = call.onnx("Div", [left.clone(), right.clone()])?;
    let whole = call.onnx("Floor", [quotient])?;
    let product = call.onnx("Mul", [whole, right])?;
    Ok(one(call.onnx("Sub", [left, product])?))
}

fn power(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    pair(call, "exponent", "Pow")
}

fn comparison(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (operator, not) = match call.base() {
        "eq" => ("Equal", false),
        "ne" => ("Equal", true),
        "lt" | "less" => ("Less", false),
        "le" => ("LessOrEqual", false),
        "gt" | "greater" => ("Greater", false),
        _ => ("GreaterOrEqual", false),
    };
    let (left, right) = common(call)?;
    let result = call.onnx(operator, [left, right])?;
    Ok(one(if not {
        call.onnx("Not", [result])?
    } else {
        result
    }))
}

/// The two operands in the kind in which both can be told apart.
fn common(call: &mut Call<'_>) -> Result<(Value, Value)> {
    let left = call.tensor("self")?;
    let right = match call.node.attributes.0.get("other") {
        Some(crate::graph::Attribute::Float(given)) => number(*given, Float, call.devices),
        Some(crate::graph::Attribute::Int(given)) => number(*given as f64, Int, call.devices),
        _ => call.tensor("other")?,
    };
    let kind = match (left.kind, right.kind) {
        (Float, _) | (_, Float) => Float,
        // Booleans are equal or not as they are.
        (Bool, Bool) if matches!(call.base(), "eq" | "ne") => Bool,
        _ => Int,
    };
    Ok((
        left.cast(kind, call.devices),
        right.cast(kind, call.devices),
    ))
}

fn logical(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let base = call.base();
    if call.kind()? != Bool {
        return Err(wrong("the bits of integers are not computed with"));
    }
    let operator = if base.ends_with("xor") {
        "Xor"
    } else if base.ends_with("or") || base == "add" {
        "Or"
    } else {
        "And"
    };
    let (left, right) = (call.operand("self", Bool)?, call.operand("other", Bool)?);
    Ok(one(call.onnx(operator, [left, right])?))
}

fn negated(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.kind()? != Bool {
        return Err(wrong("the bits of integers are not computed with"));
    }
    let value = call.operand("self", Bool)?;
    Ok(one(call.onnx("Not", [value])?))
}

fn rsqrt(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let root = call.onnx("Sqrt", [value])?;
    Ok(one(call.onnx("Reciprocal", [root])?))
}

fn square(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let value = call.operand("self", kind)?;
    Ok(one(call.onnx("Mul", [value.clone(), value])?))
}

fn log1p(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let sum = call.onnx("Add", [value, call.known_float(1.0)])?;
    Ok(one(call.onnx("Log", [sum])?))
}

fn expm1(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let power = call.onnx("Exp", [value])?;
    Ok(one(call.onnx("Sub", [power, call.known_float(1.0)])?))
}

fn scaled_log(call: &mut Call<'_>, scale: f64) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let log = call.onnx("Log", [value])?;
    Ok(one(call.onnx("Mul", [log, call.known_float(scale)])?))
}

fn exp2(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.operand("self", Float)?;
    let scaled = call.onnx("Mul", [value, call.known_float(std::f64::consts::LN_2)])?;
    Ok(one(call.onnx("Exp", [scaled])?))
}

/// Numbers held between two, each of which may be left out.
fn clamp(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let mut value = call.operand("self", kind)?;
    if call.has("min") {
        let min = call.operand("min", kind)?;
        value = call.onnx("Max", [value, min])?;
    }
    if call.has("max") {
        let max = call.operand("max", kind)?;
        value = call.onnx("Min", [value, max])?;
    }
    Ok(one(value))
}

/// `self + value · f(tensor1, tensor2)`.
fn add_of_pair(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let kind = call.kind()?;
    let (one_of, other) = (
        call.operand("tensor1", kind)?,
        call.operand("tensor2", kind)?,
    );
    let mut result = call.onnx(operator, [one_of, other])?;
    if let Some(factor) = call
        .number_of("value")?
        .filter(|factor| factor - 1.0 != 0.0)
    {
        result = call.onnx("Mul", [result, number(factor, kind, call.devices)])?;
    }
    let own = call.operand("self", kind)?;
    Ok(one(call.onnx("Add", [own, result])?))
}

/// `self + weight · (end − self)`.
fn lerp(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (from, to) = (call.operand("self", Float)?, call.operand("end", Float)?);
    let weight = call.operand("weight", Float)?;
    let way = call.onnx("Sub", [to, from.clone()])?;
    let part = call.onnx("Mul", [way, weight])?;
    Ok(one(call.onnx("Add", [from, part])?))
}

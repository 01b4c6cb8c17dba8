//! Functions of pairs of numbers.
//!
//! A known number that meets data stays a number: burn then records an operation with a scalar,
//! which needs no tensor and carries 64 bits.

use burn::backend::{
    Dispatch, DispatchTensor,
    ops::{FloatTensorOps, IntTensorOps},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    value::{Devices, Value},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "Add" => |call| pair(call, BinaryOperation::Add),
        "Sub" => |call| pair(call, BinaryOperation::Sub),
        "Mul" => |call| pair(call, BinaryOperation::Mul),
        "Div" => |call| pair(call, BinaryOperation::Div),
        "Pow" => |call| pair(call, BinaryOperation::Pow),
        "Mod" => modulo,
        "Max" => |call| {
            fold(call, |left, right, devices| {
                extreme(left, right, true, devices)
            })
        },
        "Min" => |call| {
            fold(call, |left, right, devices| {
                extreme(left, right, false, devices)
            })
        },
        "Sum" => |call| {
            fold(call, |left, right, devices| {
                BinaryOperation::Add.of(left, right, devices)
            })
        },
        "Mean" => mean,
        _ => return None,
    }))
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOperation {
    Add,
    Sub,
    Mul,
    /// Of integers: rounded towards zero.
    Div,
    Pow,
    /// What is left by a division that is rounded down; it has the sign of the divisor.
    Mod,
    /// What is left by a division that is rounded towards zero; it has the sign of the dividend.
    Remainder,
}

fn pair(call: &mut Call<'_>, function: BinaryOperation) -> Result<Vec<Slot>> {
    let (left, right) = (call.value(0)?, call.value(1)?);
    Ok(one(function.of(left, right, call.devices)?))
}

fn modulo(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.node.attributes.flag("fmod")? {
        pair(call, BinaryOperation::Remainder)
    } else {
        pair(call, BinaryOperation::Mod)
    }
}

impl BinaryOperation {
    /// The function of all entries, broadcast.
    pub(super) fn of(self, left: Value, right: Value, devices: &Devices) -> Result<Value> {
        let right = match (left.kind, right.kind) {
            // Only exponents may be of another kind.
            (FieldKind::Float, FieldKind::Int) if self == Self::Pow => {
                right.cast(FieldKind::Float, devices)
            }
            (FieldKind::Int, FieldKind::Float) if self == Self::Pow => {
                right.cast(FieldKind::Int, devices)
            }
            _ => right.of_kind(left.kind)?,
        };
        let float = left.kind == FieldKind::Float;
        if float
            && !left.known
            && right.rank() <= left.rank()
            && let Some(number) = right.single()
        {
            return Ok(self.with_number(left, number));
        }
        if float
            && !right.known
            && left.rank() <= right.rank()
            && let Some(result) = left
                .single()
                .and_then(|number| self.of_number(number, &right))
        {
            return Ok(result);
        }
        let [left, right] = Value::together([left, right], devices)?;
        match left.kind {
            FieldKind::Float => left.joined(right, |left, right| self.floats(left, right)),
            FieldKind::Int => self.ints(left, right),
            FieldKind::Bool => Err(Error::operator("expected numbers, got booleans")),
        }
    }

    /// The function of floats and one number.
    pub(super) fn with_number(self, left: Value, number: f64) -> Value {
        left.map(|x| match self {
            Self::Add => Dispatch::float_add_scalar(x, number.into()),
            Self::Sub => Dispatch::float_sub_scalar(x, number.into()),
            Self::Mul => Dispatch::float_mul_scalar(x, number.into()),
            Self::Div => Dispatch::float_div_scalar(x, number.into()),
            Self::Pow => power(x, number),
            Self::Mod => Dispatch::float_remainder_scalar(x, number.into()),
            Self::Remainder => {
                let quotient = Dispatch::float_div_scalar(x.clone(), number.into());
                let whole =
                    Dispatch::float_mul_scalar(Dispatch::float_trunc(quotient), number.into());
                Dispatch::float_sub(x, whole)
            }
        })
    }

    /// The function of one number and floats, where that takes no tensor.
    fn of_number(self, number: f64, right: &Value) -> Option<Value> {
        let right = right.clone();
        Some(match self {
            Self::Add | Self::Mul => self.with_number(right, number),
            Self::Sub => right.map(Dispatch::float_neg).shifted(number),
            Self::Div => right.map(Dispatch::float_recip).scaled(number),
            Self::Pow | Self::Mod | Self::Remainder => return None,
        })
    }

    fn floats(self, left: DispatchTensor, right: DispatchTensor) -> DispatchTensor {
        match self {
            Self::Add => Dispatch::float_add(left, right),
            Self::Sub => Dispatch::float_sub(left, right),
            Self::Mul => Dispatch::float_mul(left, right),
            Self::Div => Dispatch::float_div(left, right),
            Self::Pow => Dispatch::float_powf(left, right),
            Self::Mod => Dispatch::float_remainder(left, right),
            Self::Remainder => {
                let quotient = Dispatch::float_div(left.clone(), right.clone());
                let whole = Dispatch::float_mul(Dispatch::float_trunc(quotient), right);
                Dispatch::float_sub(left, whole)
            }
        }
    }

    fn ints(self, left: Value, right: Value) -> Result<Value> {
        let divides = matches!(self, Self::Div | Self::Mod | Self::Remainder);
        if divides && right.known && right.ints()?.contains(&0) {
            return Err(Error::operator("an integer is divided by 0"));
        }
        left.joined(right, |left, right| match self {
            Self::Add => Dispatch::int_add(left, right),
            Self::Sub => Dispatch::int_sub(left, right),
            Self::Mul => Dispatch::int_mul(left, right),
            Self::Div => Dispatch::int_div(left, right),
            Self::Pow => Dispatch::int_powi(left, right),
            Self::Mod => Dispatch::int_remainder(left, right),
            Self::Remainder => {
                let quotient = Dispatch::int_div(left.clone(), right.clone());
                Dispatch::int_sub(left, Dispatch::int_mul(quotient, right))
            }
        })
    }
}

/// Floats to a power. Small whole powers are products, which have derivatives at 0 too.
#[expect(clippy::float_cmp, reason = "the very numbers that a file holds")]
pub(super) fn power(x: DispatchTensor, exponent: f64) -> DispatchTensor {
    if exponent == 1.0 {
        x
    } else if exponent == 2.0 {
        Dispatch::float_mul(x.clone(), x)
    } else if exponent == 3.0 {
        Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x)
    } else if exponent == 0.5 {
        Dispatch::float_sqrt(x)
    } else if exponent == -0.5 {
        Dispatch::float_recip(Dispatch::float_sqrt(x))
    } else if exponent == -1.0 {
        Dispatch::float_recip(x)
    } else if exponent.abs() < 1e9 {
        Dispatch::float_powf_scalar(x, exponent.into())
    } else {
        // burn would read it as an integer that does not hold it.
        Dispatch::float_exp(Dispatch::float_mul_scalar(
            Dispatch::float_log(x),
            exponent.into(),
        ))
    }
}

/// The larger, or the smaller, of two numbers.
pub(super) fn extreme(left: Value, right: Value, larger: bool, devices: &Devices) -> Result<Value> {
    let float = left.kind == FieldKind::Float && right.kind == FieldKind::Float;
    if float
        && !left.known
        && right.rank() <= left.rank()
        && let Some(number) = right.single()
    {
        return Ok(left.map(|x| {
            if larger {
                Dispatch::float_clamp_min(x, number.into())
            } else {
                Dispatch::float_clamp_max(x, number.into())
            }
        }));
    }
    if float && !right.known && left.single().is_some() && left.rank() <= right.rank() {
        return extreme(right, left, larger, devices);
    }
    let [left, right] = Value::together([left, right], devices)?;
    let bools = left.bools(devices);
    let above = left.clone().computed(
        right.clone(),
        |left, right| Dispatch::float_greater_equal(left, right, bools),
        |left, right| Dispatch::int_greater_equal(left, right, bools),
    )?;
    let above = above.map_to(FieldKind::Bool, |mask| mask);
    if larger {
        Value::choose(above, left, right)
    } else {
        Value::choose(above, right, left)
    }
}

/// A function of two values.
type Pair = fn(Value, Value, &Devices) -> Result<Value>;

/// A function of two values, of all arguments one after the other.
fn fold(call: &mut Call<'_>, function: Pair) -> Result<Vec<Slot>> {
    let mut values = call.all()?.into_iter();
    let first = values
        .next()
        .ok_or_else(|| Error::operator("there is no argument"))?;
    let folded = values.try_fold(first, |left, right| function(left, right, call.devices));
    Ok(one(folded?))
}

fn mean(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let count = call.arguments.len() as f64;
    let values = call.all()?;
    let mut values = values.into_iter();
    let first = values
        .next()
        .ok_or_else(|| Error::operator("there is no argument"))?
        .float()?;
    let sum = values.try_fold(first, |left, right| {
        BinaryOperation::Add.of(left, right, call.devices)
    });
    Ok(one(sum?.scaled(count.recip())))
}

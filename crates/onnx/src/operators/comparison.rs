//! Comparisons, tests and logic.

use burn::{
    backend::{
        Dispatch, DispatchTensor,
        ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
    },
    tensor::BoolDType,
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    value::{Devices, Value, broadcast},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::flat(match name {
        "Equal" => |call| compare(call, Relation::Equal),
        "Greater" => |call| compare(call, Relation::Greater),
        "GreaterOrEqual" => |call| compare(call, Relation::GreaterOrEqual),
        "Less" => |call| compare(call, Relation::Less),
        "LessOrEqual" => |call| compare(call, Relation::LessOrEqual),
        "And" => |call| logic(call, Dispatch::bool_and),
        "Or" => |call| logic(call, Dispatch::bool_or),
        "Xor" => |call| logic(call, Dispatch::bool_xor),
        "Not" => not,
        "IsNaN" => |call| test(call, Dispatch::float_is_nan),
        "IsInf" => infinite,
        "Where" => return Some(Operator::through(choose, &[1, 2])),
        _ => return None,
    }))
}

/// A question about two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

fn compare(call: &mut Call<'_>, comparison: Relation) -> Result<Vec<Slot>> {
    let (left, right) = (call.value(0)?, call.value(1)?);
    Ok(one(comparison.of(left, right, call.devices)?))
}

impl Relation {
    /// The answer for all entries, broadcast.
    pub(super) fn of(self, left: Value, right: Value, devices: &Devices) -> Result<Value> {
        let right = right.of_kind(left.kind)?;
        let scalar = !left.known && right.rank() <= left.rank() && left.kind == FieldKind::Float;
        if let Some(number) = right.single().filter(|_| scalar) {
            return Ok(self.with_number(left, number, devices));
        }
        let [left, right] = Value::together([left, right], devices)?;
        let bools = left.bools(devices);
        let dims = broadcast(&left.dims(), &right.dims())?;
        let full = if dims.is_empty() {
            vec![1]
        } else {
            dims.clone()
        };
        let (left, right) = (left.expand(&full)?, right.expand(&full)?.tensor);
        let kind = left.kind;
        if kind == FieldKind::Bool && self != Self::Equal {
            return Err(Error::operator("expected numbers, got booleans"));
        }
        let answer = left.map_to(FieldKind::Bool, |left| match kind {
            FieldKind::Float => self.floats(left, right, bools),
            FieldKind::Int => self.ints(left, right, bools),
            FieldKind::Bool => Dispatch::bool_equal(left, right),
        });
        Ok(Value {
            scalar: dims.is_empty(),
            ..answer
        })
    }

    /// The answer for floats and one number.
    pub(super) fn with_number(self, left: Value, number: f64, devices: &Devices) -> Value {
        let bools = left.bools(devices);
        let number = number.into();
        left.map_to(FieldKind::Bool, |left| match self {
            Self::Equal => Dispatch::float_equal_elem(left, number, bools),
            Self::Greater => Dispatch::float_greater_elem(left, number, bools),
            Self::GreaterOrEqual => Dispatch::float_greater_equal_elem(left, number, bools),
            Self::Less => Dispatch::float_lower_elem(left, number, bools),
            Self::LessOrEqual => Dispatch::float_lower_equal_elem(left, number, bools),
        })
    }

    fn floats(
        self,
        left: DispatchTensor,
        right: DispatchTensor,
        bools: BoolDType,
    ) -> DispatchTensor {
        match self {
            Self::Equal => Dispatch::float_equal(left, right, bools),
            Self::Greater => Dispatch::float_greater(left, right, bools),
            Self::GreaterOrEqual => Dispatch::float_greater_equal(left, right, bools),
            Self::Less => Dispatch::float_lower(left, right, bools),
            Self::LessOrEqual => Dispatch::float_lower_equal(left, right, bools),
        }
    }

    fn ints(self, left: DispatchTensor, right: DispatchTensor, bools: BoolDType) -> DispatchTensor {
        match self {
            Self::Equal => Dispatch::int_equal(left, right, bools),
            Self::Greater => Dispatch::int_greater(left, right, bools),
            Self::GreaterOrEqual => Dispatch::int_greater_equal(left, right, bools),
            Self::Less => Dispatch::int_lower(left, right, bools),
            Self::LessOrEqual => Dispatch::int_lower_equal(left, right, bools),
        }
    }
}

fn logic(
    call: &mut Call<'_>,
    operation: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    let [left, right] = call.together([0, 1])?;
    let dims = broadcast(&left.dims(), &right.dims())?;
    let full = if dims.is_empty() {
        vec![1]
    } else {
        dims.clone()
    };
    let left = left.of_kind(FieldKind::Bool)?.expand(&full)?;
    let right = right.of_kind(FieldKind::Bool)?.expand(&full)?;
    let answer = left.map(|left| operation(left, right.tensor));
    Ok(one(Value {
        scalar: dims.is_empty(),
        ..answer
    }))
}

fn not(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.value(0)?.of_kind(FieldKind::Bool)?;
    Ok(one(value.map(Dispatch::bool_not)))
}

fn test(
    call: &mut Call<'_>,
    operation: fn(DispatchTensor, BoolDType) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    let bools = value.bools(call.devices);
    Ok(one(value.map_to(FieldKind::Bool, |tensor| {
        operation(tensor, bools)
    })))
}

fn infinite(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let negative = call.int("detect_negative", 1)? != 0;
    let positive = call.int("detect_positive", 1)? != 0;
    let value = call.float(0)?;
    let is = |number: f64| Relation::Equal.with_number(value.clone(), number, call.devices);
    let (above, below) = (is(f64::INFINITY), is(f64::NEG_INFINITY));
    Ok(one(match (negative, positive) {
        (true, true) => above.map(|above| Dispatch::bool_or(above, below.tensor)),
        (false, true) => above,
        (true, false) => below,
        (false, false) => above.map(|above| Dispatch::bool_and(above, below.tensor)),
    }))
}

fn choose(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (mask, yes, no) = (call.value(0)?, call.value(1)?, call.value(2)?);
    Ok(one(chosen(mask, yes, no, call.devices)?))
}

/// Where a mask is true the entry of one value, elsewhere that of another, broadcast; one known
/// number needs no tensor.
pub(super) fn chosen(mask: Value, yes: Value, no: Value, devices: &Devices) -> Result<Value> {
    let mask = mask.of_kind(FieldKind::Bool)?;
    let number = |constant: &Value, other: &Value| {
        let fits = other.kind == FieldKind::Float && constant.rank() <= other.rank();
        constant.single().filter(|_| fits && !other.known)
    };
    if let Some(number) = number(&yes, &no) {
        let [no, mask] = Value::together([no, mask], devices)?;
        return no.fill(mask, number.into());
    }
    if let Some(number) = number(&no, &yes) {
        let [yes, mask] = Value::together([yes, mask], devices)?;
        return yes.fill(mask.map(Dispatch::bool_not), number.into());
    }
    let [mask, yes, no] = Value::together([mask, yes, no], devices)?;
    Value::choose(mask, yes, no)
}

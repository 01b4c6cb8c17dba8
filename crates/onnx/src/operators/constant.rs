//! Constants, sizes and ranges.

use burn::tensor::TensorData;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    graph::Attribute,
    value::{Value, check_count, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::flat(match name {
        "Constant" => constant,
        "ConstantOfShape" => constant_of_shape,
        "Range" => range,
        "Shape" => shape,
        "Size" => size,
        "EyeLike" => eye_like,
        _ => return None,
    }))
}

fn constant(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let scalar = Vec::<usize>::new;
    let mut data = call
        .node
        .attributes
        .0
        .iter()
        .map(|(name, value)| match value {
            Attribute::Tensor(tensor) => Ok(tensor.clone()),
            Attribute::Int(int) => Ok(TensorData::new(vec![*int], scalar())),
            Attribute::Float(float) => Ok(TensorData::new(vec![*float], scalar())),
            Attribute::Ints(ints) => Ok(TensorData::new(ints.clone(), [ints.len()])),
            Attribute::Floats(floats) => Ok(TensorData::new(floats.clone(), [floats.len()])),
            _ => Err(Error::Operator(format!(
                "the constant `{name}` is no tensor of numbers"
            ))),
        });
    let data = data
        .next()
        .ok_or_else(|| Error::operator("the constant has no value"))?;
    Ok(one(Value::known(data?, call.devices)))
}

fn constant_of_shape(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let dims = lengths(&call.value(0)?.ints()?)?;
    let number = match call.node.attributes.tensor("value")? {
        None => TensorData::new(vec![0.0_f32], [1]),
        Some(number) if number.num_elements() == 1 => {
            TensorData::from_bytes_vec(number.as_bytes().to_vec(), [1], number.dtype())
        }
        Some(number) => {
            return Err(Error::Operator(format!(
                "the value has {} numbers, expected one",
                number.num_elements()
            )));
        }
    };
    let one_of_it = Value::known(number, call.devices);
    Ok(one(if dims.is_empty() {
        one_of_it.reshape(&dims)?
    } else {
        one_of_it.expand(&dims)?
    }))
}

fn range(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let from = call.value(0)?;
    let whole = from.kind == influence_core::FieldKind::Int;
    let rounded = |value: Value| value.rounded().floats();
    let [from, to, step] = [from, call.value(1)?, call.value(2)?].map(rounded);
    let ([from], [to], [step]) = (&from?[..], &to?[..], &step?[..]) else {
        return Err(Error::operator(
            "the bounds and the step are not single numbers",
        ));
    };
    let (from, to, step) = (*from, *to, *step);
    let count = ((to - from) / step).ceil().max(0.0);
    if !count.is_finite() {
        return Err(Error::Operator(format!(
            "a range from {from} to {to} in steps of {step}"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the size is checked"
    )]
    let count = count as usize;
    check_count(&[count], true)?;
    let numbers: Vec<f64> = (0..count).map(|index| from + step * index as f64).collect();
    let numbers = Value::known(TensorData::new(numbers, [count]), call.devices);
    Ok(one(if whole {
        numbers.cast(influence_core::FieldKind::Int, call.devices)
    } else {
        numbers
    }))
}

/// The lengths of the axes of a tensor, which are known while a network is recorded.
fn shape(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let dims = call.value(0)?.dims();
    let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
    let place = |axis: i64| {
        let from_first = if axis < 0 {
            axis.saturating_add(rank)
        } else {
            axis
        };
        usize::try_from(from_first.clamp(0, rank)).unwrap_or(0)
    };
    let (start, end) = (place(call.int("start", 0)?), place(call.int("end", rank)?));
    let sides = dims.get(start..end).unwrap_or_default();
    let sides = sides
        .iter()
        .map(|&side| i64::try_from(side).unwrap_or(i64::MAX));
    let sides: Vec<i64> = sides.collect();
    let count = sides.len();
    Ok(one(Value::known_ints(sides, &[count], call.devices)))
}

fn size(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let count = call.value(0)?.dims().iter().product::<usize>();
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok(one(Value::known_ints(vec![count], &[], call.devices)))
}

/// Ones on a diagonal, in the shape of a matrix.
fn eye_like(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let like = call.value(0)?;
    let kind = match call.node.attributes.int("dtype")? {
        Some(number) => super::shape::kind_of(number)?,
        None => like.kind,
    };
    let &[rows, columns] = &like.dims()[..] else {
        return Err(Error::Operator(format!(
            "expected a matrix, got shape {:?}",
            like.dims()
        )));
    };
    check_count(&[rows, columns], true)?;
    let offset = call.int("k", 0)?;
    let on_diagonal = |row: usize, column: usize| {
        let [row, column] = [row, column].map(|place| i64::try_from(place).unwrap_or(i64::MAX));
        i64::from(column.checked_sub(row) == Some(offset))
    };
    let ones = (0..rows).flat_map(|row| (0..columns).map(move |column| on_diagonal(row, column)));
    let ones = Value::known_ints(ones.collect(), &[rows, columns], call.devices);
    Ok(one(ones.cast(kind, call.devices)))
}

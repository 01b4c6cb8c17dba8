//! A node on its way: what operators ask of it.

use burn::backend::DispatchTensor;

use super::{Call, Differentiable, Operator, Run, Slot};
use crate::{
    Error, Result,
    value::{Value, axis_of},
};

impl From<Value> for Slot {
    fn from(value: Value) -> Self {
        Self::One(value)
    }
}

impl Operator {
    /// One that is differentiable in all arguments.
    pub(crate) const fn smooth(run: Run) -> Self {
        Self {
            run,
            differentiable: Differentiable::All,
        }
    }

    /// One that is differentiable in the arguments at these places.
    pub(crate) const fn through(run: Run, places: &'static [usize]) -> Self {
        Self {
            run,
            differentiable: Differentiable::Only(places),
        }
    }

    /// One whose results have no derivative.
    pub(crate) const fn flat(run: Run) -> Self {
        Self::through(run, &[])
    }
}

impl Differentiable {
    /// Whether one flows through an argument.
    pub(crate) fn is_through(self, argument: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(places) => places.contains(&argument),
        }
    }
}

impl Call<'_> {
    /// Takes an argument; each can be taken once.
    ///
    /// # Errors
    /// When it is left out, or is a sequence.
    pub(crate) fn value(&mut self, place: usize) -> Result<Value> {
        self.optional(place)?.ok_or_else(|| missing(place))
    }

    /// Takes an argument that may be left out.
    ///
    /// # Errors
    /// When it is a sequence.
    pub(crate) fn optional(&mut self, place: usize) -> Result<Option<Value>> {
        match self.arguments.get_mut(place).and_then(Option::take) {
            None => Ok(None),
            Some(Slot::One(value)) => Ok(Some(value)),
            Some(Slot::Many(_)) => Err(Error::Operator(format!(
                "argument {place} (counted from 0) is a sequence, expected a tensor"
            ))),
        }
    }

    /// Takes an argument, a tensor or a sequence of them.
    ///
    /// # Errors
    /// When it is left out.
    pub(crate) fn slot(&mut self, place: usize) -> Result<Slot> {
        let slot = self.arguments.get_mut(place).and_then(Option::take);
        slot.ok_or_else(|| missing(place))
    }

    /// Takes an argument that is a sequence.
    ///
    /// # Errors
    /// When it is left out, or is a tensor.
    pub(crate) fn sequence(&mut self, place: usize) -> Result<Vec<Value>> {
        match self.slot(place)? {
            Slot::Many(values) => Ok(values),
            Slot::One(_) => Err(Error::Operator(format!(
                "argument {place} (counted from 0) is a tensor, expected a sequence"
            ))),
        }
    }

    /// Takes the arguments at these places, on one device.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub(crate) fn together<const N: usize>(&mut self, places: [usize; N]) -> Result<[Value; N]> {
        let values = places.map(|place| self.value(place));
        let values: Vec<Value> = values.into_iter().collect::<Result<_>>()?;
        let values: [Value; N] = values
            .try_into()
            .map_err(|_| Error::Operator("arguments were lost".into()))?;
        Value::together(values, self.devices)
    }

    /// Takes all arguments, which are tensors.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub(crate) fn all(&mut self) -> Result<Vec<Value>> {
        (0..self.arguments.len())
            .map(|place| self.value(place))
            .collect()
    }

    /// Takes an argument that holds floats.
    ///
    /// # Errors
    /// As [`value`](Self::value), and when it holds anything else.
    pub(crate) fn float(&mut self, place: usize) -> Result<Value> {
        self.value(place)?.float()
    }

    /// Takes the arguments at these places if they are there, on one device.
    ///
    /// # Errors
    /// As [`optional`](Self::optional).
    pub(crate) fn gathered<const N: usize>(
        &mut self,
        places: [usize; N],
    ) -> Result<[Option<Value>; N]> {
        let mut values = Vec::with_capacity(N);
        for place in places {
            values.push(self.optional(place)?);
        }
        let known = values.iter().flatten().all(|value| value.known);
        let mut gathered = [const { None }; N];
        for (slot, value) in gathered.iter_mut().zip(values) {
            *slot = match value {
                Some(value) if !known => Some(value.away(self.devices)?),
                value => value,
            };
        }
        Ok(gathered)
    }

    /// Integers that are an attribute in old versions of the operator, and a known argument in new
    /// ones.
    ///
    /// # Errors
    /// When the argument depends on data.
    pub(crate) fn ints(&mut self, attribute: &str, place: usize) -> Result<Option<Vec<i64>>> {
        if let Some(ints) = self.node.attributes.ints(attribute)? {
            return Ok(Some(ints.to_vec()));
        }
        self.optional(place)?.map(|value| value.ints()).transpose()
    }

    /// An integer attribute, or what it is when it is left out.
    ///
    /// # Errors
    /// When it is no integer.
    pub(crate) fn int(&self, attribute: &str, default: i64) -> Result<i64> {
        Ok(self.node.attributes.int(attribute)?.unwrap_or(default))
    }

    /// An attribute that is a number, or what it is when it is left out.
    ///
    /// # Errors
    /// When it is no number.
    pub(crate) fn real(&self, attribute: &str, default: f64) -> Result<f64> {
        Ok(self.node.attributes.float(attribute)?.unwrap_or(default))
    }

    /// The attribute `axis` as an axis of a value.
    ///
    /// # Errors
    /// When it is no axis of it.
    pub(crate) fn axis(&self, value: &Value, default: i64) -> Result<usize> {
        axis_of(self.int("axis", default)?, value.rank())
    }

    /// An attribute that is text, or what it is when it is left out.
    ///
    /// # Errors
    /// When it is no text.
    pub(crate) fn text(&self, attribute: &str, default: &'static str) -> Result<&str> {
        Ok(self.node.attributes.text(attribute)?.unwrap_or(default))
    }

    /// Whether somebody reads a result.
    pub(crate) fn wants(&self, result: usize) -> bool {
        let name = self.node.outputs.get(result);
        name.is_some_and(|name| !name.is_empty())
    }
}

fn missing(place: usize) -> Error {
    Error::Operator(format!("argument {place} (counted from 0) is missing"))
}

/// One result.
pub(crate) fn one(value: Value) -> Vec<Slot> {
    vec![value.into()]
}

/// An operator on one tensor of floats, number by number.
pub(crate) fn each(
    call: &mut Call<'_>,
    operation: impl FnOnce(DispatchTensor) -> DispatchTensor,
) -> Result<Vec<Slot>> {
    Ok(one(call.float(0)?.map(operation)))
}

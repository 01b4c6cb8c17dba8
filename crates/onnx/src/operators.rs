//! The operators of ONNX in terms of burn's.
//!
//! Each family has a file, and a function there that gives the operator of a name. An operator is a
//! function from the arguments of a [`Call`] to its results. Versions of the standard set differ in
//! whether axes and sizes are attributes or arguments; a call reads both.

mod elementwise;
mod linear;

use crate::{
    Error, Result,
    graph::Node,
    network::Environment,
    value::{Devices, Value},
};

/// What a name in the environment stands for.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// A tensor.
    One(Value),
    /// A sequence of tensors.
    Many(Vec<Value>),
}

impl From<Value> for Slot {
    fn from(value: Value) -> Self {
        Self::One(value)
    }
}

/// An operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    /// Computes the results.
    pub(crate) run: fn(&mut Call<'_>) -> Result<Vec<Slot>>,
    /// The arguments through which a derivative flows.
    pub(crate) differentiable: Differentiable,
}

/// The arguments of an operator through which a derivative flows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Differentiable {
    All,
    /// Those at these places.
    Only(&'static [usize]),
}

impl Differentiable {
    pub(crate) const NONE: Self = Self::Only(&[]);

    /// Whether one flows through an argument.
    pub(crate) fn is_through(self, argument: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(places) => places.contains(&argument),
        }
    }
}

/// The operator of a name in a set of operators, if it is known.
pub(crate) fn find(domain: &str, name: &str) -> Option<Operator> {
    match domain {
        "" | "ai.onnx" => elementwise::find(name).or_else(|| linear::find(name)),
        _ => None,
    }
}

/// An operator on its way: a node with the values of its arguments.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    pub(crate) arguments: Vec<Option<Slot>>,
    pub(crate) devices: &'a Devices,
    /// The values that graphs among the attributes may read.
    pub(crate) environment: &'a Environment,
}

impl Call<'_> {
    /// Takes an argument; each can be taken once.
    ///
    /// # Errors
    /// When it is left out, or is a sequence.
    pub(crate) fn value(&mut self, place: usize) -> Result<Value> {
        self.optional(place)?
            .ok_or_else(|| Error::Operator(format!("argument {place} (counted from 0) is missing")))
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
}

/// One result.
pub(crate) fn one(value: Value) -> Vec<Slot> {
    vec![value.into()]
}

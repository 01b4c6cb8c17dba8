//! The arguments of a node by the names of PyTorch's schema, and operators of ONNX within it.

use burn::tensor::TensorData;
use influence_core::FieldKind;

use crate::{
    Error, Result,
    graph::{Argument, Attribute},
    operators::{Call, Slot, standard},
    value::{Devices, Value},
};

/// The version of ONNX's operators that are used here.
const VERSION: i64 = 23;

/// The name of an operator without its overload, and without the mark of those that overwrite.
pub(super) fn base(name: &str) -> &str {
    let base = name.split('.').next().unwrap_or(name);
    if base.starts_with("__") {
        base.trim_matches('_')
    } else {
        base.strip_suffix('_').unwrap_or(base)
    }
}

/// An error about an operator.
pub(super) fn wrong(message: impl std::fmt::Display) -> Error {
    Error::Operator(message.to_string())
}

/// A number without what is behind its point.
#[expect(clippy::cast_possible_truncation, reason = "saturates at the ends")]
pub(super) fn truncated(number: f64) -> i64 {
    number as i64
}

/// A known number.
pub(super) fn number(number: f64, kind: FieldKind, devices: &Devices) -> Value {
    let none: [usize; 0] = [];
    let data = match kind {
        FieldKind::Float => TensorData::new(vec![number], none),
        FieldKind::Int => TensorData::new(vec![truncated(number)], none),
        FieldKind::Bool => TensorData::new(vec![number != 0.0], none),
    };
    Value::known(data, devices)
}

/// Known integers in a vector.
pub(super) fn vector(ints: &[i64], devices: &Devices) -> Value {
    Value::known(TensorData::new(ints.to_vec(), [ints.len()]), devices)
}

/// A length as an index.
pub(super) fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl Call<'_> {
    /// The name of the operator without its set and overload.
    pub(super) fn base(&self) -> &str {
        let kind = &self.node.kind;
        base(kind.split_once('.').map_or(kind, |(_, name)| name))
    }

    /// The kind of the first result.
    pub(super) fn kind(&self) -> Result<FieldKind> {
        let kinds = self.node.attributes.kinds(Attribute::RESULTS)?;
        let first = kinds.and_then(|kinds| kinds.first());
        first
            .copied()
            .ok_or_else(|| wrong("the result has no type"))
    }

    /// Whether an argument is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.node.attributes.0.contains_key(name)
    }

    /// Takes a tensor.
    pub(super) fn tensor(&mut self, name: &str) -> Result<Value> {
        let given = self.maybe_tensor(name)?;
        given.ok_or_else(|| wrong(format_args!("argument `{name}` is missing")))
    }

    /// Takes a tensor that may be left out.
    pub(super) fn maybe_tensor(&mut self, name: &str) -> Result<Option<Value>> {
        match self.node.attributes.0.get(name) {
            None => Ok(None),
            Some(Attribute::Arguments(arguments)) => match arguments.as_slice() {
                [Argument::Input(place)] => self.value(*place).map(Some),
                _ => Err(wrong(format_args!(
                    "expected argument `{name}` to be a tensor"
                ))),
            },
            Some(_) => Err(wrong(format_args!(
                "expected argument `{name}` to be a tensor"
            ))),
        }
    }

    /// A tensor, which stays.
    pub(super) fn shown(&self, name: &str) -> Result<Value> {
        let missing = || wrong(format_args!("argument `{name}` is missing"));
        let Some(Attribute::Arguments(arguments)) = self.node.attributes.0.get(name) else {
            return Err(missing());
        };
        let [Argument::Input(place)] = arguments.as_slice() else {
            return Err(missing());
        };
        match self.arguments.get(*place) {
            Some(Some(Slot::One(value))) => Ok(value.clone()),
            _ => Err(missing()),
        }
    }

    /// Takes a list of tensors, of which some may be left out.
    pub(super) fn maybe_tensors(&mut self, name: &str) -> Result<Vec<Option<Value>>> {
        let Some(Attribute::Arguments(arguments)) = self.node.attributes.0.get(name) else {
            return Err(wrong(format_args!(
                "expected argument `{name}` to be a list of tensors"
            )));
        };
        let each = arguments.iter().map(|argument| match argument {
            Argument::Input(place) => self.value(*place).map(Some),
            Argument::None => Ok(None),
            Argument::Number(_) => Err(wrong(format_args!(
                "a number among the tensors of `{name}`"
            ))),
        });
        each.collect()
    }

    /// Takes a list of tensors.
    pub(super) fn tensors(&mut self, name: &str) -> Result<Vec<Value>> {
        let all = self.maybe_tensors(name)?.into_iter();
        let missing = || wrong(format_args!("a tensor of `{name}` is missing"));
        all.map(|value| value.ok_or_else(missing)).collect()
    }

    /// A number that is given, or computed from sizes.
    pub(super) fn number_of(&mut self, name: &str) -> Result<Option<f64>> {
        match self.node.attributes.0.get(name) {
            None => Ok(None),
            Some(Attribute::Int(number)) => Ok(Some(*number as f64)),
            Some(Attribute::Float(number)) => Ok(Some(*number)),
            Some(Attribute::Arguments(arguments)) => match arguments.as_slice() {
                [one] => self.part(*one).map(Some),
                _ => Err(wrong(format_args!(
                    "expected argument `{name}` to be a number"
                ))),
            },
            Some(_) => Err(wrong(format_args!(
                "expected argument `{name}` to be a number"
            ))),
        }
    }

    fn part(&self, argument: Argument) -> Result<f64> {
        match argument {
            Argument::Number(number) => Ok(number),
            Argument::None => Err(wrong("a number is missing")),
            Argument::Input(place) => match self.arguments.get(place) {
                Some(Some(Slot::One(value))) => {
                    let number = value.floats()?.first().copied();
                    number.ok_or_else(|| wrong("expected one number, got none"))
                }
                _ => Err(wrong("a number is missing")),
            },
        }
    }

    /// An integer that is given, or computed from sizes.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<i64>> {
        if let Some(Attribute::Int(whole)) = self.node.attributes.0.get(name) {
            return Ok(Some(*whole));
        }
        Ok(self.number_of(name)?.map(truncated))
    }

    /// Integers that are given, or computed from sizes; one counts as a list.
    pub(super) fn wholes(&mut self, name: &str) -> Result<Option<Vec<i64>>> {
        match self.node.attributes.0.get(name) {
            None => Ok(None),
            Some(Attribute::Int(one)) => Ok(Some(vec![*one])),
            Some(Attribute::Ints(all)) => Ok(Some(all.clone())),
            Some(Attribute::Arguments(parts)) => {
                let each = parts.iter().map(|part| Ok(truncated(self.part(*part)?)));
                each.collect::<Result<_>>().map(Some)
            }
            Some(_) => Err(wrong(format_args!(
                "expected argument `{name}` to be a list of integers"
            ))),
        }
    }

    /// Lengths, one for each of these axes; one length counts for all.
    pub(super) fn lengths(&mut self, name: &str, axes: usize, default: i64) -> Result<Vec<i64>> {
        let given = self.wholes(name)?.filter(|given| !given.is_empty());
        let given = given.unwrap_or_else(|| vec![default]);
        match given.len() {
            1 => Ok(vec![given[0]; axes]),
            count if count == axes => Ok(given),
            count => Err(wrong(format_args!(
                "{count} numbers in `{name}`, expected {axes}"
            ))),
        }
    }

    /// Whether a flag is set.
    pub(super) fn is_set(&self, name: &str) -> Result<bool> {
        self.node.attributes.flag(name)
    }

    /// Takes a tensor, or a number as a known tensor, and makes it of a kind.
    pub(super) fn operand(&mut self, name: &str, kind: FieldKind) -> Result<Value> {
        if let Some(Attribute::Int(_) | Attribute::Float(_)) = self.node.attributes.0.get(name) {
            let given = self.number_of(name)?.unwrap_or_default();
            return Ok(number(given, kind, self.devices));
        }
        Ok(self.tensor(name)?.cast(kind, self.devices))
    }

    /// A known float.
    pub(super) fn known_float(&self, given: f64) -> Value {
        number(given, FieldKind::Float, self.devices)
    }

    /// The results of an operator of ONNX.
    pub(super) fn onnx_all(
        &self,
        operator: &str,
        arguments: Vec<Option<Value>>,
        attributes: Vec<(&str, Attribute)>,
    ) -> Result<Vec<Value>> {
        let given = arguments.iter();
        let inputs = given.map(|argument| argument.is_some().then(String::new));
        let (name, kind) = (&self.node.name, (operator, VERSION));
        let node = standard::node(name, kind, inputs.collect(), "", attributes)?;
        let arguments = arguments
            .into_iter()
            .map(|argument| argument.map(Slot::One));
        let mut call = Call {
            node: &node,
            arguments: arguments.collect(),
            devices: self.devices,
            environment: self.environment,
        };
        let results = (node.operator.run)(&mut call)?;
        let results = results.into_iter().map(|slot| match slot {
            Slot::One(value) => Ok(value),
            Slot::Many(_) => Err(wrong(format_args!("{operator} returned a sequence"))),
        });
        results.collect()
    }

    /// The first result of an operator of ONNX with attributes.
    pub(super) fn onnx_with<const N: usize>(
        &self,
        operator: &str,
        arguments: [Option<Value>; N],
        attributes: Vec<(&str, Attribute)>,
    ) -> Result<Value> {
        let results = self.onnx_all(operator, arguments.into(), attributes)?;
        let first = results.into_iter().next();
        first.ok_or_else(|| wrong(format_args!("{operator} returned nothing")))
    }

    /// The first result of an operator of ONNX.
    pub(super) fn onnx<const N: usize>(
        &self,
        operator: &str,
        arguments: [Value; N],
    ) -> Result<Value> {
        self.onnx_with(operator, arguments.map(Some), Vec::new())
    }
}

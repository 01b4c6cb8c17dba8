//! The arrays of the inputs of a data set: one, or one for each input of a model that reads
//! several.

use std::{
    fmt::{self, Display},
    slice,
};

use serde::{Deserialize, Deserializer, de::Error};
use toml::{Table, Value};

use crate::{
    array_path::{ArrayPath, WRITTEN},
    key::{AtKey, KeyPath},
};

/// The arrays of the inputs, in the order in which they are read.
///
/// In a configuration they are one array, a list of arrays in the order of the model's inputs, or a
/// table of arrays by the names of these: `{ input_ids = "ids.npy", mask = "mask.npy" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFiles(Vec<InputFile>);

/// The array of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Which input it is.
    pub key: InputKey,
    /// Where its numbers are.
    pub array: ArrayPath,
}

/// Which input an array is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKey {
    /// The only one.
    Only,
    /// The one at this place among the inputs of the model, counted from 0.
    Place(usize),
    /// The one of this name.
    Name(String),
}

impl InputKey {
    /// What the field of the input is called.
    pub fn field(&self) -> String {
        match self {
            Self::Only => "inputs".to_owned(),
            Self::Place(place) => format!("inputs[{place}]"),
            Self::Name(name) => name.clone(),
        }
    }
}

/// The key below that of the data set: `inputs`, `inputs[0]` or `inputs.mask`.
impl Display for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("inputs"),
            Self::Place(place) => write!(f, "inputs[{place}]"),
            Self::Name(name) => write!(f, "inputs.{name}"),
        }
    }
}

impl InputFiles {
    /// Arrays in the order of the inputs of a model.
    pub fn listed(arrays: impl IntoIterator<Item = ArrayPath>) -> Self {
        let placed = arrays.into_iter().enumerate().map(|(place, array)| {
            let key = InputKey::Place(place);
            InputFile { key, array }
        });
        Self(placed.collect())
    }

    /// Arrays by the names of the inputs of a model.
    pub fn named(arrays: impl IntoIterator<Item = (String, ArrayPath)>) -> Self {
        let named = arrays.into_iter().map(|(name, array)| {
            let key = InputKey::Name(name);
            InputFile { key, array }
        });
        Self(named.collect())
    }

    /// Each input.
    pub fn iter(&self) -> slice::Iter<'_, InputFile> {
        self.0.iter()
    }

    /// Each input.
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, InputFile> {
        self.0.iter_mut()
    }

    /// The number of inputs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; no configuration can say so.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Some of the inputs, in this order.
    pub(crate) fn select(&self, order: &[usize]) -> Self {
        Self(order.iter().map(|&place| self.0[place].clone()).collect())
    }
}

impl<'a> IntoIterator for &'a InputFiles {
    type Item = &'a InputFile;
    type IntoIter = slice::Iter<'a, InputFile>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut InputFiles {
    type Item = &'a mut InputFile;
    type IntoIter = slice::IterMut<'a, InputFile>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// The arrays, one after the other.
impl Display for InputFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, input) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{}", input.array)?;
        }
        Ok(())
    }
}

impl From<ArrayPath> for InputFiles {
    fn from(array: ArrayPath) -> Self {
        let key = InputKey::Only;
        Self(vec![InputFile { key, array }])
    }
}

impl<'de> Deserialize<'de> for InputFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |key: InputKey, value: Value| {
            let name = key.field();
            let array = ArrayPath::from_value::<D::Error>(value);
            array.map_err(|error| D::Error::custom(format!("{name}: {error}")))
        };
        match Value::deserialize(deserializer)? {
            Value::Array(list) if !list.is_empty() => {
                let each = list.into_iter().enumerate();
                let arrays = each.map(|(place, value)| read(InputKey::Place(place), value));
                Ok(Self::listed(arrays.collect::<Result<Vec<_>, _>>()?))
            }
            Value::Table(table) if is_by_name(&table) => {
                let each = table.into_iter();
                let arrays = each
                    .map(|(name, value)| Ok((name.clone(), read(InputKey::Name(name), value)?)));
                Ok(Self::named(arrays.collect::<Result<Vec<_>, _>>()?))
            }
            one => Ok(ArrayPath::from_value::<D::Error>(one)?.into()),
        }
    }
}

/// The outcome with the key of an input; messages name the key where there may be several inputs.
pub(super) fn of_input<T>(
    key: &InputKey,
    outcome: Result<T, impl Into<anyhow::Error>>,
) -> anyhow::Result<T> {
    let inputs = KeyPath::from("inputs");
    match key {
        InputKey::Only => outcome.at_unsaid_key(inputs),
        InputKey::Place(place) => outcome.at_key(inputs.index(*place)),
        InputKey::Name(name) => outcome.at_key(inputs.key(name)),
    }
}

/// Whether a table has an array for each name, and is not one array with how its file is written.
fn is_by_name(table: &Table) -> bool {
    !table.is_empty() && !table.keys().any(|key| WRITTEN.contains(&key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        #[derive(Deserialize)]
        struct Side {
            inputs: InputFiles,
        }
        let side = toml::from_str::<Side>(&format!("inputs = {text}"));
        let side = side.map_err(|error| error.message().to_owned())?;
        let shown = |input: &InputFile| (input.key.to_string(), input.array.to_string());
        Ok(side.inputs.iter().map(shown).collect())
    }

    #[test]
    fn inputs_are_one_array_a_list_or_a_table_by_name() {
        for (text, expected) in [
            ("\"x.npy\"", &[("inputs", "x.npy")][..]),
            (
                "{ file = \"x.csv#a\", header = false, delimiter = \";\" }",
                &[("inputs", "x.csv#a")],
            ),
            (
                "[\"x.npy\", { file = \"y.csv\" }]",
                &[("inputs[0]", "x.npy"), ("inputs[1]", "y.csv")],
            ),
            (
                "{ mask = { file = \"m.csv\", header = true }, ids = \"i.npy\" }",
                &[("inputs.ids", "i.npy"), ("inputs.mask", "m.csv")],
            ),
        ] {
            let expected = expected
                .iter()
                .map(|(key, array)| (key.to_string(), array.to_string()));
            assert_eq!(read(text), Ok(expected.collect()), "{text}");
        }
    }

    #[test]
    fn a_table_of_one_array_is_no_table_by_name() {
        for (text, expected) in [
            ("3", "expected a path"),
            ("[]", "expected a path"),
            ("{ header = true }", "file"),
            ("{ delimiter = \",\" }", "file"),
            ("{ file = \"x.csv\", heading = true }", "heading"),
            ("{ ids = \"i.npy\", mask = 3 }", "mask: expected a path"),
            ("[\"x.npy\", 3]", "inputs[1]: expected a path"),
            ("{ ids = { files = \"i.npy\" } }", "ids: "),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(expected), "{message}");
        }
    }
}

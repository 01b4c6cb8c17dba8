//! How settings are written in TOML, for configurations of any program.
//!
//! ```toml
//! precision = "f64"                        # Precision
//! damping = 0.1                            # Damping: a number for all blocks,
//! damping = { relative = 0.1 }             # a multiple of the mean eigenvalue of each block,
//! damping = { fc = 0.1, head = { relative = 0.1 } }    # or one of these by block
//! blocks = "layer-wise"                    # BlockStructure: `full`, `layer-wise`,
//! blocks = { head = ["fc.weight"] }        # `parameter-wise`, or lists of parameters by block
//! scale = { subtract = 0.5, divide = 255 } # Scale: each a number, or a list of them
//! ```
//!
//! Any serde format with the same types will do. A value is read as a whole before it is judged, so
//! that a message shows what came in the words of TOML.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use toml::{Table, Value};

use crate::{
    Scale,
    block::{BlockStructure, CustomBlocks, Damping, Strength},
};

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        strength(&value).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a number or {{ relative = 0.1 }}, got {value}"
            ))
        })
    }
}

impl Serialize for Strength {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(value) => value.serialize(serializer),
            Self::Relative(fraction) => {
                BTreeMap::from([("relative", fraction)]).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Damping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(uniform) = strength(&value) {
            return Ok(Self::Uniform(uniform));
        }
        let by_block = value.as_table().and_then(|table| {
            let entries = table.iter();
            entries
                .map(|(block, value)| Some((block.clone(), strength(value)?)))
                .collect::<Option<_>>()
        });
        by_block.map(Self::PerBlock).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a number, {{ relative = 0.1 }}, \"weight-decay\", or a table of numbers \
                 by block such as {{ fc = 0.1 }}, got {value}"
            ))
        })
    }
}

impl Serialize for Damping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uniform(strength) => strength.serialize(serializer),
            Self::PerBlock(by_name) => by_name.serialize(serializer),
            Self::Excepting { .. } => Err(S::Error::custom(
                "exceptions by parameter have no place in a damping; write them apart",
            )),
        }
    }
}

/// A number, or a table with the key `relative` alone.
fn strength(value: &Value) -> Option<Strength> {
    if let Some(value) = number(value) {
        return Some(Strength::Absolute(value));
    }
    let table = value.as_table().filter(|table| table.len() == 1)?;
    number(table.get("relative")?).map(Strength::Relative)
}

fn number(value: &Value) -> Option<f64> {
    let whole = value.as_integer().map(|integer| integer as f64);
    value.as_float().or(whole)
}

impl<'de> Deserialize<'de> for BlockStructure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("full") => return Ok(Self::Full),
            Some("layer-wise") => return Ok(Self::LayerWise),
            Some("parameter-wise") => return Ok(Self::ParameterWise),
            _ => {}
        }
        let blocks = value.clone().try_into::<BTreeMap<String, Vec<String>>>();
        let custom = blocks.map(|blocks| Self::Custom(CustomBlocks::new(blocks)));
        custom.map_err(|_| {
            D::Error::custom(format!(
                "expected \"full\", \"layer-wise\", \"parameter-wise\", or a table of lists of \
                 parameters by block such as {{ head = [\"fc.weight\"] }}, got {value}"
            ))
        })
    }
}

impl Serialize for BlockStructure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Full => "full".serialize(serializer),
            Self::LayerWise => "layer-wise".serialize(serializer),
            Self::ParameterWise => "parameter-wise".serialize(serializer),
            Self::Custom(custom) => serializer.collect_map(custom.blocks()),
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        if let Some(key) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(D::Error::unknown_field(key, &FIELDS));
        }
        let [subtract, divide] = FIELDS.map(|field| table.get(field));
        let read = |value: Option<&Value>, default| match value {
            None => Ok(vec![default]),
            Some(value) => numbers(value).ok_or_else(|| {
                D::Error::custom(format!("expected a number or a list of them, got {value}"))
            }),
        };
        Self::new(read(subtract, 0.0)?, read(divide, 1.0)?).map_err(D::Error::custom)
    }
}

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FIELDS.into_iter().zip([self.subtract(), self.divide()]))
    }
}

const FIELDS: [&str; 2] = ["subtract", "divide"];

/// A number, or a list of at least one.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value.as_array() {
        Some(list) if !list.is_empty() => list.iter().map(number).collect(),
        _ => number(value).map(|number| vec![number]),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::Precision;

    /// The setting that is written so, or the message.
    fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        #[derive(Deserialize)]
        struct Document<T> {
            key: T,
        }
        let document = toml::from_str::<Document<T>>(&format!("key = {text}"));
        match document {
            Ok(document) => Ok(document.key),
            Err(error) => Err(error.message().to_owned()),
        }
    }

    /// What is read is written again so that the same is read.
    fn survives<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) -> T {
        let setting: T = read(text).expect(text);
        let written = Value::try_from(&setting).expect(text);
        assert_eq!(read::<T>(&written.to_string()).as_ref(), Ok(&setting));
        setting
    }

    #[test]
    fn dampings_are_numbers_multiples_or_tables_of_them() {
        assert_eq!(survives::<Damping>("1"), Damping::from(1.0));
        assert_eq!(
            survives::<Damping>("{ relative = 0.1 }"),
            Damping::relative(0.1)
        );
        let by_block = survives::<Damping>("{ fc = 0.5, head = { relative = 2 } }");
        let expected = [
            ("fc".to_owned(), Strength::Absolute(0.5)),
            ("head".to_owned(), Strength::Relative(2.0)),
        ];
        assert_eq!(by_block, Damping::PerBlock(BTreeMap::from(expected)));
        assert_eq!(
            by_block.to_string(),
            "{ fc = 0.5, head = { relative = 2 } }"
        );
        assert_eq!(survives::<Strength>("0.5"), Strength::Absolute(0.5));
        assert_eq!(
            read::<Strength>("true"),
            Err("expected a number or { relative = 0.1 }, got true".to_owned())
        );
        assert_eq!(
            read::<Damping>("[1, \"a\"]").expect_err("a list"),
            "expected a number, { relative = 0.1 }, \"weight-decay\", or a table of numbers by block such as { fc = 0.1 }, got [1, \"a\"]"
        );
        let exception = [("*.bias".to_owned(), Strength::from(0.0))];
        assert!(Value::try_from(Damping::from(0.1).excepting(exception)).is_err());
    }

    #[test]
    fn blocks_are_named_or_listed() {
        let names = ["\"full\"", "\"layer-wise\"", "\"parameter-wise\""];
        let structures = [
            BlockStructure::Full,
            BlockStructure::LayerWise,
            BlockStructure::ParameterWise,
        ];
        for (name, structure) in names.into_iter().zip(structures) {
            assert_eq!(survives::<BlockStructure>(name), structure);
        }
        let custom = CustomBlocks::new([("head", ["fc.weight", "fc.bias"])]);
        assert_eq!(
            survives::<BlockStructure>("{ head = [\"fc.weight\", \"fc.bias\"] }"),
            BlockStructure::Custom(custom)
        );
        let message = read::<BlockStructure>("{ head = \"fc.weight\" }").expect_err("no list");
        assert!(
            message.ends_with("got { head = \"fc.weight\" }"),
            "{message}"
        );
    }

    #[test]
    fn precisions_have_names_and_scales_two_keys() {
        assert_eq!(survives::<Precision>("\"f64\""), Precision::F64);
        assert!(read::<Precision>("\"f16\"").is_err_and(|message| message.contains("`f32`")));
        let scale = Scale::new(vec![0.5], vec![1.0, 2.0]).expect("finite numbers");
        assert_eq!(
            survives::<Scale>("{ subtract = 0.5, divide = [1, 2] }"),
            scale
        );
        assert!(read::<Scale>("{ divide = 0 }").is_err_and(|message| message.contains("divide")));
        assert!(read::<Scale>("{ subtrac = 0 }").is_err_and(|message| message.contains("subtrac")));
        assert!(read::<Scale>("{ divide = [] }").is_err_and(|message| message.contains("a list")));
    }
}

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use influence_core::block::{Damping, Strength};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Value;

/// λ of a block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Lambda {
    /// λ itself.
    Absolute(f64),
    /// λ as a multiple of the mean eigenvalue of the block.
    Relative {
        /// The multiple.
        relative: f64,
    },
}

/// λ, one for all blocks or one for each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DampingValue {
    /// The same for every block.
    Uniform(Lambda),
    /// By name of block.
    PerBlock(BTreeMap<String, Lambda>),
}

impl Lambda {
    fn read(value: &Value) -> Option<Self> {
        if let Some(number) = number(value) {
            return Some(Self::Absolute(number));
        }
        let table = value.as_table().filter(|table| table.len() == 1)?;
        let relative = number(table.get("relative")?)?;
        Some(Self::Relative { relative })
    }

    /// Checks that the number is neither negative nor not finite.
    pub(super) fn check(self, key: &str) -> Result<()> {
        let (Self::Absolute(value) | Self::Relative { relative: value }) = self;
        ensure!(
            value.is_finite() && value >= 0.0,
            "{key} must be finite and not negative, got {value}"
        );
        Ok(())
    }
}

impl From<Lambda> for Strength {
    fn from(lambda: Lambda) -> Self {
        match lambda {
            Lambda::Absolute(value) => Self::Absolute(value),
            Lambda::Relative { relative } => Self::Relative(relative),
        }
    }
}

impl DampingValue {
    /// As the core takes it.
    pub fn structure(&self) -> Damping {
        match self {
            Self::Uniform(value) => Damping::Uniform((*value).into()),
            Self::PerBlock(values) => {
                let of_block =
                    |(block, value): (&String, &Lambda)| (block.clone(), (*value).into());
                Damping::PerBlock(values.iter().map(of_block).collect())
            }
        }
    }

    /// Checks that no number is negative or not finite.
    pub(super) fn check(&self, key: &str) -> Result<()> {
        let named: Vec<(String, Lambda)> = match self {
            Self::Uniform(value) => vec![(key.to_owned(), *value)],
            Self::PerBlock(values) => values
                .iter()
                .map(|(block, value)| (format!("{key}.{block}"), *value))
                .collect(),
        };
        named.iter().try_for_each(|(key, value)| value.check(key))
    }
}

/// As it is written in TOML.
impl fmt::Display for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(value) => value.fmt(f),
            Self::Relative { relative } => write!(f, "{{ relative = {relative} }}"),
        }
    }
}

/// As it is written in TOML.
impl fmt::Display for DampingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform(value) => value.fmt(f),
            Self::PerBlock(values) => {
                let entries = values
                    .iter()
                    .map(|(block, value)| format!("{block} = {value}"));
                write!(f, "{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Lambda {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a number or {{ relative = 0.1 }}, got {value}"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for DampingValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(lambda) = Lambda::read(&value) {
            return Ok(Self::Uniform(lambda));
        }
        let by_block = value.as_table().and_then(|table| {
            table
                .iter()
                .map(|(block, value)| Some((block.clone(), Lambda::read(value)?)))
                .collect::<Option<_>>()
        });
        by_block.map(Self::PerBlock).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a number, {{ relative = 0.1 }}, \"weight-decay\", or a table of numbers by block as {{ fc = 0.1 }}, got {value}"
            ))
        })
    }
}

fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a damping is no count")]
    value
        .as_float()
        .or_else(|| value.as_integer().map(|integer| integer as f64))
}

//! Sizes along the axes of a layer, as configured.

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;

/// Two sizes, down and across; a single number stands for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let pair = match sizes(&value).as_deref() {
            Some([both]) if value.is_integer() => Some([*both; 2]),
            Some([down, across]) => Some([*down, *across]),
            _ => None,
        };
        let pair = pair.ok_or_else(|| {
            D::Error::custom(format!(
                "expected a size or two, as 2 or [2, 2], got {value}"
            ))
        })?;
        Ok(Self(pair))
    }
}

/// A size for each axis, or a single one for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(pub Vec<usize>);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        sizes(&value).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a size, or one for each axis, as 1 or [2, 3], got {value}"
            ))
        })
    }
}

/// A number or a list of them, all of which are sizes.
fn sizes(value: &Value) -> Option<Vec<usize>> {
    let size = |value: &Value| usize::try_from(value.as_integer()?).ok();
    match value {
        Value::Array(values) => values.iter().map(size).collect(),
        single => Some(vec![size(single)?]),
    }
}

/// What lies around the input of a convolution: zeros on both sides of an axis, as many as are
/// given or as PyTorch's words mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding<S> {
    /// So many on each side.
    Zeros(S),
    /// As many as keep the size; where their number is odd, one more at the end.
    Same,
    /// None.
    #[default]
    Valid,
}

impl<S: Copy> Padding<S> {
    /// The same, with its sizes in another form.
    pub(crate) fn map<T>(self, form: impl FnOnce(S) -> T) -> Padding<T> {
        match self {
            Self::Zeros(zeros) => Padding::Zeros(form(zeros)),
            Self::Same => Padding::Same,
            Self::Valid => Padding::Valid,
        }
    }
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Padding<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("same") => Ok(Self::Same),
            Some("valid") => Ok(Self::Valid),
            Some(_) => Err(D::Error::custom(format!(
                "padding: expected \"same\", \"valid\" or a number of zeros, got {value}"
            ))),
            None => S::deserialize(value)
                .map(Self::Zeros)
                .map_err(D::Error::custom),
        }
    }
}

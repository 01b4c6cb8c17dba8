//! How points are added up to groups, as a configuration says it.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Value;

use crate::array_path::ArrayPath;

/// How the points of a side are added up to groups, each of which then is one row or one column of
/// influences.
///
/// In a configuration it is `"mean"` or `"sum"` of all points, `"class"` for a group of each class,
/// or a table of all keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Which points are in one group.
    pub by: GroupBy,
    /// What a group stands for. Default: the mean of test points, the sum of training points.
    pub take: Option<Take>,
    /// The weight of each point, a file with a number for each row. Default: all have the same.
    pub weights: Option<ArrayPath>,
}

/// Which points are in one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// All of them.
    #[default]
    All,
    /// Those of one class.
    Class,
    /// Those with the same label in a file: integers, a text file with a line for each, or a
    /// column.
    Labels(ArrayPath),
}

/// What a group of points stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// The mean over its points, weighted if they have weights.
    Mean,
    /// The sum over its points, each times its weight if they have weights.
    Sum,
}

impl Take {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
        }
    }
}

impl Grouping {
    /// All files that are given.
    pub(super) fn files(&self) -> [Option<&ArrayPath>; 2] {
        let labels = match &self.by {
            GroupBy::Labels(file) => Some(file),
            GroupBy::All | GroupBy::Class => None,
        };
        [labels, self.weights.as_ref()]
    }

    /// As [`files`](Self::files), to be changed.
    pub(super) fn files_mut(&mut self) -> [Option<&mut ArrayPath>; 2] {
        let labels = match &mut self.by {
            GroupBy::Labels(file) => Some(file),
            GroupBy::All | GroupBy::Class => None,
        };
        [labels, self.weights.as_mut()]
    }

    /// What [`by`](Self::by) is, in a word.
    pub fn kind(&self) -> &'static str {
        match self.by {
            GroupBy::All => "all",
            GroupBy::Class => "class",
            GroupBy::Labels(_) => "label",
        }
    }
}

impl<'de> Deserialize<'de> for Grouping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of = |by, take| {
            Ok(Self {
                by,
                take,
                weights: None,
            })
        };
        match Value::deserialize(deserializer)? {
            Value::String(name) if name == "mean" => of(GroupBy::All, Some(Take::Mean)),
            Value::String(name) if name == "sum" => of(GroupBy::All, Some(Take::Sum)),
            Value::String(name) if name == "class" => of(GroupBy::Class, None),
            Value::Table(table) => {
                let keys: GroupingKeys = table.try_into().map_err(D::Error::custom)?;
                let GroupingKeys { by, take, weights } = keys;
                Ok(Self { by, take, weights })
            }
            other => Err(D::Error::custom(format!(
                "expected \"mean\", \"sum\", \"class\" or a table such as {{ by = \"labels.csv#source\", take = \"mean\" }}, got {other}"
            ))),
        }
    }
}

/// The keys of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupingKeys {
    #[serde(default)]
    by: GroupBy,
    take: Option<Take>,
    weights: Option<ArrayPath>,
}

impl GroupBy {
    /// The value of this name; any other text is a file.
    fn of_kind(text: Option<&str>) -> Option<Self> {
        match text? {
            "all" => Some(Self::All),
            "class" => Some(Self::Class),
            _ => None,
        }
    }

    /// Whether a value is no file, but the name of what points are grouped by.
    pub fn is_kind(text: Option<&str>) -> bool {
        Self::of_kind(text).is_some()
    }
}

impl<'de> Deserialize<'de> for GroupBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match Self::of_kind(value.as_str()) {
            Some(kind) => Ok(kind),
            None => ArrayPath::deserialize(value)
                .map(Self::Labels)
                .map_err(D::Error::custom),
        }
    }
}

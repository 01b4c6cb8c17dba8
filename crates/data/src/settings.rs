mod grouping;

use std::fmt::{self, Display};

use anyhow::{Result, bail, ensure};
use influence_core::Scale;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Value;

use crate::{
    array_path::{ArrayPath, Decimal, Delimiter, TableForm},
    input_files::{InputFiles, InputKey},
    key::KeyError,
};
pub use grouping::{GroupBy, Grouping, Take};

/// Training and test data: either two pairs of arrays, or one that is split.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The training points, whose influence is computed.
    pub train: Option<Files>,
    /// The test points, on which it is computed.
    pub test: Option<Files>,
    /// All points, in place of `train` and `test`.
    pub all: Option<Files>,
    /// How `all` is split.
    pub split: Option<Split>,
    /// How inputs are scaled. Default: they are taken as they are.
    pub scale: Option<ScaleSetting>,
    /// The names of classes, in the order of their numbers. Default: their numbers, the folders of
    /// images, or labels that are text.
    pub classes: Option<ClassNames>,
    /// Whether the first line of a `.csv` names its columns. Default: found out from the lines, and
    /// refused where they do not show it.
    pub header: Option<bool>,
    /// The character between the columns of a `.csv`. Default: `,`, `;`, tab or `|`, found out from
    /// the lines.
    pub delimiter: Option<Delimiter>,
    /// The mark before the decimals of the numbers of a `.csv`, `.` or `,`. Default `.`.
    pub decimal: Option<Decimal>,
}

/// The arrays of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Inputs, samples along the first axis; any numeric dtype. One array, or one for each input of
    /// the model.
    pub inputs: InputFiles,
    /// Targets: integers `(n)` for cross-entropy, integers `(n, positions)` for cross-entropy at
    /// each position, numbers `(n)` or `(n, outputs)` for mse. None where the model reads none.
    pub targets: Option<ArrayPath>,
    /// The names of the samples: integers, a text file with a line for each, or a column. Default:
    /// their row, or the names of image files.
    pub ids: Option<ArrayPath>,
    /// The rows that are used, counted from 0: an array of integers, or a text file with a line for
    /// each. Default: all.
    pub subset: Option<ArrayPath>,
    /// How the points are added up to groups; of `data.all`, the test points. Default: each point
    /// is by itself.
    pub group: Option<Grouping>,
}

/// Which array of a data set one is; shown as its key below that of the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrayKey {
    /// One of the inputs.
    Input(InputKey),
    /// The targets.
    Targets,
    /// The names of the samples.
    Ids,
    /// The rows that are used.
    Subset,
    /// The labels by which the samples are grouped.
    GroupLabels,
    /// The weights of the samples in their groups.
    GroupWeights,
}

impl ArrayKey {
    /// The key that takes the array, and its part of the value where this lists several by name or
    /// in order.
    pub fn parts(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Input(InputKey::Only) => ("inputs", None),
            Self::Input(InputKey::Place(place)) => ("inputs", Some(place.to_string())),
            Self::Input(InputKey::Name(name)) => ("inputs", Some(name.clone())),
            Self::Targets => ("targets", None),
            Self::Ids => ("ids", None),
            Self::Subset => ("subset", None),
            Self::GroupLabels => ("group.by", None),
            Self::GroupWeights => ("group.weights", None),
        }
    }
}

impl Display for ArrayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(key) => key.fmt(f),
            other => f.write_str(other.parts().0),
        }
    }
}

impl Files {
    /// All arrays that are given, with their keys.
    pub fn arrays(&self) -> Vec<(ArrayKey, &ArrayPath)> {
        let Self {
            inputs,
            targets,
            ids,
            subset,
            group,
        } = self;
        let [labels, weights] = group.as_ref().map_or([None; 2], Grouping::files);
        let inputs = inputs.iter().map(|input| {
            let key = ArrayKey::Input(input.key.clone());
            (key, &input.array)
        });
        inputs
            .chain(targets.iter().map(|targets| (ArrayKey::Targets, targets)))
            .chain(ids.iter().map(|ids| (ArrayKey::Ids, ids)))
            .chain(subset.iter().map(|subset| (ArrayKey::Subset, subset)))
            .chain(labels.map(|labels| (ArrayKey::GroupLabels, labels)))
            .chain(weights.map(|weights| (ArrayKey::GroupWeights, weights)))
            .collect()
    }

    /// As [`arrays`](Self::arrays), to be changed.
    pub fn arrays_mut(&mut self) -> Vec<(ArrayKey, &mut ArrayPath)> {
        let keys: Vec<ArrayKey> = self.arrays().into_iter().map(|(key, _)| key).collect();
        let Self {
            inputs,
            targets,
            ids,
            subset,
            group,
        } = self;
        let grouped = group.iter_mut().flat_map(Grouping::files_mut).flatten();
        let inputs = inputs.iter_mut().map(|input| &mut input.array);
        let arrays = inputs
            .chain(targets)
            .chain(ids)
            .chain(subset)
            .chain(grouped);
        keys.into_iter().zip(arrays).collect()
    }
}

/// How points are split at random.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The share of test points, between 0 and 1.
    pub test: f64,
    /// The seed of the split. Default 0.
    #[serde(default)]
    pub seed: u64,
}

/// How inputs are scaled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleSetting {
    /// To mean 0 and deviation 1 over the training points, by feature or channel.
    Standard,
    /// To 0 to 1 over the training points, by feature or channel.
    MinMax,
    /// By given numbers.
    #[serde(untagged)]
    Given(Scale),
}

/// Where the names of classes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassNames {
    /// Here, in the order of their numbers.
    Listed(Vec<String>),
    /// In a text file, a line for each.
    File(ArrayPath),
}

impl<'de> Deserialize<'de> for ScaleSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) if name == "standard" => Ok(Self::Standard),
            Value::String(name) if name == "min-max" => Ok(Self::MinMax),
            Value::Table(table) => {
                let given = table.try_into();
                given.map(Self::Given).map_err(D::Error::custom)
            }
            other => Err(D::Error::custom(format!(
                "expected \"standard\", \"min-max\" or {{ subtract = 0.5, divide = 255 }}, got {other}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for ClassNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let names = match &value {
            Value::String(path) => return Ok(Self::File(ArrayPath::from(path.clone()))),
            Value::Array(names) => names
                .iter()
                .map(|name| name.as_str().map(ToOwned::to_owned))
                .collect(),
            _ => None,
        };
        names.map(Self::Listed).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a list of names, or a text file with a line for each, got {value}"
            ))
        })
    }
}

/// The files of the two sides.
#[derive(Debug, Clone, Copy)]
pub enum Sides<'a> {
    /// Each side has its files.
    Apart {
        /// The training points.
        train: &'a Files,
        /// The test points, if there are some: self-influences need none.
        test: Option<&'a Files>,
    },
    /// Both sides are in the same files.
    Together {
        /// All points.
        all: &'a Files,
        /// How they are split.
        split: Split,
    },
}

impl Data {
    /// The files of the two sides.
    ///
    /// # Errors
    /// When neither or both of the two ways are taken, or one of them in part.
    pub fn sides(&self) -> Result<Sides<'_>> {
        match (&self.train, &self.test, &self.all, self.split) {
            (Some(train), test, None, None) => Ok(Sides::Apart {
                train,
                test: test.as_ref(),
            }),
            (None, None, Some(all), Some(split)) => {
                ensure!(
                    split.test > 0.0 && split.test < 1.0,
                    KeyError::new(
                        "data.split.test",
                        format!("expected a share between 0 and 1, got {}", split.test)
                    )
                );
                Ok(Sides::Together { all, split })
            }
            (None, None, Some(_), None) => {
                let missing = "is missing: say how data.all is split, such as { test = 0.2 }";
                bail!(KeyError::sentence("data.split", missing))
            }
            (_, _, None, Some(_)) => {
                bail!(KeyError::sentence(
                    "data.split",
                    "splits data.all, which is missing"
                ))
            }
            (_, _, Some(_), _) => {
                let both = "replaces data.train and data.test: leave out either it or both of them";
                bail!(KeyError::sentence("data.all", both))
            }
            (None, _, None, None) => bail!(KeyError::sentence("data.train", "is missing")),
        }
    }

    /// Whether there are test points.
    pub fn has_test_points(&self) -> bool {
        self.test.is_some() || self.all.is_some()
    }

    /// Refuses data without test points, for commands that need them.
    ///
    /// # Errors
    /// When there are none.
    pub fn check_test_points(&self) -> Result<()> {
        ensure!(
            self.has_test_points(),
            KeyError::sentence(
                "data.test",
                "is missing: it names the points on which influences are computed, such as { inputs = \"xt.npy\", targets = \"yt.npy\" }; `influence self` does not need it"
            )
        );
        Ok(())
    }

    /// The keys under which the files of the training and of the test points are.
    pub fn keys(&self) -> [&'static str; 2] {
        match (&self.all, &self.test) {
            (Some(_), _) => ["data.all"; 2],
            (None, Some(_)) => ["data.train", "data.test"],
            (None, None) => ["data.train"; 2],
        }
    }

    /// How tables of text are written, as far as it is configured for all of them.
    pub fn form(&self) -> TableForm {
        TableForm {
            header: self.header,
            delimiter: self.delimiter,
            decimal: self.decimal,
        }
    }

    /// Gives each array the settings for all tables, where it has none itself.
    pub fn spread_form(&mut self) {
        let form = self.form();
        for array in self.files_mut() {
            array.form = array.form.or(form);
        }
    }

    /// All files that are given.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut ArrayPath> {
        let Self {
            train,
            test,
            all,
            classes,
            ..
        } = self;
        let sets = [train, test, all].into_iter().flatten();
        let classes = match classes {
            Some(ClassNames::File(path)) => Some(path),
            _ => None,
        };
        sets.flat_map(Files::arrays_mut)
            .map(|(_, array)| array)
            .chain(classes)
    }
}

#[cfg(test)]
mod tests;

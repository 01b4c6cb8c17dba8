//! The model, as configured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use influence_data::key::{KeyError, KeyPath};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, json};
use toml::Value;

use super::{layer::Layers, weight_files::WeightFiles};

/// A model: of layers, with weights of their own, or a network in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Safetensors or a PyTorch file in state-dict layout, `NAME.weight` `(out, in[, kh, kw])`,
    /// `NAME.bias` `(out)`, or a record of burn. Of a network in a file these are the names of its
    /// parameters, or weights in place of its own; default: those that it holds. A list of files is
    /// an ensemble, whose influences are the mean of those of its models.
    pub weights: Option<WeightFiles>,
    /// The key of the weights in a file that holds more, such as `net` or `checkpoint.model`; empty
    /// for all that it holds. Default: the only state dict that there is.
    pub state: Option<String>,
    /// The training loss, of a sequential model or a network in a file.
    pub loss: Option<Loss>,
    /// The layers in order, of a sequential model.
    pub layers: Option<Layers>,
    /// A network in a file, in place of `layers`: ONNX, or a program that PyTorch saved (`.pt2`).
    pub onnx: Option<PathBuf>,
    /// The output of the network on which the loss acts: any tensor of the file. Default: the first
    /// output.
    pub output: Option<String>,
    /// Patterns of the names of parameters that were not trained, such as `emb.*`.
    pub frozen: Option<Vec<String>>,
    /// Rows of embeddings without a gradient, by the name of the table: `padding_idx` of PyTorch.
    pub padding: Option<BTreeMap<String, usize>>,
    /// The target that does not count, such as -100.
    pub ignore: Option<i64>,
    /// How much each class counts in the loss. Default: 1.
    pub class_weights: Option<Vec<f64>>,
    /// The label smoothing of the loss, from 0 to below 1. Default: 0.
    pub label_smoothing: Option<f64>,
    /// What is explained of each test point. Default: its loss.
    pub measurement: Option<MeasurementKey>,
}

impl Model {
    /// The files of the weights, of models that hold none themselves.
    ///
    /// # Errors
    /// When none is given.
    pub fn weights(&self) -> Result<&WeightFiles, KeyError> {
        self.weights.as_ref().ok_or_else(|| missing("weights"))
    }

    /// The file of the weights of each model: of one model alone unless there is an ensemble, and
    /// none for a network that holds its weights itself.
    pub fn members(&self) -> Vec<Option<&Path>> {
        match &self.weights {
            None => vec![None],
            Some(files) => files
                .all()
                .iter()
                .map(|path| Some(path.as_path()))
                .collect(),
        }
    }

    /// Checks that the keys are those of one kind of model.
    ///
    /// # Errors
    /// The first key that belongs to another kind, or is out of its domain.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        if self.onnx.is_none() {
            self.weights()?;
            return match self.network_keys().keys().next() {
                None => Ok(()),
                Some(key) => Err(KeyError::new(
                    path(key),
                    "is for networks in files, and there is no model.onnx",
                )),
            };
        }
        if self.layers.is_some() {
            return Err(KeyError::new(
                path("layers"),
                "model.onnx stands in place of layers; leave one of them out",
            ));
        }
        if self.state.is_some() && self.weights.is_none() {
            return Err(KeyError::new(
                path("state"),
                "is a key of the file model.weights, and there is none; leave it out",
            ));
        }
        self.check_numbers()
    }

    fn check_numbers(&self) -> Result<(), KeyError> {
        let smoothing = self.label_smoothing.unwrap_or(0.0);
        if !(0.0..1.0).contains(&smoothing) {
            let wrong = format!("must be at least 0 and below 1, got {smoothing}");
            return Err(KeyError::sentence(path("label_smoothing"), wrong));
        }
        let weights = self.class_weights.iter().flatten().enumerate();
        let is_weight = |weight: f64| weight.is_finite() && weight >= 0.0;
        match weights.into_iter().find(|(_, weight)| !is_weight(**weight)) {
            None => Ok(()),
            Some((class, weight)) => Err(KeyError::new(
                path("class_weights").index(class),
                format_args!("expected a finite number, 0 or more, got {weight}"),
            )),
        }
    }

    /// The keys that only networks in files have, as far as they are given.
    pub(crate) fn network_keys(&self) -> Map<String, serde_json::Value> {
        let Self {
            output,
            frozen,
            padding,
            ignore,
            class_weights,
            label_smoothing,
            ..
        } = self;
        let all = [
            ("output", json!(output)),
            ("frozen", json!(frozen)),
            ("padding", json!(padding)),
            ("ignore", json!(ignore)),
            ("class_weights", json!(class_weights)),
            ("label_smoothing", json!(label_smoothing)),
        ];
        let given = all.into_iter().filter(|(_, value)| !value.is_null());
        given.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Checks that weights that are to be written need no key.
    ///
    /// # Errors
    /// When they have one.
    pub(crate) fn check_trained(&self) -> Result<()> {
        ensure!(
            self.state.is_none(),
            KeyError::new(
                path("state"),
                "`influence train` writes a file of its own, which holds nothing else; leave it out"
            )
        );
        Ok(())
    }
}

/// An error about a key that the model needs.
pub(crate) fn missing(key: &str) -> KeyError {
    KeyError::new("model", format_args!("missing key `{key}`"))
}

fn path(key: &str) -> KeyPath {
    KeyPath::from("model").key(key)
}

/// A training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the softmax of the outputs; targets are class numbers.
    CrossEntropy,
    /// Squared error, mean over the outputs.
    Mse,
    /// Cross-entropy of the sigmoids of the outputs, mean over them; targets are from 0 to 1.
    BinaryCrossEntropy,
    /// Cross-entropy at each position, mean over the positions; targets are class numbers.
    SequenceCrossEntropy,
    /// The same, of tokens whose targets are the tokens that follow them.
    NextToken,
    /// The output is the loss.
    Output,
}

impl Loss {
    /// Its name in configurations.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
            Self::BinaryCrossEntropy => "binary-cross-entropy",
            Self::SequenceCrossEntropy => "sequence-cross-entropy",
            Self::NextToken => "next-token",
            Self::Output => "output",
        }
    }
}

/// What is explained of each test point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasurementKey {
    /// Its training loss.
    Loss,
    /// The logit of its class, less the logarithm of the sum of the exponentials of the others.
    Margin,
    /// The logit of its class.
    #[serde(rename = "logit")]
    OwnLogit,
    /// The logit of a class, `{ logit = 3 }`.
    Logit(usize),
    /// The logarithm of the probability of its class.
    LogProbability,
    /// A tensor of the network's file with a number for each sample, `{ output = "entropy" }`.
    Output(String),
}

impl MeasurementKey {
    /// Those that have a name alone.
    const NAMED: [(&'static str, Self); 4] = [
        ("loss", Self::Loss),
        ("margin", Self::Margin),
        ("logit", Self::OwnLogit),
        ("log-probability", Self::LogProbability),
    ];
}

impl<'de> Deserialize<'de> for MeasurementKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAMES: &[&str] = &["loss", "margin", "logit", "log-probability"];
        match Value::deserialize(deserializer)? {
            Value::String(name) => {
                let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
                let found = found.map(|(_, measurement)| measurement);
                found.ok_or_else(|| D::Error::unknown_variant(&name, NAMES))
            }
            other => {
                let of_key = |(key, value): (&String, &Value)| match (&**key, value) {
                    ("logit", Value::Integer(class)) => {
                        usize::try_from(*class).ok().map(Self::Logit)
                    }
                    ("output", Value::String(name)) => Some(Self::Output(name.clone())),
                    _ => None,
                };
                let table = other.as_table().filter(|table| table.len() == 1);
                let found = table.and_then(|table| table.iter().next()).and_then(of_key);
                found.ok_or_else(|| {
                    D::Error::custom(format!(
                        "expected {}, {{ logit = 3 }} for the logit of a class, or {{ output = \"name\" }} for a tensor of the network's file, got {other}",
                        NAMES.join(", ")
                    ))
                })
            }
        }
    }
}

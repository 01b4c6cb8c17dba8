use influence_data::key::{KeyError, KeyPath};
use serde::Deserialize;

/// How `influence train` trains the model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// `adam` (default) or `sgd`.
    pub optimiser: Optimiser,
    /// The length of a step. Default 0.001.
    pub learning_rate: f64,
    /// How often all training points are gone through. Default 20.
    pub epochs: usize,
    /// Training points per step. Default 64.
    pub batch: usize,
    /// How much of each weight is added to its gradient. Default 0.
    pub weight_decay: f32,
    /// How much of the last step `sgd` adds to the next. Default 0.
    pub momentum: f64,
    /// If given, the weights are also saved every this many epochs.
    pub checkpoints: Option<usize>,
}

/// How steps follow from gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Stochastic gradient descent, with momentum where it is given.
    Sgd,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            optimiser: Optimiser::Adam,
            learning_rate: 1e-3,
            epochs: 20,
            batch: 64,
            weight_decay: 0.0,
            momentum: 0.0,
            checkpoints: None,
        }
    }
}

impl Training {
    pub(super) fn check(&self) -> Result<(), KeyError> {
        let (rate, decay, momentum) = (self.learning_rate, self.weight_decay, self.momentum);
        for (key, is_within, domain) in [
            (
                "learning_rate",
                rate.is_finite() && rate > 0.0,
                format!("must be positive and finite, got {rate}"),
            ),
            (
                "weight_decay",
                decay.is_finite() && decay >= 0.0,
                format!("must be finite and not negative, got {decay}"),
            ),
            (
                "momentum",
                (0.0..1.0).contains(&momentum),
                format!("must be at least 0 and below 1, got {momentum}"),
            ),
            (
                "momentum",
                momentum == 0.0 || self.optimiser == Optimiser::Sgd,
                "belongs to sgd; leave it out, or set train.optimiser = \"sgd\"".to_owned(),
            ),
        ] {
            if !is_within {
                return Err(KeyError::sentence(path(key), domain));
            }
        }
        for (key, value) in [
            ("epochs", Some(self.epochs)),
            ("batch", Some(self.batch)),
            ("checkpoints", self.checkpoints),
        ] {
            if value == Some(0) {
                return Err(KeyError::sentence(path(key), "must be at least 1, got 0"));
            }
        }
        Ok(())
    }
}

fn path(key: &str) -> KeyPath {
    KeyPath::from("train").key(key)
}

use anyhow::{Result, ensure};
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
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            "train.learning_rate must be positive and finite, got {}",
            self.learning_rate
        );
        ensure!(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "train.weight_decay must be finite and not negative, got {}",
            self.weight_decay
        );
        ensure!(
            (0.0..1.0).contains(&self.momentum),
            "train.momentum must be at least 0 and below 1, got {}",
            self.momentum
        );
        ensure!(
            self.momentum == 0.0 || self.optimiser == Optimiser::Sgd,
            "train.momentum belongs to sgd; leave it out, or set train.optimiser = \"sgd\""
        );
        for (key, value) in [
            ("train.epochs", Some(self.epochs)),
            ("train.batch", Some(self.batch)),
            ("train.checkpoints", self.checkpoints),
        ] {
            ensure!(value != Some(0), "{key} must be at least 1, got 0");
        }
        Ok(())
    }
}

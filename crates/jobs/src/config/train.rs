use std::f64::consts::PI;

use influence_data::key::{KeyError, KeyPath};
use serde::{Deserialize, Serialize};

/// How `influence train` trains the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// `adam` (default) or `sgd`.
    pub optimiser: Optimiser,
    /// The length of a step. Default 0.001.
    pub learning_rate: f64,
    /// How it changes from step to step: `constant` (default) or `cosine`.
    pub schedule: Schedule,
    /// How often all training points are gone through. Default 20.
    pub epochs: usize,
    /// Training points per step. Default 64.
    pub batch: usize,
    /// How much of each weight is added to its gradient. Default 0.
    pub weight_decay: f32,
    /// How much of the last step `sgd` adds to the next. Default 0.
    pub momentum: f64,
    /// If given, the weights are also saved every this many epochs.
    #[serde(skip_serializing)]
    pub checkpoints: Option<usize>,
}

/// How steps follow from gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Stochastic gradient descent, with momentum where it is given.
    Sgd,
}

/// How the length of a step changes in the course of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// From the learning rate down to 0 along half a cosine wave (Loshchilov and Hutter 2017):
    /// `(1 + cos(π t / T)) / 2` of it at step `t`, counted from 0, of `T`.
    Cosine,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            optimiser: Optimiser::Adam,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            epochs: 20,
            batch: 64,
            weight_decay: 0.0,
            momentum: 0.0,
            checkpoints: None,
        }
    }
}

impl Training {
    /// The length of a step, counted from 0, of a training of this many steps.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => {
                let done = step as f64 / steps as f64;
                self.learning_rate * 0.5 * (1.0 + (PI * done).cos())
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_begins_at_the_learning_rate_and_ends_near_0() {
        let mut training = Training {
            learning_rate: 0.4,
            ..Training::default()
        };
        assert!((training.rate(3, 6) - 0.4).abs() < 1e-15);
        training.schedule = Schedule::Cosine;
        // torch.optim.lr_scheduler.CosineAnnealingLR(T_max=6)
        let expected = [
            0.4,
            0.373_205_080_756_887_8,
            0.3,
            0.2,
            0.1,
            0.026_794_919_243_112_31,
        ];
        for (step, expected) in expected.into_iter().enumerate() {
            assert!((training.rate(step, 6) - expected).abs() < 1e-12);
        }
    }
}

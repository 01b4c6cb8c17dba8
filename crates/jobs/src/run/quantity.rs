use anyhow::Result;
use influence_calculators::{Plan, Share};
use serde_json::{Map, Value};

use crate::{
    assessment::Assessment,
    config::Config,
    fit::Affordable,
    forecast::{Forecast, self_influences},
    groups::counted,
    job::Job,
};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// The influence of every training point on every test point.
    Influences,
    /// The influence of every training point on itself.
    SelfInfluences,
}

impl Quantity {
    /// What an output with these attributes holds: self-influences, or else influences.
    pub fn of_stored(attributes: &Map<String, Value>) -> Self {
        let own = attributes.get("influence");
        if own.is_some_and(|own| own["kind"] == "self_influences") {
            Self::SelfInfluences
        } else {
            Self::Influences
        }
    }

    /// In words, with the points of a job.
    pub fn of(self, job: &Job) -> String {
        let [test, train] = [
            counted(&job.test, job.test_groups.as_ref(), "test"),
            counted(&job.train, job.train_groups.as_ref(), "training"),
        ];
        match self {
            Self::Influences => format!("influences of {train} on {test}"),
            Self::SelfInfluences => {
                format!("self-influences of {} training points", job.points()[1])
            }
        }
    }

    /// Refuses a configuration that does not name the points of the quantity.
    ///
    /// # Errors
    /// When there are no test points to compute influences on, with the place in the file.
    pub fn check_points(self, config: &Config) -> Result<()> {
        match self {
            Self::Influences => {
                let there = config.data.check_test_points();
                there.map_err(|error| config.places.located(error))
            }
            Self::SelfInfluences => Ok(()),
        }
    }

    /// How good the model is on the points that the quantity is about.
    ///
    /// # Errors
    /// As [`Assessment::of`].
    pub fn assess(self, job: &Job) -> Result<Assessment> {
        match self {
            Self::Influences => Assessment::of_job(job),
            Self::SelfInfluences => Assessment::of_training(job),
        }
    }

    /// How a share of the quantity would be computed; looks at the gradients of a few training
    /// points.
    ///
    /// # Errors
    /// As [`Forecast::new`].
    pub fn plan(self, fit: &Affordable<'_>, share: Share) -> Result<Plan> {
        match self {
            Self::Influences => Ok(Forecast::new(fit, share)?.plan),
            Self::SelfInfluences => self_influences(fit.job(), share),
        }
    }
}

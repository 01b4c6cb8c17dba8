//! How good a model is on a sample of its points, told before anything is computed: one that was
//! read or put together wrongly is no better than chance.

mod extent;
mod inputs;
mod quality;
mod score;

use std::io::Write;

use anyhow::{Context, Result};
use influence_data::Samples;

use crate::{config::Config, job::Job, models::TaskModel, watch::Watch};
use inputs::unscaled;
use quality::measured;
use score::Fault;

pub use quality::Quality;
pub use score::Score;

/// Compare what.
const COMPARE: &str = "compare the layers with your model (their order, activations, pooling), the targets with their points, and data.scale with the training";
/// What to change in a training.
const RETRAIN: &str =
    "try more train.epochs, another train.learning_rate, or data.scale = \"standard\"";
/// What else may be wrong with test points alone.
const TEST_ALONE: &str = "do the targets belong to the inputs, are classes numbered the same, and are inputs scaled as on the training side?";

/// On which side points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointSet {
    /// Those that have influence.
    Training,
    /// Those that are influenced.
    Test,
}

impl PointSet {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Test => "test",
        }
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a file.
    Read,
    /// It was trained by this command.
    Trained,
}

/// How good a model is on its points, and what looks wrong.
#[derive(Debug)]
pub struct Assessment {
    sides: Vec<(PointSet, Quality)>,
    warnings: Vec<String>,
}

impl Assessment {
    /// Evaluates a model on a sample of each side, the training points first.
    ///
    /// # Errors
    /// When points cannot be read, or the model cannot be evaluated.
    pub fn of(
        (model, origin): (&dyn TaskModel, Origin),
        config: &Config,
        sides: &[(PointSet, &Samples)],
    ) -> Result<Self> {
        let mut found = Self {
            sides: Vec::new(),
            warnings: Vec::new(),
        };
        let mut scale = None;
        // Where a configuration names no test points, the training points would be shown twice.
        let told = |side| side == PointSet::Training || config.data.has_test_points();
        for &(side, samples) in sides.iter().filter(|(side, _)| told(*side)) {
            let (quality, extent) = measured(model, samples, None)
                .with_context(|| format!("evaluating the model on {} points", side.as_str()))?;
            if side == PointSet::Training {
                scale = unscaled(model, config, samples, &quality, &extent)?;
            }
            found.sides.push((side, quality));
        }
        found.warnings = found.faults(origin).into_iter().chain(scale).collect();
        Ok(found)
    }

    /// Evaluates the model of a job on both sides.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_job(job: &Job) -> Result<Self> {
        let sides = [
            (PointSet::Training, job.train.inner()),
            (PointSet::Test, job.test.inner()),
        ];
        Self::of((&*job.model, Origin::Read), &job.config, &sides)
    }

    /// Evaluates the model of a job on the training points.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_training(job: &Job) -> Result<Self> {
        let sides = [(PointSet::Training, job.train.inner())];
        Self::of((&*job.model, Origin::Read), &job.config, &sides)
    }

    /// Says it to programs, and what looks wrong to everyone.
    pub fn tell(&self, watch: &dyn Watch) {
        for (side, quality) in &self.sides {
            watch.assessed(&quality.assessed(side.as_str()));
        }
        for warning in &self.warnings {
            watch.warn(warning);
        }
    }

    /// Prints a line for each side.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn print(&self, out: &mut (impl Write + ?Sized)) -> Result<()> {
        for (side, quality) in &self.sides {
            let points = format!("{} {}", quality.points, side.as_str());
            writeln!(out, "{points:15} {quality}")?;
        }
        Ok(())
    }

    /// The faults of the first side that has any.
    fn faults(&self, origin: Origin) -> Vec<String> {
        let mut faults = self.sides.iter().filter_map(|(side, quality)| {
            let fault = quality.fault()?;
            Some((*side, quality, fault))
        });
        let found = faults.next().map(|(side, quality, fault)| {
            let advice = match (side, origin) {
                (PointSet::Test, _) => TEST_ALONE,
                (PointSet::Training, Origin::Read) => COMPARE,
                (PointSet::Training, Origin::Trained) => RETRAIN,
            };
            sentence(side.as_str(), quality, fault, advice)
        });
        found.into_iter().collect()
    }
}

fn sentence(side: &str, quality: &Quality, fault: Fault, advice: &str) -> String {
    let score = &quality.score;
    match (fault, score) {
        (Fault::NotFinite(count), _) => format!(
            "the loss is not a finite number on {count} of {} {side} points: {advice}",
            quality.sample
        ),
        (Fault::Chance, Score::Classes(classes)) => format!(
            "on {side} points the model is no better than chance: accuracy {:.1} %, and {:.1} % of them are of the most frequent class: {advice}",
            100.0 * classes.accuracy,
            100.0 * classes.chance
        ),
        (Fault::Chance, _) => {
            format!("on {side} points the model is no better than a constant: {score}: {advice}")
        }
        (Fault::Loss { constant, own }, _) => format!(
            "on {side} points the loss of the model ({own:.4}) is larger than that of a constant prediction ({constant:.4}), {score}: {advice}"
        ),
    }
}

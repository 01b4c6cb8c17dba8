//! How a job is watched, and what it needs of the program that it runs in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use influence_backend_burn::{FitObserver, FitStep};
use influence_calculators::{Cancellation, Observer, Phase, zarr::Claim};
use serde::Serialize;

use crate::output::{Existing, claim};

/// The stage of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading and checking the configuration and the files.
    Check,
    /// Training a model.
    Train,
    /// Training a model on parts of its points.
    Retrain,
    /// Fitting the influence model.
    Fit,
    /// Computing, in one of the phases of the calculators.
    Compute(Phase),
}

impl Stage {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Train => "train",
            Self::Retrain => "retrain",
            Self::Fit => "fit",
            Self::Compute(phase) => phase.as_str(),
        }
    }
}

/// How good a model is on the points of one side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Assessed<'a> {
    /// `training` or `test`.
    pub side: &'a str,
    /// The points on that side.
    pub points: usize,
    /// How many of them were evaluated.
    pub sample: usize,
    /// The mean loss of those.
    pub loss: f64,
    /// The share of right choices, if classes are chosen.
    pub accuracy: Option<f64>,
    /// The share of the most frequent class, if classes are chosen.
    pub chance: Option<f64>,
    /// The share of the variance that is explained, mean over outputs, if they are numbers.
    pub r2: Option<f64>,
    /// The exponential of the mean cross-entropy, if classes are chosen at each position of a
    /// sequence.
    pub perplexity: Option<f64>,
    /// How many of those that were evaluated have targets of which none counts.
    pub uncounted: usize,
}

/// Watches a job: the observer of the fit and of the computation, which also hears of stages,
/// epochs, assessments and warnings.
///
/// Methods may be called from several threads at once. By default nothing is watched.
pub trait Watch: Observer + FitObserver {
    /// A stage begins, and the one before it ends.
    fn stage(&self, _stage: Stage) {}

    /// The epoch `epoch` of `epochs`, counted from 1, has ended with this mean training loss.
    fn epoch(&self, _epoch: usize, _epochs: usize, _loss: f64) {}

    /// `done` of `total` retrainings are there.
    fn retrained(&self, _done: usize, _total: usize) {}

    /// A model was evaluated on the points of one side.
    fn assessed(&self, _assessed: &Assessed<'_>) {}

    /// Something that does not end the job, but should be known.
    fn warn(&self, _message: &str) {}

    /// The seconds spent in each stage so far, in the order in which they first began.
    fn phases(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// The chunks that are written, and all chunks of the output once they are known. A host that
    /// cancels jobs counts them, since the error of a cancelled run says how many there are.
    fn chunks(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

/// The program that a job runs in: it watches the job, may cancel it, and keeps the place of its
/// output, so that the place can be given back if the program ends before anything is written.
pub trait Host {
    /// Watches the job.
    fn watch(&self) -> Arc<dyn Watch>;

    /// Cancels the job.
    fn cancellation(&self) -> &Cancellation;

    /// Claims the place of an output, and keeps it until the output is written or the job ends.
    ///
    /// # Errors
    /// As [`output::claim`](crate::output::claim).
    fn claim(&self, output: &Path, existing: Existing) -> Result<()>;

    /// Chunks are written from now on: hands over the claim on their place, if one is kept.
    fn writing(&self) -> Option<Claim>;

    /// All chunks of an output are written.
    fn written(&self, output: &Path);
}

/// A job was cancelled while chunks were computed.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted: {done} of {total} chunks are written to {}; {advice}",
    output.display()
)]
pub struct Interrupted {
    /// The chunks that are written.
    pub done: usize,
    /// The chunks of the result.
    pub total: usize,
    /// Where they are.
    pub output: PathBuf,
    /// How to go on.
    pub advice: &'static str,
}

/// A host that watches nothing and cancels nothing, for jobs within a library.
#[derive(Debug, Default)]
pub struct Unattended {
    cancellation: Cancellation,
}

/// Watches nothing.
#[derive(Debug)]
struct Unwatched;

impl FitObserver for Unwatched {
    fn fitting(&self, _step: FitStep, _done: usize, _total: usize) {}
}

impl Observer for Unwatched {}

impl Watch for Unwatched {}

impl Host for Unattended {
    fn watch(&self) -> Arc<dyn Watch> {
        Arc::new(Unwatched)
    }

    fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Checks the place; it is claimed when writing begins.
    fn claim(&self, output: &Path, existing: Existing) -> Result<()> {
        claim(output, existing).map(drop)
    }

    fn writing(&self) -> Option<Claim> {
        None
    }

    fn written(&self, _output: &Path) {}
}

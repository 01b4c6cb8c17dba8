//! Progress of a fit.

use std::{fmt::Debug, sync::Arc};

/// The current step of a fit, or of an iteration over the training data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FitStep {
    /// A pass over the batches of the training data; there may be many of them.
    Batches,
    /// The columns of a dense Hessian, batch by batch.
    Columns,
    /// The eigenvectors of Kronecker factors, matrix by matrix.
    Eigenvectors,
    /// The steps of a training that is unrolled, taken or undone.
    Steps,
}

impl FitStep {
    /// The pieces that are counted, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::Columns => "columns",
            Self::Eigenvectors => "eigenvectors",
            Self::Steps => "steps",
        }
    }
}

/// Receives the progress of a fit within its steps.
///
/// Methods that iterate over the training data when they solve report then, too, from several
/// threads at once.
pub trait FitObserver: Debug + Send + Sync {
    /// `done` of `total` pieces of a step are done; a new pass begins where `done` is 0.
    fn fitting(&self, step: FitStep, done: usize, total: usize);
}

/// An observer, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FitProgress(pub(crate) Option<Arc<dyn FitObserver>>);

impl FitProgress {
    pub(crate) fn fitting(&self, step: FitStep, done: usize, total: usize) {
        if let Some(observer) = &self.0 {
            observer.fitting(step, done, total);
        }
    }
}

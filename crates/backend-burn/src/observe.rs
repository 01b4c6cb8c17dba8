//! Watching a fit.

use std::{fmt::Debug, sync::Arc};

/// What a fit, or an iteration over the training data, is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FitStep {
    /// A pass over the batches of the training data; there may be many of them.
    Batches,
    /// The columns of a dense Hessian, batch by batch.
    Columns,
    /// The eigenvectors of Kronecker factors, matrix by matrix.
    Eigenvectors,
}

impl FitStep {
    /// What is counted, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::Columns => "columns",
            Self::Eigenvectors => "eigenvectors",
        }
    }
}

/// Watches a fit: how far it is within a step.
///
/// Methods that iterate over the training data when they solve are watched then, too, from several threads at once.
pub trait FitObserver: Debug + Send + Sync {
    /// `done` of `total` pieces of a step are done; a new pass begins where `done` is 0.
    fn fitting(&self, step: FitStep, done: usize, total: usize);
}

/// An observer, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(pub(crate) Option<Arc<dyn FitObserver>>);

impl Watch {
    pub(crate) fn fitting(&self, step: FitStep, done: usize, total: usize) {
        if let Some(observer) = &self.0 {
            observer.fitting(step, done, total);
        }
    }
}

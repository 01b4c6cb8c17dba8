//! What a curvature takes from each batch of the training data.

use influence_core::Result as CoreResult;

use super::{Curvature, cache::BatchCache, training::TrainingData};
use crate::ModelGradients;

/// Values of a curvature, one for each batch of the data it is a mean over.
///
/// They are computed when they are first needed and cached, as many batches as fit in the memory
/// granted; the others are computed again in every pass over the data.
#[derive(Debug)]
pub(crate) struct CurvatureBatches<T> {
    pub(crate) curvature: Curvature,
    pub(crate) source: ModelGradients,
    pub(crate) data: TrainingData,
    cache: BatchCache<T>,
}

/// What is computed from a batch, cheap to clone.
pub(crate) trait BatchValue: Clone + Send + Sync {
    /// Computes it.
    fn compute(batches: &CurvatureBatches<Self>, part: usize) -> CoreResult<Self>;

    /// The memory that it takes.
    fn bytes(&self, batches: &CurvatureBatches<Self>) -> usize;
}

impl<T: BatchValue> CurvatureBatches<T> {
    /// `memory` is that of the cache, in bytes.
    pub(crate) fn new(
        curvature: Curvature,
        source: ModelGradients,
        data: TrainingData,
        memory: usize,
    ) -> Self {
        Self {
            curvature,
            source,
            data,
            cache: BatchCache::new(memory),
        }
    }

    /// The value of one batch.
    pub(crate) fn part(&self, part: usize) -> CoreResult<T> {
        self.data.begun(part);
        self.unreported(part)
    }

    fn unreported(&self, part: usize) -> CoreResult<T> {
        let compute = |part| T::compute(self, part);
        let bytes = |value: &T| value.bytes(self);
        self.cache.part(part, self.data.own(), compute, bytes)
    }

    /// Fills the cache, if there is one, and returns the value of the first batch in it. Called
    /// before batches are worked on side by side: all but one would wait for the cache.
    pub(crate) fn fill(&self) -> CoreResult<Option<T>> {
        let first = self.data.own().next().filter(|_| self.cache.keeps());
        first.map(|first| self.unreported(first)).transpose()
    }
}

//! What a curvature takes from each batch of the training data.

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
    pub(super) cache: BatchCache<T>,
}

impl<T: Clone> CurvatureBatches<T> {
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
}

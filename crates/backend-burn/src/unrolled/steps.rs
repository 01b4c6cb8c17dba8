use std::{fmt, sync::Arc};

use influence_core::Result as CoreResult;

use super::UpdateRule;
use crate::Batch;

/// Reads samples at these positions, in their order.
pub type GatherSamples = Arc<dyn Fn(&[usize]) -> CoreResult<Batch> + Send + Sync>;

/// A training by gradient steps over batches of samples, each step a mean over its batch; see
/// [`Fit::unrolled`](crate::Fit::unrolled).
#[derive(Clone)]
pub struct TrainingSteps {
    /// The number of training samples, `n`.
    pub samples: usize,
    /// Some of the samples, in the order of these positions.
    pub gather: GatherSamples,
    /// The steps, in order.
    pub steps: Vec<TrainingStep>,
    /// How a step follows from its gradient.
    pub rule: UpdateRule,
    /// How much of each parameter is added to its gradient, `ρ`.
    pub weight_decay: f32,
}

/// A step of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingStep {
    /// The positions of the samples in its batch.
    pub batch: Vec<usize>,
    /// The learning rate, `η`.
    pub learning_rate: f64,
}

impl fmt::Debug for TrainingSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingSteps")
            .field("samples", &self.samples)
            .field("steps", &self.steps.len())
            .field("rule", &self.rule)
            .field("weight_decay", &self.weight_decay)
            .finish_non_exhaustive()
    }
}

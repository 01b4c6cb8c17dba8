//! A warning about functions with a kink, in 32 bits.

use burn::backend::ir::OperationIr;
use influence_core::{Precision, Result as CoreResult};

use crate::{
    ModelGradients,
    curvature::TrainingData,
    engine::{Kinks, has_kinks},
    trace::Function,
};

/// Most samples that are examined, and most scalars of their activations.
const SAMPLES: usize = 1024;
const NUMBERS: usize = 1 << 24;

impl ModelGradients {
    /// Warns where training has brought inputs of `relu` and similar functions so near to the kink
    /// that 32 bits decide on which side they are: the gradients of such samples are then another
    /// function's.
    ///
    /// # Errors
    /// When the data cannot be read or the model cannot be evaluated.
    pub(crate) fn look_for_kinks(&self, data: &TrainingData) -> CoreResult<Option<Kinks>> {
        if self.precision == Precision::F64 {
            return Ok(None);
        }
        let mut found = Kinks::default();
        for part in 0..data.batches() {
            let batch = data.glimpse(part)?;
            let graph = self.trace.graph(Function::Loss, &batch)?;
            let made = graph.operations.iter().flat_map(OperationIr::outputs);
            let numbers: usize = made.map(|output| output.shape.num_elements()).sum();
            if !has_kinks(&graph) || numbers > NUMBERS {
                break;
            }
            found.add(self.engine.kinks(&graph, &batch)?);
            if found.samples >= SAMPLES || numbers * (part + 2) > NUMBERS {
                break;
            }
        }
        if found.is_notable() {
            let Kinks {
                samples, affected, ..
            } = found;
            tracing::warn!(
                "{affected} of {samples} training points have inputs of relu, abs or clamp within rounding of the kink, where 32 bits decide whether a unit is on: their influences may be off by several per cent; use 64 bits (precision = \"f64\", Fit::with_precision)"
            );
        }
        Ok(Some(found))
    }
}

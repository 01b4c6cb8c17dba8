//! Second derivatives of multilayer perceptrons, batch by batch.

use std::sync::Arc;

use influence_core::Result as CoreResult;

use super::{
    Curvature,
    batches::{BatchValue, CurvatureBatches},
    linearised::Linearised,
};
use crate::{Batch, ModelGradients, Result, engine::LossDerivatives, trace::Function};

/// The most outputs for which the second derivative of the loss is kept as a matrix for each
/// sample.
const MOST_OUTPUTS: usize = 32;

/// The Hessian or the Gauss-Newton matrix of batches for which the network is a multilayer
/// perceptron; no value where it is not.
pub(super) type MlpBatches = CurvatureBatches<Option<Arc<Linearised>>>;

impl BatchValue for Option<Arc<Linearised>> {
    fn compute(batches: &MlpBatches, part: usize) -> CoreResult<Self> {
        let exact = batches.curvature == Curvature::Hessian;
        let batch = batches.data.batch(part)?;
        Ok(batches.source.linearised(&batch, exact)?.map(Arc::new))
    }

    fn bytes(&self, batches: &MlpBatches) -> usize {
        let scalars = self.as_ref().map_or(0, |linearised| linearised.scalars());
        scalars * batches.source.precision.bytes()
    }
}

impl ModelGradients {
    /// The second derivative of the loss on a batch, exact or else that of Gauss-Newton, if the
    /// network is a multilayer perceptron.
    pub(crate) fn linearised(&self, batch: &Batch, exact: bool) -> Result<Option<Linearised>> {
        let function = if exact {
            Function::Loss
        } else {
            Function::Outputs
        };
        let graph = self.trace.graph(function, batch)?;
        let trained = self.layout().parameters().len();
        let layers = graph.dense_layers(trained, batch.len());
        let Some(layers) = layers.filter(|_| self.untapped().next().is_none()) else {
            return Ok(None);
        };
        let Some(last) = layers.last().map(|layer| &layer.output) else {
            return Ok(None);
        };
        if last.shape[1] > MOST_OUTPUTS || !(exact || last.id == graph.output.id) {
            return Ok(None);
        }
        let (layers, mut loss) = self.engine.linearised_layers(&graph, batch, &layers)?;
        if !exact {
            loss = LossDerivatives {
                first: None,
                second: self.output_hessian(batch)?.matrices()?,
            };
        }
        Ok(Some(Linearised::new(layers, loss)))
    }
}

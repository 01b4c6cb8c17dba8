//! Second derivatives of networks that are chains of linear maps.

use std::{ops::Range, sync::Arc};

use influence_core::{
    Result as CoreResult,
    block::{Block, ParameterLayout},
};

use super::{Curvature, Linearised, LossSlopes, TrainingData, kept::Kept};
use crate::{Batch, ModelGradients, Result, trace::Function};

/// The most outputs for which the second derivative of the loss is kept as a matrix for each sample.
const MOST_OUTPUTS: usize = 32;

/// The Hessian or the Gauss-Newton matrix of batches for which the network is a chain of linear maps.
#[derive(Debug)]
pub(super) struct Chains {
    curvature: Curvature,
    pub(super) source: ModelGradients,
    pub(super) data: TrainingData,
    kept: Kept<Option<Arc<Linearised>>>,
}

impl Chains {
    pub(super) fn new(
        curvature: Curvature,
        source: ModelGradients,
        data: TrainingData,
        memory: usize,
    ) -> Self {
        Self {
            curvature,
            source,
            data,
            kept: Kept::new(memory),
        }
    }

    /// One batch, if the network is a chain.
    pub(super) fn part(&self, part: usize) -> CoreResult<Option<Arc<Linearised>>> {
        self.data.begun(part);
        let bytes = self.source.precision.bytes();
        let size = |chain: &Option<Arc<Linearised>>| {
            chain.as_ref().map_or(0, |chain| chain.scalars() * bytes)
        };
        let make = |part| Ok(self.linearised(&self.data.batch(part)?)?.map(Arc::new));
        self.kept.part(part, self.data.batches(), make, size)
    }

    fn linearised(&self, batch: &Batch) -> Result<Option<Linearised>> {
        let exact = self.curvature == Curvature::Hessian;
        let function = if exact {
            Function::Loss
        } else {
            Function::Outputs
        };
        let graph = self.source.trace.graph(function, batch)?;
        let trained = self.source.layout().parameters().len();
        let chain = graph.chain(trained, batch.len());
        let Some(chain) = chain.filter(|_| self.source.untapped().next().is_none()) else {
            return Ok(None);
        };
        let Some(last) = chain.last().map(|link| &link.output) else {
            return Ok(None);
        };
        if last.shape[1] > MOST_OUTPUTS || !(exact || last.id == graph.output.id) {
            return Ok(None);
        }
        let (maps, mut loss) = self.source.engine.linear_maps(&graph, batch, &chain)?;
        if !exact {
            loss = LossSlopes {
                first: None,
                second: self.source.output_hessian(batch)?.matrices()?,
            };
        }
        Ok(Some(Linearised::new(maps, loss)))
    }
}

/// Where the columns of a block hold each of so many parameters, if they do.
pub(super) fn places(block: &Block, parameters: &ParameterLayout) -> Vec<Option<Range<usize>>> {
    let mut places = vec![None; parameters.parameters().len()];
    let mut end = 0;
    for &parameter in block.parameters() {
        let start = end;
        end += parameters.columns(parameter).len();
        places[parameter] = Some(start..end);
    }
    places
}

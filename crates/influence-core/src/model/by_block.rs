use ndarray::{Array2, ArrayD, ArrayView2};

use super::{
    BlockInfluence, FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, ScoreAxis,
    axes::stacked,
};
use crate::{Precision, Result, Rows, ThreadSafe, solver::Solution};

/// The influences of a model block by block, `(k, n, blocks)`: they add up to its influences.
///
/// With layer-wise blocks this tells which layers an influence comes from.
#[derive(Debug)]
pub struct ByBlock<G: GradientSource> {
    model: BlockInfluence<G>,
}

impl<G: GradientSource> ByBlock<G> {
    /// The influences of each block of a model.
    pub fn new(model: BlockInfluence<G>) -> Self {
        Self { model }
    }
}

impl<G: GradientSource> InfluenceModel for ByBlock<G> {
    type Batch = G::Batch;
    type Gradients = G::Gradients;
    type Factors = G::Rows;

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn precision(&self) -> Precision {
        self.model.precision()
    }

    fn gradients(&self, batch: &G::Batch) -> Result<G::Gradients> {
        self.model.gradients(batch)
    }

    fn factors(&self, batch: &G::Batch) -> Result<Solution<G::Rows>> {
        self.model.factors(batch)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Solution<G::Rows>> {
        self.model.group_factors(groups)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<G::Gradients> {
        self.model.group_gradients(groups)
    }

    fn scores(&self, factors: &G::Rows, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        let source = self.model.source();
        let blocks = self.model.blocks();
        stacked(blocks.map(|block| source.block_scores(factors, gradients, block)))
    }

    fn self_scores(&self, factors: &G::Rows, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        let source = self.model.source();
        stacked(self.model.blocks().map(|block| {
            let part = factors.columns(block.columns())?;
            let alone = G::Rows::assemble(factors.dim(), &[(block.columns(), part)])?;
            source.self_scores(&alone, gradients)
        }))
    }

    fn factors_to_array(&self, factors: &G::Rows) -> Result<Array2<f64>> {
        self.model.factors_to_array(factors)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<G::Rows> {
        self.model.factors_from_array(array)
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<G::Gradients> {
        self.model.gradients_from_array(array)
    }

    fn axes(&self, _sample: &G::Batch) -> Result<Vec<ScoreAxis>> {
        let names = self.model.blocks().map(|block| block.name().to_owned());
        Ok(vec![ScoreAxis::labelled("block", names.collect())])
    }

    fn footprint(&self, sample: &G::Batch, form: FactorForm) -> Result<Footprint> {
        let blocks = self.model.blocks().count();
        Ok(self.model.footprint(sample, form)?.with_numbers(blocks))
    }
}

impl<G: GradientSource + ThreadSafe> ThreadSafe for ByBlock<G> {}

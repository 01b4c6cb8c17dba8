//! A model that takes its time, around a model.

use std::{thread, time::Duration};

use influence_core::{
    FactorForm, Footprint, InfluenceModel, Result, solver::Solution, wrapper::ModelWrapper,
};
use ndarray::ArrayD;

/// How long factors and scores of a chunk take.
const DELAY: Duration = Duration::from_millis(5);

/// As the model in it, only slower, and with costs of its own.
pub(super) struct Delayed<M> {
    model: M,
    immediate: bool,
}

impl<M> Delayed<M> {
    /// A model whose factors are said to be solved at once, or not.
    pub(super) fn new(model: M, immediate: bool) -> Self {
        Self { model, immediate }
    }
}

impl<M: InfluenceModel> ModelWrapper for Delayed<M> {
    type Inner = M;

    fn inner(&self) -> &M {
        &self.model
    }

    fn factors(&self, batch: &M::Batch) -> Result<Solution<M::Factors>> {
        thread::sleep(DELAY);
        self.model.factors(batch)
    }

    fn scores(&self, factors: &M::Factors, gradients: &M::Gradients) -> Result<ArrayD<f64>> {
        thread::sleep(DELAY);
        self.model.scores(factors, gradients)
    }

    /// Gradients are costly, so that they are held, in several panels where the memory is small.
    fn footprint(&self, sample: &M::Batch, form: FactorForm) -> Result<Footprint> {
        Ok(Footprint {
            gradient_flops: 1e6,
            immediate: self.immediate,
            ..self.model.footprint(sample, form)?
        })
    }
}

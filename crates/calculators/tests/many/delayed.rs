//! A model that takes its time, around a model.

use std::{thread, time::Duration};

use influence_core::{
    FactorForm, Footprint, InfluenceModel, Precision, Result, ScoreAxis, solver::Solution,
};
use ndarray::{Array2, ArrayD, ArrayView2};

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

impl<M: InfluenceModel> InfluenceModel for Delayed<M> {
    type Batch = M::Batch;
    type Gradients = M::Gradients;
    type Factors = M::Factors;

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn factor_len(&self) -> usize {
        self.model.factor_len()
    }

    fn precision(&self) -> Precision {
        self.model.precision()
    }

    fn gradients(&self, batch: &M::Batch) -> Result<M::Gradients> {
        self.model.gradients(batch)
    }

    fn factors(&self, batch: &M::Batch) -> Result<Solution<M::Factors>> {
        thread::sleep(DELAY);
        self.model.factors(batch)
    }

    fn scores(&self, factors: &M::Factors, gradients: &M::Gradients) -> Result<ArrayD<f64>> {
        thread::sleep(DELAY);
        self.model.scores(factors, gradients)
    }

    fn self_scores(&self, factors: &M::Factors, gradients: &M::Gradients) -> Result<ArrayD<f64>> {
        self.model.self_scores(factors, gradients)
    }

    fn factors_to_array(&self, factors: &M::Factors) -> Result<Array2<f64>> {
        self.model.factors_to_array(factors)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<M::Factors> {
        self.model.factors_from_array(array)
    }

    fn axes(&self, sample: &M::Batch) -> Result<Vec<ScoreAxis>> {
        self.model.axes(sample)
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

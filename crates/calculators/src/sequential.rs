//! One task after another.

use influence_core::InfluenceModel;

use crate::{Calculator, Result};

/// Runs one task after another in the calling thread; the reference for
/// [`Parallel`](crate::Parallel).
#[derive(Debug)]
pub struct Sequential<M> {
    model: M,
}

impl<M: InfluenceModel> Sequential<M> {
    /// Takes a model.
    pub fn new(model: M) -> Self {
        Self { model }
    }
}

impl<M: InfluenceModel> Calculator for Sequential<M> {
    type Model = M;

    fn run(
        &self,
        tasks: usize,
        _workers: usize,
        work: &(dyn Fn(&M, usize) -> Result<()> + Sync),
    ) -> Result<()> {
        (0..tasks).try_for_each(|task| work(&self.model, task))
    }
}

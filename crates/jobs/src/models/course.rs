//! What a training goes along: its settings, its points, and the order in which it takes them.

use std::fmt::{self, Debug};

use anyhow::{Result, ensure};
use influence_data::Gather;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

use crate::config::Training;

/// A training: where it takes its steps from.
///
/// Each epoch goes through all points once, in batches of an order that follows from the seed. A
/// step minimises the mean of `weight · loss` over the samples of its batch. The mean divides by
/// the number of samples whatever their weights, so a sample of weight 0 takes part in the batch
/// and adds nothing to the loss.
#[derive(Clone, Copy)]
pub struct Course<'a> {
    /// How steps follow from gradients, and how many there are.
    pub settings: &'a Training,
    /// What the order of the points is drawn from.
    pub seed: u64,
    /// The training points.
    pub points: &'a dyn Gather,
    /// The weight of each of them; `None` is 1 everywhere.
    pub weights: Option<&'a [f32]>,
}

impl Debug for Course<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course")
            .field("settings", self.settings)
            .field("seed", &self.seed)
            .field("points", &self.points.count())
            .finish_non_exhaustive()
    }
}

impl Course<'_> {
    /// Refuses weights that do not belong to the points.
    pub(crate) fn check(&self) -> Result<()> {
        let (points, weights) = (self.points.count(), self.weights.map(<[f32]>::len));
        ensure!(
            weights.is_none_or(|weights| weights == points),
            "a training on {points} points has {} weights, expected one for each point",
            weights.unwrap_or_default()
        );
        Ok(())
    }

    /// The number of steps.
    pub(crate) fn steps(&self) -> usize {
        let Training { epochs, batch, .. } = *self.settings;
        epochs * self.points.count().div_ceil(batch)
    }

    /// The weights of some of the points, in this order.
    pub(crate) fn weights_of(&self, chosen: &[usize]) -> Option<Vec<f32>> {
        let weights = self.weights?;
        Some(chosen.iter().map(|&point| weights[point]).collect())
    }

    /// The orders of all epochs, one after another.
    pub(crate) fn orders(&self) -> BatchOrders {
        BatchOrders {
            random: Xoshiro256PlusPlus::seed_from_u64(self.seed),
            order: (0..self.points.count()).collect(),
        }
    }
}

/// The order in which each epoch takes the points.
#[derive(Debug)]
pub(crate) struct BatchOrders {
    random: Xoshiro256PlusPlus,
    order: Vec<usize>,
}

impl BatchOrders {
    /// That of the next epoch: the last one, shuffled.
    pub(crate) fn next(&mut self) -> &[usize] {
        self.order.shuffle(&mut self.random);
        &self.order
    }
}

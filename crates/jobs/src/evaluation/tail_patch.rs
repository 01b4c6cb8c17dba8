//! The tail patch: one more step of the training on a single training point, from the trained
//! weights on, and by how much it lowers the loss on a test point that the point is said to help.
//!
//! For a test point `j` and each of the `N` training points with the largest influence on it the
//! step is that of gradient descent, `θ' = θ − η ∇ℓ_i(θ)`, with the learning rate `η` of the
//! training section and neither momentum nor weight decay. The score of a method is the mean over
//! test points and over their `N` points of `m_j(θ) − m_j(θ')`, which is positive where steps help.
//! To first order it is `η ⟨∇m_j, ∇ℓ_i⟩`: the gradient dot product chooses the points that it is
//! largest for, and is hard to beat. What a training on many points would forget or find by itself
//! does not count here.
//!
//! Chang, Rajagopal, Bolukbasi, Dixon and Tenney, *Scalable influence and fact tracing for large
//! language model pretraining*, 2024.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use ndarray::{Array2, Axis};
use serde_json::json;

use super::{
    attribution::Contest,
    outcome::{Evaluation, Finding, Statistic},
    removal::by_helpfulness,
    statistics::bootstrap,
};
use crate::{
    config::{Config, Optimiser, Schedule, Training},
    retraining::{Beginning, Retraining, Subset},
    watch::Host,
};

/// The name of the statistic.
const FALL: &str = "fall";
/// What is done, in words.
const STEP: &str = "one step of gradient descent on one training point, from the trained weights, of the length train.learning_rate";

/// Steps on single training points.
#[derive(Debug, Clone, Copy)]
pub struct TailPatch {
    /// The training points of each test point: those that help it most.
    pub points: usize,
}

impl TailPatch {
    /// Takes a step on each of the most helpful points of each test point, for every attribution.
    ///
    /// # Errors
    /// When there are fewer training points, a model draws random numbers while it is trained or
    /// needs larger batches, or whatever a fit or a computation reports.
    pub fn rate(&self, contest: &Contest<'_>) -> Result<Evaluation> {
        ensure!(
            (1..=contest.points).contains(&self.points),
            "--tail-patch {}: there are {} training points; give 1 or more of them",
            self.points,
            contest.points
        );
        let config = of_one_step(contest.configured());
        let seeds = [contest.seed()];
        let beginning = Beginning::Trained;
        let retraining = Retraining::beginning_at(beginning, &config, contest.models(), &seeds)?;
        let mut steps = PatchedModel::new(retraining, contest.seed(), contest.host)?;
        let mut findings = Vec::new();
        contest.each(false, &Ok, &mut |attribution| {
            let falls = steps.falls(&attribution.influences, self.points)?;
            let rows = falls.nrows() as f64;
            let means = falls.sum_axis(Axis(1)) / falls.ncols() as f64;
            let fall = bootstrap(means.len(), contest.seed(), |weights| {
                let pairs = means.iter().zip(weights);
                pairs.map(|(mean, weight)| mean * weight).sum::<f64>() / rows
            });
            findings.push(Finding::of(attribution, vec![Statistic::new(FALL, fall)]));
            Ok(())
        })?;
        let about = json!({
            "points": self.points,
            "test_points": contest.rows,
            "step": STEP,
            "learning_rate": config.train.learning_rate,
            "statistic": "fall of the loss on a test point by a step on each of its most helpful training points, mean over both",
            "intervals": "95 %, resampling test points",
        });
        Ok(Evaluation::new("tail-patch", about, findings))
    }
}

/// The configuration whose training is one step along the gradient of its points.
fn of_one_step(config: &Config) -> Config {
    Config {
        train: Training {
            optimiser: Optimiser::Sgd,
            schedule: Schedule::Constant,
            momentum: 0.0,
            weight_decay: 0.0,
            epochs: 1,
            batch: 1,
            checkpoints: None,
            ..config.train.clone()
        },
        ..config.clone()
    }
}

/// What steps have done, each of them once.
struct PatchedModel<'a> {
    retraining: Retraining<'a>,
    seed: u64,
    host: &'a dyn Host,
    /// The measurement of each test point at the trained weights.
    before: Vec<f64>,
    /// The same after a step on a training point.
    after: BTreeMap<usize, Vec<f64>>,
}

impl<'a> PatchedModel<'a> {
    fn new(retraining: Retraining<'a>, seed: u64, host: &'a dyn Host) -> Result<Self> {
        // A point of weight 0 has no gradient: the step goes nowhere.
        let still = retraining.weighted_model(&Subset::new(vec![0])?, Some(&[0.0]), seed)?;
        Ok(Self {
            before: retraining.outcome_of(&*still)?.losses,
            after: BTreeMap::new(),
            retraining,
            seed,
            host,
        })
    }

    /// By how much the measurement of each test point falls by a step on each of the training
    /// points that help it most, `(rows, points)`, the most helpful first.
    fn falls(&mut self, influences: &Array2<f64>, points: usize) -> Result<Array2<f64>> {
        let chosen = influences.rows().into_iter().map(|row| {
            let mut order = by_helpfulness(&row.to_vec());
            order.truncate(points);
            order
        });
        let chosen: Vec<Vec<usize>> = chosen.collect();
        self.take(chosen.iter().flatten().copied())?;
        Ok(Array2::from_shape_fn(
            (chosen.len(), points),
            |(row, place)| self.before[row] - self.after[&chosen[row][place]][row],
        ))
    }

    /// Takes the steps that have not been taken.
    fn take(&mut self, points: impl Iterator<Item = usize>) -> Result<()> {
        let mut missing: Vec<usize> = points.filter(|it| !self.after.contains_key(it)).collect();
        missing.sort_unstable();
        missing.dedup();
        let subsets = missing.iter().map(|&point| Subset::new(vec![point]));
        let subsets: Vec<Subset> = subsets.collect::<Result<_>>()?;
        let losses = self
            .retraining
            .losses_of_each(&subsets, self.seed, self.host)?;
        self.after.extend(missing.into_iter().zip(losses));
        Ok(())
    }
}

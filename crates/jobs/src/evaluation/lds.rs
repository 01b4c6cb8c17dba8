//! The linear datamodelling score.
//!
//! Models are retrained on random subsets of the training points. An attribution predicts of each
//! test point by how much its loss rises when the points outside a subset are left out; the score
//! is Spearman's correlation of prediction and loss over the subsets, mean over test points (Park
//! et al. 2023). Random halves move a model far from where it was differentiated: the score says
//! how well influences order large changes, not how well they measure them.

use anyhow::{Result, ensure};
use ndarray::{Array2, Array3, Axis, s};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use serde_json::json;

use super::{
    attribution::Contest,
    drawn::Scatter,
    outcome::{Evaluation, Finding, Statistic},
    prediction::predicted_changes,
    statistics::{Agreement, by_row, ceiling},
    study::suffix,
};
use crate::retraining::{Absence, Study, Subset};

/// What is drawn for a linear datamodelling score.
#[derive(Debug, Clone)]
pub struct Lds {
    /// How many subsets.
    pub subsets: usize,
    /// The share of the training points that each keeps.
    pub fraction: f64,
    /// How a training is without the other points.
    pub absence: Absence,
    /// The seeds from which each is trained.
    pub seeds: Vec<u64>,
}

impl Lds {
    /// The retrainings, of subsets drawn from a seed, the first of which are the same however many
    /// are drawn.
    ///
    /// # Errors
    /// When the subsets have no points, or all.
    pub fn study(&self, points: usize, seed: u64) -> Result<Study> {
        let kept = influence_data::test_points(points, self.fraction);
        ensure!(
            kept > 0 && kept < points,
            "--fraction {}: subsets would keep {kept} of {points} training points",
            self.fraction
        );
        ensure!(
            self.subsets > 2,
            "--lds {}: a correlation takes 3 subsets or more",
            self.subsets
        );
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let subsets = (0..self.subsets)
            .map(|_| Subset::new(index::sample(&mut random, points, kept).into_vec()));
        Ok(Study {
            // More subsets and more seeds go behind those that a bank has.
            name: format!(
                "subsets_of_{kept}_drawn_by_{seed}{}",
                suffix(self.absence, &self.seeds)
            ),
            subsets: subsets.collect::<Result<_>>()?,
            absence: self.absence,
            seeds: self.seeds.clone(),
        })
    }

    /// Rates attributions by what retrainings gave, losses `(subsets, seeds, k)`.
    ///
    /// # Errors
    /// Whatever a fit or a computation reports.
    pub fn rate(
        &self,
        contest: &Contest<'_>,
        study: &Study,
        losses: &Array3<f64>,
    ) -> Result<Evaluation> {
        let seed = study.seeds[0];
        let losses = losses.slice(s![.., .., ..contest.rows]).to_owned();
        let removed: Vec<Vec<usize>> = study
            .subsets
            .iter()
            .map(|subset| complement(subset.points(), contest.points))
            .collect();
        let actual = over_seeds(&losses);
        let mut findings = Vec::new();
        contest.each(false, &Ok, &mut |attribution| {
            let predicted = predicted_changes(&attribution.influences, &removed, self.absence)?;
            let lds = by_row(&predicted, &actual, Agreement::Spearman, seed);
            let statistics = vec![Statistic::of_rows("lds", &lds)];
            let quartiles = || Scatter::quartiles(&predicted, &actual, &lds.rows, seed);
            findings.push(Finding::of(attribution, statistics).with_scatters(quartiles));
            Ok(())
        })?;
        let about = json!({
            "subsets": self.subsets,
            "fraction": self.fraction,
            "seeds": study.seeds,
            "training_points": contest.points,
            "test_points": contest.rows,
            "objective": self.absence.objective(),
            "divisor": self.absence.divisor(),
            "ceiling": ceiling(&losses),
            "intervals": "95 %, resampling test points and subsets",
        });
        Ok(Evaluation::new("lds", about, findings))
    }
}

/// The mean over seeds of losses `(subsets, seeds, rows)`, as `(rows, subsets)`.
pub(super) fn over_seeds(losses: &Array3<f64>) -> Array2<f64> {
    let sums = losses.sum_axis(Axis(1)) / losses.len_of(Axis(1)) as f64;
    sums.reversed_axes()
}

/// The points that are not among these, which are sorted.
fn complement(kept: &[usize], points: usize) -> Vec<usize> {
    let is_left_out = |point: &usize| kept.binary_search(point).is_err();
    (0..points).filter(is_left_out).collect()
}

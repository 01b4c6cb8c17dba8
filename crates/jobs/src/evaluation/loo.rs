//! Leave-one-out retraining: the question that influences answer, asked of the training itself.
//!
//! Half of the points are those with the largest influence on themselves, which are the ones whose
//! absence is felt, and half are drawn from the others. The model is trained on all points and on
//! all but each of them, from the same seed, and the difference is held against the prediction.
//! From scratch the difference of two trainings of a network is mostly noise; trained on from the
//! weights of the model, it is what influences are about: how the minimum moves.

use anyhow::{Result, ensure};
use ndarray::{Array2, Array3, Axis, s};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use serde_json::json;

use super::{
    attribution::Contest,
    drawn::Scatter,
    lds::over_seeds,
    outcome::{Evaluation, Finding, Statistic},
    prediction::predicted_changes,
    statistics::{Agreement, by_row, pooled},
    study::named,
};
use crate::retraining::{Absence, Study, Subset};

/// What is left out, one point at a time.
#[derive(Debug, Clone)]
pub struct LeaveOneOut {
    points: Vec<usize>,
    absence: Absence,
}

impl LeaveOneOut {
    /// Chooses points: half those with the largest influence on themselves by the configured
    /// method, half drawn from the others.
    ///
    /// # Errors
    /// When there are too few points, or their influences cannot be computed.
    pub fn choose(contest: &Contest<'_>, count: usize, absence: Absence) -> Result<Self> {
        let points = chosen_of(contest, count, &format!("--loo {count}: leave out"))?;
        Ok(Self { points, absence })
    }

    /// The retrainings: all points, then all but each of those chosen.
    ///
    /// # Errors
    /// None that can be met: there are several points.
    pub fn study(&self, points: usize, seeds: Vec<u64>) -> Result<Study> {
        let without = self
            .points
            .iter()
            .map(|&point| Subset::without(points, &[point]));
        let all = Subset::without(points, &[]);
        let subsets = std::iter::once(all).chain(without);
        Ok(named(
            "leave-one-out",
            subsets.collect::<Result<_>>()?,
            self.absence,
            seeds,
        ))
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
        let actual = changes(&losses.slice(s![.., .., ..contest.rows]).to_owned());
        let removed: Vec<Vec<usize>> = self.points.iter().map(|&point| vec![point]).collect();
        let seed = study.seeds[0];
        let mut findings = Vec::new();
        contest.each(false, &Ok, &mut |attribution| {
            let predicted = predicted_changes(&attribution.influences, &removed, self.absence)?;
            let statistics = statistics(&predicted, &actual, seed, attribution.is_baseline);
            let pooled = || vec![Scatter::pooled(&predicted, &actual, seed)];
            findings.push(Finding::of(attribution, statistics).with_scatters(pooled));
            Ok(())
        })?;
        let about = json!({
            "left_out": self.points,
            "seeds": study.seeds,
            "test_points": contest.rows,
            "objective": self.absence.objective(),
            "divisor": self.absence.divisor(),
            "intervals": "95 %, resampling points left out, and test points for means over these",
        });
        Ok(Evaluation::new("loo", about, findings))
    }
}

/// How well changes are predicted: within each test point, and over all of them. A baseline has no
/// unit, hence no slope.
pub(super) fn statistics(
    predicted: &Array2<f64>,
    actual: &Array2<f64>,
    seed: u64,
    is_baseline: bool,
) -> Vec<Statistic> {
    let all = [Agreement::Pearson, Agreement::Spearman, Agreement::Slope];
    let agreements = if is_baseline { &all[..2] } else { &all[..] };
    let rows = agreements.iter().map(|&agreement| {
        let rows = by_row(predicted, actual, agreement, seed);
        Statistic::of_rows(agreement.as_str(), &rows)
    });
    let pooled = agreements.iter().map(|&agreement| {
        let interval = pooled(predicted, actual, agreement, seed);
        Statistic::new(format!("pooled_{}", agreement.as_str()), interval)
    });
    rows.chain(pooled).collect()
}

/// How much each loss rises when a point is left out, `(rows, points)`, mean over seeds; the first
/// subset has all points.
fn changes(losses: &Array3<f64>) -> Array2<f64> {
    let mean = over_seeds(losses);
    let all = mean.slice(s![.., ..1]).to_owned();
    let without = mean.slice_axis(Axis(1), (1..).into());
    &without - &all
}

/// Points for a study of single ones, by the influences on themselves of the configured method.
pub(super) fn chosen_of(contest: &Contest<'_>, count: usize, asked: &str) -> Result<Vec<usize>> {
    let own = contest.configured_own()?;
    ensure!(
        (3..own.len()).contains(&count),
        "{asked} 3 points or more, and fewer than the {} training points",
        own.len()
    );
    Ok(chosen(&own, count, contest.seed()))
}

/// Half of the points those with the largest numbers, whatever their sign, half drawn from the
/// others.
fn chosen(own: &[f64], count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..own.len()).collect();
    order.sort_by(|&a, &b| own[b].abs().total_cmp(&own[a].abs()).then(a.cmp(&b)));
    let largest = count.div_ceil(2);
    order[largest..].shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn half_of_the_points_are_the_ones_that_matter() {
        let own: Vec<f64> = (0..100)
            .map(|i| f64::from(i % 50) * if i < 50 { 1.0 } else { -1.0 })
            .collect();
        let got = chosen(&own, 7, 3);
        assert_eq!(got[..4], [49, 99, 48, 98]);
        let mut rest = got[4..].to_vec();
        rest.sort_unstable();
        rest.dedup();
        assert!(rest.len() == 3 && rest.iter().all(|point| !got[..4].contains(point)));
        assert_eq!(got, chosen(&own, 7, 3));
        assert_ne!(got, chosen(&own, 7, 4));
    }

    #[test]
    fn a_change_is_the_mean_over_seeds_of_the_loss_without_less_that_with_all() {
        // Two points left out, two seeds, two test points.
        let losses = array![
            [[1.0, 2.0], [3.0, 4.0]],
            [[2.0, 2.0], [4.0, 5.0]],
            [[0.0, 1.0], [1.0, 7.0]]
        ];
        assert_eq!(changes(&losses), array![[1.0, -1.5], [0.5, 1.0]]);
    }
}

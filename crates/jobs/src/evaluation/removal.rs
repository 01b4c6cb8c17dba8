//! Removal curves: the test loss after retraining without the training points that an attribution
//! calls the most helpful ones. The better an attribution, the more the loss rises.

use anyhow::{Result, ensure};
use ndarray::{Array3, Axis, s};
use serde_json::json;

use super::{
    attribution::{Attribution, Contest},
    outcome::{Evaluation, Finding, Statistic},
    statistics::bootstrap_both,
    study::named,
};
use crate::retraining::{Absence, Study, Subset};

/// How many points are removed, once each.
#[derive(Debug, Clone)]
pub struct Removal {
    /// In ascending order.
    pub counts: Vec<usize>,
    /// How a training is without the points.
    pub absence: Absence,
    /// The seeds of each training.
    pub seeds: Vec<u64>,
}

impl Removal {
    /// Retrains without the most helpful points of each attribution, by `losses`, which gives those
    /// of a study as `(subsets, seeds, k)`, if it is the whole study that is done here.
    ///
    /// # Errors
    /// Whatever a fit or a computation reports, or whatever the trainings report.
    pub fn rate(
        &self,
        contest: &Contest<'_>,
        losses: &mut dyn FnMut(&Study) -> Result<Option<Array3<f64>>>,
    ) -> Result<Evaluation> {
        let mut findings = Vec::new();
        contest.each(false, &Ok, &mut |attribution| {
            let study = self.study(attribution)?;
            let Some(losses) = losses(&study)? else {
                return Ok(());
            };
            let losses = losses.slice(s![.., .., ..contest.rows]).to_owned();
            let statistics = self.statistics(&losses, contest.seed());
            findings.push(Finding::of(attribution, statistics).with_curve_at(&self.counts));
            Ok(())
        })?;
        let about = json!({
            "removed": self.counts,
            "seeds": self.seeds,
            "test_points": contest.rows,
            "statistic": "rise of the mean test loss without the k most helpful training points of its mean",
            "intervals": "95 %, resampling test points and seeds",
        });
        Ok(Evaluation::new("removal", about, findings))
    }

    /// All points, and those that are left without the most helpful ones.
    fn study(&self, attribution: &Attribution) -> Result<Study> {
        let order = by_helpfulness(&attribution.influences.sum_axis(Axis(0)).to_vec());
        let points = order.len();
        let most = self.counts.last().copied().unwrap_or(0);
        ensure!(
            most < points,
            "--removal {most}: there are {points} training points"
        );
        let counts = std::iter::once(&0).chain(&self.counts);
        let subsets = counts.map(|&count| Subset::without(points, &order[..count]));
        let subsets = subsets.collect::<Result<_>>()?;
        Ok(named("removal", subsets, self.absence, self.seeds.clone()))
    }

    /// How much the mean loss rises for each count, of losses `(1 + counts, seeds, rows)`.
    fn statistics(&self, losses: &Array3<f64>, seed: u64) -> Vec<Statistic> {
        let all = losses.index_axis(Axis(0), 0);
        let rise = |place: usize| &losses.index_axis(Axis(0), place + 1) - &all;
        let counts = self.counts.iter().enumerate();
        counts
            .map(|(place, count)| {
                let rise = rise(place);
                let (seeds, rows) = rise.dim();
                let mean = bootstrap_both([seeds, rows], seed, |[by_seed, by_row]| {
                    let entries = rise.indexed_iter();
                    let sum: f64 = entries
                        .map(|((seed, row), value)| by_seed[seed] * by_row[row] * value)
                        .sum();
                    sum / (seeds * rows) as f64
                });
                Statistic::new(format!("without_{count}"), mean)
            })
            .collect()
    }
}

/// The training points in the order of their influences, the most helpful first.
pub(super) fn by_helpfulness(influences: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..influences.len()).collect();
    order.sort_by(|&a, &b| influences[b].total_cmp(&influences[a]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_most_helpful_points_go_first_and_the_rise_is_a_mean() -> Result<()> {
        let removal = Removal {
            counts: vec![1, 2],
            absence: Absence::Removed,
            seeds: vec![0, 1],
        };
        let attribution = Attribution {
            name: "direct".into(),
            damping: None,
            is_baseline: false,
            influences: array![[1.0, 5.0, -1.0, 0.0], [1.0, -2.0, 3.0, 0.0]],
            own: None,
        };
        let study = removal.study(&attribution)?;
        let kept: Vec<&[usize]> = study.subsets.iter().map(Subset::points).collect();
        assert_eq!(kept, [&[0, 1, 2, 3][..], &[0, 2, 3], &[2, 3]]);
        let losses = array![
            [[1.0, 2.0], [3.0, 4.0]],
            [[2.0, 2.0], [4.0, 5.0]],
            [[5.0, 6.0], [7.0, 8.0]]
        ];
        let got = removal.statistics(&losses, 0);
        let got: Vec<(&str, f64)> = got
            .iter()
            .map(|one| (one.name.as_str(), one.interval.value))
            .collect();
        assert_eq!(got, [("without_1", 0.75), ("without_2", 4.0)]);
        Ok(())
    }
}

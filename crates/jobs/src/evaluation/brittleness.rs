//! Brittleness: how few training points have to go before a prediction changes (Ilyas et al. 2022).
//! The better an attribution, the fewer of those that it calls the most helpful ones on a test
//! point it takes to have another class predicted there.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};

use super::{
    attribution::{Attribution, Contest},
    outcome::{Evaluation, Finding, Statistic},
    removal::by_helpfulness,
    statistics::bootstrap,
    study::named,
};
use crate::retraining::{Absence, Outcome, Study, Subset};

/// How many points are removed of each test point, once each.
#[derive(Debug, Clone)]
pub struct Brittleness {
    /// In ascending order.
    pub counts: Vec<usize>,
    /// How a training is without the points.
    pub absence: Absence,
    /// The seeds of each training.
    pub seeds: Vec<u64>,
}

/// Gives the outcomes of a study, those of the first subset first, if it is the whole study that is
/// done here.
pub(super) type Outcomes<'a> = dyn FnMut(&Study) -> Result<Option<Vec<Outcome>>> + 'a;

impl Brittleness {
    /// Retrains without the most helpful points of each attribution and test point, by `outcomes`.
    ///
    /// # Errors
    /// Whatever a fit, a computation or a training reports, or when the model chooses no class.
    pub(super) fn rate(
        &self,
        contest: &Contest<'_>,
        outcomes: &mut Outcomes<'_>,
    ) -> Result<Evaluation> {
        let (mut findings, mut smallest) = (Vec::new(), Map::new());
        contest.each(false, &Ok, &mut |attribution| {
            let study = self.study(attribution)?;
            let Some(outcomes) = outcomes(&study)? else {
                return Ok(());
            };
            let found = self.smallest(&outcomes, contest.rows)?;
            let statistics = self.statistics(&found, contest.seed());
            let finding = Finding::of(attribution, statistics).with_curve_at(&self.counts);
            smallest.insert(finding.title(), json!(found));
            findings.push(finding);
            Ok(())
        })?;
        let about = json!({
            "removed": self.counts,
            "seeds": self.seeds,
            "test_points": contest.rows,
            "statistic": "share of the test points with another class without k of their most helpful training points, or fewer",
            "intervals": "95 %, resampling test points",
            "smallest": smallest,
        });
        Ok(Evaluation::new("brittleness", about, findings))
    }

    /// All points; then, for each test point and count, those that are left.
    fn study(&self, attribution: &Attribution) -> Result<Study> {
        let (points, most) = (attribution.influences.ncols(), self.counts.last());
        let most = most.copied().unwrap_or(0);
        ensure!(
            most < points,
            "--brittleness {most}: there are {points} training points"
        );
        let mut subsets = vec![Subset::without(points, &[])?];
        for row in attribution.influences.rows() {
            let order = by_helpfulness(&row.to_vec());
            for &count in &self.counts {
                subsets.push(Subset::without(points, &order[..count])?);
            }
        }
        Ok(named(
            "brittleness",
            subsets,
            self.absence,
            self.seeds.clone(),
        ))
    }

    /// The smallest count that changes the class of each test point, if one does.
    fn smallest(&self, outcomes: &[Outcome], rows: usize) -> Result<Vec<Option<usize>>> {
        let class = |subset: usize, row: usize| -> Result<usize> {
            let of_seeds = outcomes.chunks(self.seeds.len()).nth(subset);
            let chosen = of_seeds.into_iter().flatten().map(|outcome| {
                let classes = outcome.classes.as_ref();
                classes.context("--brittleness: the model chooses no class for a point")
            });
            let chosen = chosen.map(|classes| Ok(classes?[row]));
            most_frequent(&chosen.collect::<Result<Vec<usize>>>()?).context("no seeds")
        };
        let smallest = |row: usize| {
            let all = class(0, row)?;
            for (place, &count) in self.counts.iter().enumerate() {
                if class(1 + row * self.counts.len() + place, row)? != all {
                    return Ok(Some(count));
                }
            }
            Ok(None)
        };
        (0..rows).map(smallest).collect()
    }

    /// The share of the test points whose class changes, for each count.
    fn statistics(&self, smallest: &[Option<usize>], seed: u64) -> Vec<Statistic> {
        let share = |count: usize| {
            bootstrap(smallest.len(), seed, |weights| {
                let changed = smallest.iter().zip(weights);
                let changed = changed.filter(|(it, _)| it.is_some_and(|it| it <= count));
                changed.map(|(_, weight)| weight).sum::<f64>() / smallest.len() as f64
            })
        };
        let counts = self.counts.iter();
        counts
            .map(|&count| Statistic::new(format!("changed_without_{count}"), share(count)))
            .collect()
    }
}

/// The class that is there most often, the smallest of several.
fn most_frequent(classes: &[usize]) -> Option<usize> {
    let count = |class: usize| classes.iter().filter(|&&other| other == class).count();
    let mut sorted = classes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().rev().max_by_key(|&class| count(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_count_that_changes_most_seeds_is_found() -> Result<()> {
        let brittleness = Brittleness {
            counts: vec![2, 5],
            absence: Absence::Removed,
            seeds: vec![0, 1, 2],
        };
        let seeds = |classes: [[usize; 2]; 3]| {
            classes.map(|classes| Outcome {
                losses: vec![0.0; 2],
                classes: Some(classes.to_vec()),
            })
        };
        // All points; two and five of test point 0, two and five of test point 1.
        let outcomes = [
            seeds([[1, 4], [1, 4], [0, 4]]),
            seeds([[1, 0], [1, 0], [0, 0]]),
            seeds([[0, 0], [1, 0], [0, 0]]),
            seeds([[0, 4], [0, 4], [0, 4]]),
            seeds([[0, 4], [0, 3], [0, 4]]),
        ]
        .concat();
        let found = brittleness.smallest(&outcomes, 2)?;
        assert_eq!(found, [Some(5), None]);
        let shares = brittleness.statistics(&found, 0);
        let shares: Vec<f64> = shares.iter().map(|share| share.interval.value).collect();
        assert_eq!(shares, [0.0, 0.5]);
        Ok(())
    }
}

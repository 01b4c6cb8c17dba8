//! What the influences tell: who helped, who harmed, who is mislabelled.

use std::io::Write;

use anyhow::Result;
use influence_backend_burn::Influence;
use influence_calculators::Calculator;
use influence_core::aggregate::{Along, Mean, Order, Ranking, TopK};
use ndarray::Array1;

use super::digits::{Points, Split};
use crate::report::table;

/// Training points shown on either side of a test point.
const SHOWN: usize = 3;
/// Test points shown: so many that the model gets wrong, and one that it gets right.
const SHOWN_WRONG: usize = 3;
/// One in so many training points is inspected for a flipped label.
const INSPECTED_SHARE: usize = 10;

/// Rankings and scores of all points.
#[derive(Debug)]
pub(super) struct Findings {
    helpful: Vec<Ranking>,
    harmful: Vec<Ranking>,
    mean: Array1<f64>,
    on_themselves: Array1<f64>,
}

impl Findings {
    /// Solves the factors once, and lets one aggregator after another have the scores.
    pub(super) fn collect(
        calculator: &impl Calculator<Model = Influence>,
        split: &Split,
    ) -> Result<Self> {
        let (train, test) = (split.train.dataset()?, split.test.dataset()?);
        let factors = calculator.influence_factors(&test).to_array()?;
        let influences = || calculator.influences_from_factors(&factors, &train);
        Ok(Self {
            helpful: influences().compute(TopK::new(SHOWN, Order::Largest, Along::Train))?,
            harmful: influences().compute(TopK::new(SHOWN, Order::Smallest, Along::Train))?,
            mean: influences().compute(Mean::along(Along::Test))?,
            on_themselves: calculator.self_influences(&train).compute()?,
        })
    }

    /// Prints the accuracy and two tables.
    pub(super) fn print(
        &self,
        split: &Split,
        predicted: &[usize],
        out: &mut impl Write,
    ) -> Result<()> {
        let Split { train, test } = split;
        let is_right = |point: &usize| predicted[*point] == test.truth[*point];
        let right = (0..test.len()).filter(is_right).count();
        writeln!(
            out,
            "test accuracy of the network trained on them: {:.1} %",
            percent(right, test.len())
        )?;
        let wrong = (0..test.len())
            .filter(|point| !is_right(point))
            .take(SHOWN_WRONG);
        let shown: Vec<usize> = wrong.chain((0..test.len()).find(is_right)).collect();

        writeln!(
            out,
            "\nMost helpful and most harmful training points, as index:label (* a flipped label, with the true one)"
        )?;
        let rows = shown.iter().map(|&point| {
            let listed = |ranking: &Ranking| {
                ranking
                    .indices
                    .iter()
                    .map(|&index| labelled(train, index))
                    .collect::<Vec<_>>()
                    .join("  ")
            };
            let [truth, guess] =
                [test.truth[point], predicted[point]].map(|class| class.to_string());
            [
                point.to_string(),
                truth,
                guess,
                listed(&self.helpful[point]),
                listed(&self.harmful[point]),
            ]
        });
        writeln!(
            out,
            "{}",
            table(
                ["test point", "label", "predicted", "helpful", "harmful"],
                5,
                rows
            )
        )?;

        let inspected = train.len() / INSPECTED_SHARE;
        let is_flipped = |point| train.is_flipped(point);
        writeln!(
            out,
            "\nFlipped labels found when {inspected} of the {} training points are inspected",
            train.len()
        )?;
        let rows = [
            (
                "self-influence, largest first",
                found(
                    &self.on_themselves.mapv(|value| -value),
                    inspected,
                    is_flipped,
                ),
            ),
            (
                "mean influence on the test points, most harmful first",
                found(&self.mean, inspected, is_flipped),
            ),
        ];
        let rows = rows.map(|(order, found)| {
            row(
                order,
                &found.to_string(),
                percent(found, train.flipped_count()),
            )
        });
        let chance = row("chance", "", percent(inspected, train.len()));
        writeln!(
            out,
            "{}",
            table(
                ["order of inspection", "found", "share"],
                1,
                rows.into_iter().chain([chance])
            )
        )?;
        Ok(())
    }
}

fn row(order: &str, found: &str, share: f64) -> [String; 3] {
    [order.to_owned(), found.to_owned(), format!("{share:.0} %")]
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn labelled(points: &Points, index: usize) -> String {
    let (label, truth) = (points.labels[index], points.truth[index]);
    if points.is_flipped(index) {
        format!("{index}:{label}*{truth}")
    } else {
        format!("{index}:{label}")
    }
}

/// How many of the points with the lowest scores are flipped.
fn found(scores: &Array1<f64>, inspected: usize, is_flipped: impl Fn(usize) -> bool) -> usize {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    order
        .into_iter()
        .take(inspected)
        .filter(|&point| is_flipped(point))
        .count()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::found;

    #[test]
    fn the_lowest_scores_are_inspected_first() {
        let scores = array![0.5, -2.0, 1.0, -1.0];
        let is_flipped = |point| point == 3 || point == 0;
        assert_eq!(
            [1, 2, 3].map(|inspected| found(&scores, inspected, is_flipped)),
            [0, 1, 2]
        );
    }
}

//! What the influences tell: who helped, who harmed, who is mislabelled.

use std::io::Write;

use anyhow::Result;
use comfy_table::Table;
use influence_backend_burn::Influence;
use influence_calculators::Calculator;
use influence_core::aggregate::{Along, Mean, Order, Ranking, TopK};
use ndarray::Array1;

use super::digits::{Points, Split};
use crate::summary::table;

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
    /// Computes the influences once for all of them.
    pub(super) fn collect(
        calculator: &impl Calculator<Model = Influence>,
        split: &Split,
    ) -> Result<Self> {
        let (train, test) = (split.train.dataset()?, split.test.dataset()?);
        let top = |order| TopK::new(SHOWN, order, Along::Train);
        let (helpful, harmful, mean) = calculator.influences(&test, &train).compute((
            top(Order::Largest),
            top(Order::Smallest),
            Mean::along(Along::Test),
        ))?;
        Ok(Self {
            helpful,
            harmful,
            mean,
            on_themselves: calculator
                .self_influences(&train)
                .compute()?
                .into_dimensionality()?,
        })
    }

    /// Prints the accuracy and two tables.
    pub(super) fn print(
        &self,
        split: &Split,
        predicted: &[usize],
        out: &mut impl Write,
    ) -> Result<()> {
        let right = predicted
            .iter()
            .zip(&split.test.truth)
            .filter(|(guess, truth)| guess == truth)
            .count();
        writeln!(
            out,
            "test accuracy of the network trained on them: {:.1} %",
            percent(right, predicted.len())
        )?;
        writeln!(
            out,
            "\nMost helpful and most harmful training points, as index:label (* a flipped label, with the true one)"
        )?;
        writeln!(out, "{}", self.opinions(split, predicted))?;
        let (inspected, train) = (inspected(&split.train), split.train.len());
        writeln!(
            out,
            "\nFlipped labels found when {inspected} of the {train} training points are inspected"
        )?;
        writeln!(out, "{}", self.suspects(&split.train))?;
        Ok(())
    }

    /// Who helped and who harmed a few test points: some that the model gets wrong, and one that it gets right.
    fn opinions(&self, Split { train, test }: &Split, predicted: &[usize]) -> Table {
        let is_right = |point: &usize| predicted[*point] == test.truth[*point];
        let wrong = (0..test.len())
            .filter(|point| !is_right(point))
            .take(SHOWN_WRONG);
        let shown = wrong.chain((0..test.len()).find(is_right));
        let listed = |ranking: &Ranking| {
            ranking
                .indices
                .iter()
                .map(|&index| labelled(train, index))
                .collect::<Vec<_>>()
                .join("  ")
        };
        let rows = shown.map(|point| {
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
        table(
            ["test point", "label", "predicted", "helpful", "harmful"],
            5,
            rows,
        )
    }

    /// How many flipped labels two orders of inspection find, against chance.
    fn suspects(&self, train: &Points) -> Table {
        let inspected = inspected(train);
        let row = |order: &str, scores: &Array1<f64>| {
            let found = found(scores, inspected, |point| train.is_flipped(point));
            [
                order.to_owned(),
                found.to_string(),
                shown(percent(found, train.flipped_count())),
            ]
        };
        let rows = [
            row(
                "self-influence, largest first",
                &self.on_themselves.mapv(|value| -value),
            ),
            row(
                "mean influence on the test points, most harmful first",
                &self.mean,
            ),
            [
                "chance".to_owned(),
                String::new(),
                shown(percent(inspected, train.len())),
            ],
        ];
        table(["order of inspection", "found", "share"], 1, rows)
    }
}

/// How many training points one has the patience to look at.
fn inspected(train: &Points) -> usize {
    train.len() / INSPECTED_SHARE
}

fn shown(percent: f64) -> String {
    format!("{percent:.0} %")
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

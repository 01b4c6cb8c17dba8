use ndarray::{Array3, Axis};
use serde::Serialize;

use super::agreement::Agreement;

/// How well one training predicts another of the same points from another seed: what no prediction
/// can be expected to exceed. Correlations are Spearman's over subsets, mean over test points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// The mean correlation of the losses of two seeds.
    pub seed_with_seed: f64,
    /// The mean correlation of a seed with the mean of the others.
    pub seed_with_others: f64,
    /// The correlation to be expected of the mean of these seeds with the mean of as many others
    /// (Spearman 1910, Brown 1910).
    pub reliability: f64,
    /// The correlation of the mean of these seeds with that of all seeds, the root of the
    /// reliability: the most that a perfect prediction can score.
    pub ceiling: f64,
}

/// The ceiling of losses `(subsets, seeds, rows)`; none of a single seed.
pub fn ceiling(losses: &Array3<f64>) -> Option<Ceiling> {
    let seeds = losses.len_of(Axis(1));
    if seeds < 2 {
        return None;
    }
    let (mut pairs, mut others) = (Vec::new(), Vec::new());
    for row in losses.axis_iter(Axis(2)) {
        let columns: Vec<Vec<f64>> = row
            .columns()
            .into_iter()
            .map(|column| column.to_vec())
            .collect();
        for (seed, column) in columns.iter().enumerate() {
            let earlier = columns[..seed].iter();
            pairs.extend(earlier.map(|other| Agreement::Spearman.of(column, other)));
            others.push(Agreement::Spearman.of(column, &sum_without(&columns, seed)));
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (pair, count) = (mean(&pairs), seeds as f64);
    let reliability = (count * pair / (1.0 + (count - 1.0) * pair)).max(0.0);
    Some(Ceiling {
        seed_with_seed: pair,
        seed_with_others: mean(&others),
        reliability,
        ceiling: reliability.sqrt(),
    })
}

/// The sum of all columns but one.
fn sum_without(columns: &[Vec<f64>], left_out: usize) -> Vec<f64> {
    let mut sum = vec![0.0; columns[left_out].len()];
    for (_, column) in columns
        .iter()
        .enumerate()
        .filter(|(seed, _)| *seed != left_out)
    {
        for (sum, value) in sum.iter_mut().zip(column) {
            *sum += value;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_held_against_each_other() -> Result<(), ndarray::ShapeError> {
        let losses = vec![
            1.9, 1.4, 2.3, 0.5, 2.1, 0.6, 2.0, 2.1, 1.2, 1.6, -0.8, 2.7, 2.5, -1.5, 3.5, -2.0, 1.9,
            -1.1, 2.0, 0.9, 1.1, 0.1, 0.3, -1.5, -0.3, 0.5, 0.8, 1.3, -0.4, 0.2,
        ];
        let losses = Array3::from_shape_vec((5, 3, 2), losses)?;
        let Some(got) = ceiling(&losses) else {
            panic!("three seeds");
        };
        // scipy.stats.spearmanr of all pairs of seeds, of each seed with the mean of the others,
        // and 3 r / (1 + 2 r)
        for (got, expected) in [
            (got.seed_with_seed, 0.594_913_960_677_311),
            (got.seed_with_others, 0.735_065_223_472_343_5),
            (got.reliability, 0.815_014_670_617_541_4),
            (got.ceiling, 0.815_014_670_617_541_4_f64.sqrt()),
        ] {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        assert_eq!(ceiling(&Array3::zeros((5, 1, 2))), None);
        Ok(())
    }
}

//! The numbers that pictures of an evaluation show beside its statistics. Their size is bounded.

use ndarray::Array2;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use serde::Serialize;

use super::statistics::Interval;

/// How many pairs of a scatter are kept: of more, this many are drawn at random.
const MOST_PAIRS: usize = 2000;

/// Predictions with what happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// What the pairs are of.
    pub of: ScatterOf,
    /// `[predicted, actual]`, both in the unit of what is measured on test points.
    pub pairs: Vec<[f64; 2]>,
    /// How many pairs there are, of which those kept may be a part.
    pub all: usize,
}

/// What the pairs of a scatter are of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScatterOf {
    /// All test points together.
    Pooled,
    /// One test point.
    TestPoint {
        /// Its row.
        row: usize,
        /// Spearman's correlation of its pairs.
        spearman: f64,
    },
}

impl Scatter {
    /// All entries of two matrices.
    pub(super) fn pooled(predicted: &Array2<f64>, actual: &Array2<f64>, seed: u64) -> Self {
        let pairs = predicted.iter().zip(actual).map(|(&x, &y)| [x, y]);
        Self::thinned(ScatterOf::Pooled, pairs.collect(), seed)
    }

    /// The rows `(rows, columns)` at the quartiles of the correlations within rows, the lowest
    /// first; fewer where there are fewer rows.
    pub(super) fn quartiles(
        predicted: &Array2<f64>,
        actual: &Array2<f64>,
        correlations: &[f64],
        seed: u64,
    ) -> Vec<Self> {
        let mut rows: Vec<usize> = (0..correlations.len()).collect();
        rows.sort_by(|&a, &b| correlations[a].total_cmp(&correlations[b]).then(a.cmp(&b)));
        let last = rows.len().saturating_sub(1);
        let mut places = [1, 2, 3].map(|quarter| quarter * last / 4).to_vec();
        places.dedup();
        let chosen = places.into_iter().filter_map(|place| rows.get(place));
        let of_row = |&row: &usize| {
            let spearman = correlations[row];
            let (predicted, actual) = (predicted.row(row), actual.row(row));
            let pairs = predicted.iter().zip(actual).map(|(&x, &y)| [x, y]);
            Self::thinned(
                ScatterOf::TestPoint { row, spearman },
                pairs.collect(),
                seed,
            )
        };
        chosen.map(of_row).collect()
    }

    /// Pairs, of which some are drawn where there are too many; their order is kept.
    fn thinned(of: ScatterOf, pairs: Vec<[f64; 2]>, seed: u64) -> Self {
        let all = pairs.len();
        if all <= MOST_PAIRS {
            return Self { of, pairs, all };
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut kept = index::sample(&mut random, all, MOST_PAIRS).into_vec();
        kept.sort_unstable();
        let pairs = kept.into_iter().map(|place| pairs[place]).collect();
        Self { of, pairs, all }
    }
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Where it is: a number of training points that are removed, or a share of them that is
    /// inspected.
    pub at: f64,
    /// What was found there.
    pub value: f64,
    /// Where its 95 % interval begins and ends, if that was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

impl CurvePoint {
    /// A number with its interval.
    pub(super) fn new(at: f64, found: Interval) -> Self {
        Self {
            at,
            value: found.value,
            interval: Some([found.low, found.high]),
        }
    }

    /// A number without an interval.
    pub(super) fn bare(at: f64, value: f64) -> Self {
        Self {
            at,
            value,
            interval: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn pairs_are_those_of_the_matrices_in_their_order() {
        let (predicted, actual) = (
            array![[1.0, 2.0], [3.0, 4.0]],
            array![[-1.0, -2.0], [-3.0, -4.0]],
        );
        let got = Scatter::pooled(&predicted, &actual, 0);
        assert_eq!(
            got.pairs,
            [[1.0, -1.0], [2.0, -2.0], [3.0, -3.0], [4.0, -4.0]]
        );
        assert_eq!((got.of, got.all), (ScatterOf::Pooled, 4));
    }

    #[test]
    fn test_points_at_the_quartiles_are_shown() {
        let predicted = Array2::from_shape_fn((5, 2), |(row, column)| (row * 2 + column) as f64);
        let actual = -&predicted;
        let correlations = [0.9, 0.1, 0.5, 0.7, 0.3];
        let got = Scatter::quartiles(&predicted, &actual, &correlations, 0);
        let rows: Vec<ScatterOf> = got.iter().map(|scatter| scatter.of).collect();
        let of = |row: usize| ScatterOf::TestPoint {
            row,
            spearman: correlations[row],
        };
        assert_eq!(rows, [of(4), of(2), of(3)]);
        assert_eq!(got[0].pairs, [[8.0, -8.0], [9.0, -9.0]]);
        let few = Scatter::quartiles(&predicted, &actual, &correlations[..1], 0);
        assert_eq!(few.len(), 1);
        assert!(Scatter::quartiles(&predicted, &actual, &[], 0).is_empty());
    }

    #[test]
    fn of_many_pairs_the_same_ones_are_drawn_each_time() {
        let predicted =
            Array2::from_shape_fn((50, 100), |(row, column)| (row * 100 + column) as f64);
        let got = Scatter::pooled(&predicted, &predicted, 3);
        assert_eq!((got.pairs.len(), got.all), (MOST_PAIRS, 5000));
        assert!(got.pairs.is_sorted_by(|a, b| a[0] < b[0]));
        assert_eq!(got, Scatter::pooled(&predicted, &predicted, 3));
        assert_ne!(got, Scatter::pooled(&predicted, &predicted, 4));
    }
}

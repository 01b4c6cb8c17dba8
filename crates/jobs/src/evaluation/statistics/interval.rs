use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::Serialize;

/// Draws of a bootstrap.
pub const DRAWS: usize = 1000;
/// The share of the draws on either side of an interval.
const TAIL: f64 = 0.025;

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The number itself.
    pub value: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Interval {
    /// The middle 95 % of what the draws gave.
    fn new(value: f64, mut draws: Vec<f64>) -> Self {
        draws.sort_by(f64::total_cmp);
        Self {
            value,
            low: quantile(&draws, TAIL),
            high: quantile(&draws, 1.0 - TAIL),
        }
    }
}

/// The interval of a statistic of units that are drawn with replacement; the statistic is given how
/// often each unit counts.
pub fn bootstrap(units: usize, seed: u64, statistic: impl Fn(&[f64]) -> f64) -> Interval {
    bootstrap_both([units, 0], seed, |[weights, _]| statistic(weights))
}

/// As [`bootstrap`], of two kinds of units that are drawn independently of each other, such as the
/// rows and the columns of a matrix.
pub fn bootstrap_both(
    units: [usize; 2],
    seed: u64,
    statistic: impl Fn([&[f64]; 2]) -> f64,
) -> Interval {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let all = units.map(|units| vec![1.0; units]);
    let draws = (0..DRAWS).map(|_| {
        let drawn = units.map(|units| multiplicities(units, &mut random));
        statistic([&drawn[0], &drawn[1]])
    });
    let draws = draws.collect();
    Interval::new(statistic([&all[0], &all[1]]), draws)
}

/// The standard error of a statistic of units by leaving each of them out (Efron 1982).
pub(super) fn jackknife(units: usize, statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let mut weights = vec![1.0; units];
    let without = (0..units).map(|unit| {
        weights[unit] = 0.0;
        let value = statistic(&weights);
        weights[unit] = 1.0;
        value
    });
    let without: Vec<f64> = without.collect();
    let (mean, count) = (mean(&without), units as f64);
    let sum: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    ((count - 1.0) / count * sum).sqrt()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How often each of several units is drawn, of as many draws.
fn multiplicities(units: usize, random: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let mut counts = vec![0.0; units];
    for _ in 0..units {
        counts[random.random_range(0..units)] += 1.0;
    }
    counts
}

/// A quantile of sorted values, linear between two of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a place"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [0.025, 0.5, 0.975])
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        let got = [0.025, 0.5, 0.975].map(|share| quantile(&values, share));
        for (got, expected) in got.into_iter().zip([1.1, 4.0, 15.2]) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_its_standard_error_to_either_side() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let weighted = |weights: &[f64]| {
            let sum: f64 = values
                .iter()
                .zip(weights)
                .map(|(value, weight)| value * weight)
                .sum();
            sum / weights.iter().sum::<f64>()
        };
        let got = bootstrap(values.len(), 7, weighted);
        // The standard deviation of 0..20 is sqrt((400 - 1) / 12).
        let error = (399.0_f64 / 12.0 / 400.0).sqrt();
        assert!((got.value - 9.5).abs() < 1e-12);
        for end in [got.value - got.low, got.high - got.value] {
            assert!((end / (1.96 * error) - 1.0).abs() < 0.15, "{got:?}");
        }
        assert_eq!(got, bootstrap(values.len(), 7, weighted));
        assert_ne!(got, bootstrap(values.len(), 8, weighted));
        // For a mean, the jackknife is the usual standard error.
        let usual = (399.0_f64 / 12.0 * 400.0 / 399.0 / 400.0).sqrt();
        assert!((jackknife(values.len(), weighted) / usual - 1.0).abs() < 1e-9);
    }
}

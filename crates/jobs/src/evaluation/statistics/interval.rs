use std::f64::consts::TAU;

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
    /// The middle 95 % of what the draws gave, corrected for their bias (Efron 1981): a draw has
    /// some units twice and others not at all, so that a correlation over few of them is smaller.
    fn new(value: f64, mut draws: Vec<f64>) -> Self {
        draws.sort_by(f64::total_cmp);
        let below = draws.partition_point(|&draw| draw < value);
        let equal = draws[below..].partition_point(|&draw| draw <= value);
        let share = (below as f64 + equal as f64 / 2.0) / draws.len() as f64;
        let least = 0.5 / draws.len() as f64;
        let bias = 2.0 * normal_quantile(share.clamp(least, 1.0 - least));
        let end = |tail: f64| quantile(&draws, normal_share(bias + normal_quantile(tail)));
        Self {
            value,
            low: end(TAIL).min(value),
            high: end(1.0 - TAIL).max(value),
        }
    }
}

/// The share of a standard normal distribution below a number, to 1e-7 (Abramowitz and Stegun
/// 26.2.17).
fn normal_share(number: f64) -> f64 {
    const TERMS: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * number.abs());
    let sum = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = sum * (-0.5 * number * number).exp() / TAU.sqrt();
    if number < 0.0 { above } else { 1.0 - above }
}

/// The number below which a share of a standard normal distribution is, by bisection.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_share(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
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
    fn normal_shares_are_those_of_scipy() {
        // scipy.stats.norm.cdf([-1.96, 0.3, 2.5]) and ppf([0.025, 0.7])
        for (number, share) in [
            (-1.96, 0.024_997_895_148_220_435),
            (0.3, 0.617_911_422_188_952_8),
            (2.5, 0.993_790_334_674_223_8),
        ] {
            assert!((normal_share(number) - share).abs() < 1e-7);
        }
        for (share, number) in [
            (0.025, -1.959_963_984_540_054),
            (0.7, 0.524_400_512_708_041),
        ] {
            assert!((normal_quantile(share) - number).abs() < 1e-5);
        }
    }

    #[test]
    fn the_bias_of_draws_is_taken_out() {
        // Draws that are too small by one standard deviation.
        let draws = (1..2000).map(|place| normal_quantile(f64::from(place) / 2000.0) - 1.0);
        let got = Interval::new(0.0, draws.collect());
        // The share Φ(2 − 1.96) of them is below the lower end.
        assert!((got.low - (2.0 - 1.96 - 1.0)).abs() < 0.01, "{got:?}");
        assert!(got.high > 2.0, "{got:?}");
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

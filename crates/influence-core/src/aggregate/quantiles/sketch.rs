use std::collections::BTreeMap;

/// How numbers are put into buckets that are narrow relative to the numbers in them.
///
/// A bucket holds the numbers that agree in sign, exponent and the first few binary digits
/// after the leading one: between powers of two the logarithm is interpolated linearly, as the fast
/// variant of `DDSketch` does. Against buckets of equal logarithms that takes up to three times as
/// many, but no logarithm, of which the last bits differ from machine to machine, and the edges are
/// exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buckets {
    /// How many of the lower bits of a number its bucket does not see.
    shift: u32,
}

/// The digits of an `f64` after the leading one.
const DIGITS: u32 = f64::MANTISSA_DIGITS - 1;

impl Buckets {
    /// The widest buckets of which the middle is within a relative `accuracy` of every number in
    /// them.
    pub(super) fn new(accuracy: f64) -> Self {
        // A bucket of `d` digits is 2^-d of its power of two wide, so its middle is at most
        // 2^-(d+1) off. Beyond the last digit, which is never needed for that, a bucket is one
        // number.
        let enough = |digits: &u32| 0.5_f64.powi(digits.cast_signed() + 1) <= accuracy;
        let digits = (0..DIGITS).find(enough).unwrap_or(DIGITS);
        Self {
            shift: DIGITS - digits,
        }
    }

    /// The bucket of a finite number: in the order of the numbers, and zero for zero.
    fn key(self, value: f64) -> i64 {
        match value.abs().to_bits() {
            0 => 0,
            // One more, because the smallest numbers must not fall together with zero.
            bits if value > 0.0 => (bits >> self.shift).cast_signed() + 1,
            bits => -(bits >> self.shift).cast_signed() - 1,
        }
    }

    /// The number in the middle of a bucket.
    fn middle(self, key: i64) -> f64 {
        let half = (1_u64 << self.shift) >> 1;
        let middle = |bucket: u64| f64::from_bits((bucket << self.shift) + half);
        match key {
            0 => 0.0,
            1.. => middle((key - 1).cast_unsigned()),
            _ => -middle((-key - 1).cast_unsigned()),
        }
    }
}

/// How many numbers are in each bucket, and the exact ends.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    counts: BTreeMap<i64, u64>,
    least: f64,
    greatest: f64,
}

impl Sketch {
    /// Of no numbers.
    pub(super) fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }

    pub(super) fn add(&mut self, value: f64, buckets: Buckets) {
        // Adding zero makes the two zeros equal, of which otherwise either might be the least.
        let value = value + 0.0;
        *self.counts.entry(buckets.key(value)).or_default() += 1;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    /// Takes over the numbers of another sketch with the same buckets.
    pub(super) fn merge(&mut self, other: &Self) {
        for (&key, count) in &other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    /// About the number that has `⌊q (n − 1)⌋` of the `n` others before it; exactly, if it is the
    /// first or the last.
    pub(super) fn quantile(&self, q: f64, buckets: Buckets) -> f64 {
        let last = self.counts.values().sum::<u64>().saturating_sub(1) as f64;
        let rank = (q * last).floor();
        if rank >= last {
            return self.greatest;
        }
        if rank <= 0.0 {
            return self.least;
        }
        let mut seen = 0;
        let bucket = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen as f64 > rank
        });
        // All numbers are between the ends, so what is beyond them only comes closer.
        bucket.map_or(self.greatest, |(&key, _)| {
            buckets.middle(key).max(self.least).min(self.greatest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_bucket_is_near_each_of_its_numbers() {
        for accuracy in [0.9, 0.5, 0.01, 1e-3, 1e-9, 1e-15, 1e-17] {
            let buckets = Buckets::new(accuracy);
            for exponent in [-1022, -1000, -1, 0, 1, 52, 1000, 1023] {
                for share in [
                    1.0,
                    1.0 + f64::EPSILON,
                    1.1,
                    1.25,
                    1.5,
                    1.77,
                    2.0 - f64::EPSILON,
                ] {
                    for value in [1.0, -1.0].map(|sign| sign * share * 2_f64.powi(exponent)) {
                        let error = (buckets.middle(buckets.key(value)) - value).abs();
                        assert!(
                            error <= accuracy * value.abs(),
                            "{value:e} at {accuracy:e}: off by {error:e}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn buckets_are_no_narrower_than_they_must_be() {
        for (accuracy, digits) in [
            (0.9, 0),
            (0.5, 0),
            (0.25, 1),
            (0.2, 2),
            (0.01, 6),
            (1e-17, 52),
        ] {
            assert_eq!(DIGITS - Buckets::new(accuracy).shift, digits, "{accuracy}");
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_the_numbers() {
        let buckets = Buckets::new(0.01);
        let numbers = [
            f64::MIN,
            -3.0,
            -1e-300,
            -5e-324,
            0.0,
            5e-324,
            1e-300,
            3.0,
            f64::MAX,
        ];
        let keys = numbers.map(|number| buckets.key(number));
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert_eq!(buckets.key(-0.0), buckets.key(0.0));
    }

    #[test]
    fn zeros_of_both_signs_are_one_in_every_order() {
        let buckets = Buckets::new(0.01);
        for zeros in [[0.0, -0.0, -0.0], [-0.0, -0.0, 0.0], [-0.0; 3]] {
            let mut sketch = Sketch::new();
            for zero in zeros {
                sketch.add(zero, buckets);
            }
            for q in [0.0, 0.5, 1.0] {
                assert_eq!(sketch.quantile(q, buckets).to_bits(), 0, "{zeros:?}, {q}");
            }
        }
    }

    #[test]
    fn below_the_normal_numbers_the_accuracy_is_that_of_the_least_of_them() {
        let buckets = Buckets::new(0.01);
        for value in [5e-324, 1e-320, 1e-310, 2.2e-308] {
            let error = (buckets.middle(buckets.key(value)) - value).abs();
            assert!(
                error <= 0.01 * f64::MIN_POSITIVE,
                "{value:e}: off by {error:e}"
            );
        }
    }
}

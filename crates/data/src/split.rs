use anyhow::{Result, ensure};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

use crate::{key::KeyError, settings::Split};

/// Splits this many points into training and test points, each in their order.
pub(super) fn split(len: usize, split: Split) -> Result<[Vec<usize>; 2]> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(split.seed));
    let tests = test_points(len, split.test);
    ensure!(
        tests > 0 && tests < len,
        KeyError::new(
            "data.split.test",
            format!(
                "a share of {} of {len} points leaves a side without points",
                split.test
            )
        )
    );
    let (test, train) = order.split_at(tests);
    Ok([train, test].map(|points| {
        let mut points = points.to_vec();
        points.sort_unstable();
        points
    }))
}

/// How many of the points a share for testing is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
pub fn test_points(len: usize, share: f64) -> usize {
    (len as f64 * share).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_on_one_side_and_seeds_decide_which() -> Result<()> {
        let drawn = |seed| split(100, Split { test: 0.2, seed });
        let [train, test] = drawn(1)?;
        assert_eq!((train.len(), test.len()), (80, 20));
        let mut all = [train.clone(), test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(drawn(1)?, [train, test.clone()]);
        assert_ne!(drawn(2)?[1], test);
        assert!(split(3, Split { test: 0.1, seed: 0 }).is_err());
        Ok(())
    }
}

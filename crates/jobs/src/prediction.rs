//! What models predict, and how many samples are evaluated at a time.

/// The most outputs that are in memory at a time.
const OUTPUTS: usize = 1 << 24;

/// The predicted class: the index of the largest output, the first of several.
pub(crate) fn largest(outputs: impl Iterator<Item = f64>) -> Option<usize> {
    let first = outputs
        .enumerate()
        .reduce(|best, other| if other.1 > best.1 { other } else { best });
    first.map(|(class, _)| class)
}

/// How many samples are evaluated at a time, at most `most`, if each has this many outputs.
pub(crate) fn batch_size(outputs: usize, most: usize) -> usize {
    (OUTPUTS / outputs.max(1)).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_samples_are_evaluated_at_a_time_where_each_has_many_outputs() {
        assert_eq!(
            [0, 10, 1 << 20, usize::MAX].map(|outputs| batch_size(outputs, 64)),
            [64, 64, 16, 1]
        );
    }
}

//! What the outputs of a classifier predict.

/// The predicted class: the index of the largest output, the first of several.
pub(crate) fn largest(outputs: impl Iterator<Item = f64>) -> Option<usize> {
    let first = outputs
        .enumerate()
        .reduce(|best, other| if other.1 > best.1 { other } else { best });
    first.map(|(class, _)| class)
}

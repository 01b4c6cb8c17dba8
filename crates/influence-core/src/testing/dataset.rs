use ndarray::{ArrayD, Axis};

use super::succeed;
use crate::{Dataset, Error};

/// Checks that the batches of a data set join to the whole, whatever the ranges and their order,
/// and that ranges beyond the data are refused.
///
/// `values` lays a batch out as an array with one sample per row.
///
/// # Panics
/// When this does not hold. The data set must not be empty.
pub fn dataset<D: Dataset>(data: &D, values: impl Fn(&D::Batch) -> ArrayD<f64>) {
    let len = data.len();
    assert!(len > 0 && !data.is_empty(), "the suite needs data");
    let read = |range: std::ops::Range<usize>| values(&succeed("batch", data.batch(range)));
    let whole = read(0..len);
    assert_eq!(whole.shape()[0], len, "one row per sample");
    for size in [1, 2, 3, len] {
        let starts: Vec<usize> = (0..len).step_by(size).collect();
        let mut parts: Vec<ArrayD<f64>> = starts
            .iter()
            .rev()
            .map(|&start| read(start..(start + size).min(len)))
            .collect();
        parts.reverse();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        assert_eq!(
            succeed("join", ndarray::concatenate(Axis(0), &views)),
            whole,
            "batches of {size} must join to the whole"
        );
    }
    assert_eq!(read(0..len), whole, "reading again must give the same");
    for range in [0..len + 1, len..len + 1, len + 1..len + 2] {
        let refused = matches!(data.batch(range.clone()), Err(Error::OutOfRange { .. }));
        assert!(
            refused,
            "the range {range:?} of {len} samples must be refused"
        );
    }
}

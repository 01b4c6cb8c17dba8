//! Rows with numbers that are not finite, found at the price of a norm per row at most.

use ndarray::Array2;

use crate::{Result, Rows, linalg::norm};

/// Squares of lengths outside of this range may overflow or vanish in 32-bit floats, where those
/// within are exact enough.
const SAFE: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// Which rows hold a number that is not finite.
pub(super) fn spoilt<R: Rows>(rows: &R) -> Result<Vec<usize>> {
    let bounds = rows.bounds()?.into_iter().enumerate();
    let suspects: Vec<usize> = bounds
        .filter(|(_, bound)| !bound.is_finite())
        .map(|(row, _)| row)
        .collect();
    if suspects.is_empty() {
        return Ok(suspects);
    }
    // The squares of finite numbers may overflow: the numbers themselves decide.
    let host = rows.select(&suspects)?.to_host()?;
    let held = suspects.into_iter().zip(host.outer_iter());
    Ok(held
        .filter(|(_, row)| row.iter().any(|value| !value.is_finite()))
        .map(|(row, _)| row)
        .collect())
}

/// The rows with zeros in place of those.
pub(super) fn cleared<R: Rows>(rows: &R, spoilt: &[usize]) -> Result<R> {
    if spoilt.is_empty() {
        return Ok(rows.clone());
    }
    let mut host: Array2<f64> = rows.to_host()?;
    for &row in spoilt {
        host.row_mut(row).fill(0.0);
    }
    rows.like(host.view())
}

/// The rows with what is not a number in place of those.
pub(super) fn spoiled<R: Rows>(rows: R, spoilt: impl IntoIterator<Item = usize>) -> Result<R> {
    let mut spoilt = spoilt.into_iter().peekable();
    if spoilt.peek().is_none() {
        return Ok(rows);
    }
    let mut host: Array2<f64> = rows.to_host()?;
    for row in spoilt {
        host.row_mut(row).fill(f64::NAN);
    }
    rows.like(host.view())
}

/// The lengths of rows from their norms; those that may have overflowed or vanished are computed on
/// the host.
pub(super) fn lengths<R: Rows>(
    norms: Vec<f64>,
    rows: impl FnOnce() -> Result<R>,
) -> Result<Vec<f64>> {
    let outside = |norm: &f64| !SAFE.contains(norm);
    if !norms.iter().any(outside) {
        return Ok(norms);
    }
    let suspects: Vec<usize> = (0..norms.len())
        .filter(|&row| outside(&norms[row]))
        .collect();
    let host = rows()?.select(&suspects)?.to_host()?;
    let mut lengths = norms;
    for (row, values) in suspects.into_iter().zip(host.outer_iter()) {
        lengths[row] = norm(&values);
    }
    Ok(lengths)
}

/// One over each length: zero for zero, not a number for a length that is not finite.
pub(super) fn inverses(lengths: &[f64]) -> Vec<f64> {
    let inverse = |&length: &f64| match length {
        0.0 => 0.0,
        _ if length.is_finite() => 1.0 / length,
        _ => f64::NAN,
    };
    lengths.iter().map(inverse).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::testing::Single;

    #[test]
    fn lengths_are_exact_where_squares_overflow_or_vanish() -> Result<()> {
        let rows = Single::new(&array![
            [3e25, 4e25],
            [3e-30, -4e-30],
            [3.0, 4.0],
            [0.0, 0.0],
            [f64::NAN, 1.0]
        ]);
        let lengths = lengths(rows.norms()?, || Ok(rows.clone()))?;
        for (length, expected) in lengths.iter().zip([5e25, 5e-30, 5.0]) {
            assert!((length / expected - 1.0).abs() < 1e-6, "{length:e}");
        }
        assert!(lengths[3].abs() <= 0.0 && lengths[4].is_nan());
        Ok(())
    }

    #[test]
    fn rows_that_are_finite_are_no_suspects_however_long() -> Result<()> {
        let rows = Single::new(&array![[3e25, 4e25], [f64::INFINITY, 1.0], [1.0, f64::NAN]]);
        assert_eq!(spoilt(&rows)?, [1, 2]);
        let cleared = cleared(&rows, &[1, 2])?.to_host()?;
        assert!(cleared.iter().all(|value| value.is_finite()));
        assert!((cleared[[0, 1]] / 4e25 - 1.0).abs() < 1e-6);
        Ok(())
    }
}

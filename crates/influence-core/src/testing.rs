//! Conformance suites that implementors of the core traits run, and a problem whose influences are
//! known in closed form.
//!
//! Each suite is a function that panics with an account of what does not hold; call it from your
//! own test. Comparisons are relative to the largest number involved, with a tolerance that you
//! give.

mod aggregator;
mod converter;
mod dataset;
mod dense;
mod inverse;
mod least_squares;
mod model;
mod operator;
mod rows;
mod single;

pub use aggregator::{aggregate, aggregator};
pub use converter::converter;
pub use dataset::dataset;
pub use dense::{random, solve, symmetric};
pub use inverse::inverse;
pub use least_squares::{LeastSquares, Samples, SamplesDataset};
pub use model::model;
pub use operator::operator;
pub use rows::rows;
pub use single::{Single, SingleMatrix};

use std::fmt::Display;

use ndarray::{ArrayBase, Data, Dimension};

/// The value, or a panic that says what was being done.
fn succeed<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Asserts that two arrays agree to `tolerance`, relative to the largest entry of either.
pub(crate) fn assert_close<S, T, D>(
    what: &str,
    got: &ArrayBase<S, D>,
    expected: &ArrayBase<T, D>,
    tolerance: f64,
) where
    S: Data<Elem = f64>,
    T: Data<Elem = f64>,
    D: Dimension,
{
    assert_eq!(got.shape(), expected.shape(), "{what}: shapes differ");
    let scale = got
        .iter()
        .chain(expected)
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let close = (got - expected).abs() <= tolerance * scale;
        assert!(
            close,
            "{what}: entry {index} is {got:e}, expected {expected:e} to {tolerance:e} of {scale:e}"
        );
    }
}

//! Seeded random numbers.

use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::StandardNormal;

/// The stream of a seed, the same on every machine.
pub(crate) fn stream(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Entries of 1 and −1.
pub(crate) fn signs(shape: (usize, usize), seed: u64) -> Array2<f64> {
    let mut random = stream(seed);
    Array2::from_shape_simple_fn(shape, || if random.random() { 1.0 } else { -1.0 })
}

/// Standard normal entries.
pub(crate) fn normal(shape: (usize, usize), seed: u64) -> Array2<f64> {
    let mut random = stream(seed);
    Array2::from_shape_simple_fn(shape, || random.sample(StandardNormal))
}

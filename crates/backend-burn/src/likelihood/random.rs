//! Random numbers of samples.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

/// The random numbers of one sample.
pub(super) fn stream(seed: u64, sample: usize) -> Xoshiro256PlusPlus {
    // Seeds are expanded by the generator, so neighbouring ones give unrelated streams.
    Xoshiro256PlusPlus::seed_from_u64(seed ^ (sample as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

//! The domain of dampings.

use influence_core::block::{Damping, Strength};
use influence_data::key::{KeyError, KeyPath};

/// Checks that a strength is neither negative nor not finite.
pub(super) fn check_strength(strength: Strength, path: KeyPath) -> Result<(), KeyError> {
    let (Strength::Absolute(value) | Strength::Relative(value)) = strength;
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    let wrong = format!("must be finite and not negative, got {value}");
    Err(KeyError::sentence(path, wrong))
}

/// Checks every strength of a damping.
pub(super) fn check(damping: &Damping, path: &KeyPath) -> Result<(), KeyError> {
    match damping {
        Damping::Uniform(strength) => check_strength(*strength, path.clone()),
        Damping::PerBlock(by_name) => by_name
            .iter()
            .try_for_each(|(block, strength)| check_strength(*strength, path.clone().key(block))),
        Damping::Excepting { rest, .. } => check(rest, path),
    }
}

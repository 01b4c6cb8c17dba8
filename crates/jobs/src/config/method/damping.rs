//! The domain of dampings, with the key that a message begins with.

use anyhow::{Result, ensure};
use influence_core::block::{Damping, Strength};

/// Checks that a strength is neither negative nor not finite.
pub(super) fn check_strength(strength: Strength, key: &str) -> Result<()> {
    let (Strength::Absolute(value) | Strength::Relative(value)) = strength;
    ensure!(
        value.is_finite() && value >= 0.0,
        "{key} must be finite and not negative, got {value}"
    );
    Ok(())
}

/// Checks every strength of a damping.
pub(super) fn check(damping: &Damping, key: &str) -> Result<()> {
    match damping {
        Damping::Uniform(strength) => check_strength(*strength, key),
        Damping::PerBlock(by_name) => by_name
            .iter()
            .try_for_each(|(block, strength)| check_strength(*strength, &format!("{key}.{block}"))),
        Damping::Excepting { rest, .. } => check(rest, key),
    }
}

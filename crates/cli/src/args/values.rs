//! Values that the command line checks by itself.

use std::num::NonZero;

/// A number of threads: at least one.
pub(super) fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let count = text.trim().parse().ok().and_then(NonZero::new);
    count.ok_or_else(|| {
        "expected a number of threads, 1 or more; leave it out to use all cores".to_owned()
    })
}

/// A damping.
pub(super) fn damping(text: &str) -> Result<f64, String> {
    not_negative(text).map_err(|error| format!("a damping is {error}"))
}

/// A weight decay.
pub(super) fn weight_decay(text: &str) -> Result<f64, String> {
    not_negative(text).map_err(|error| format!("a weight decay is {error}"))
}

/// A share of points: more than none, fewer than all.
pub(super) fn share_of_points(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok();
    let share = share.filter(|&share: &f64| share > 0.0 && share < 1.0);
    share.ok_or_else(|| "expected a number between 0 and 1, such as 0.1".to_owned())
}

fn not_negative(text: &str) -> Result<f64, &'static str> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) => Err("finite and not negative"),
        Err(_) => Err("a number"),
    }
}

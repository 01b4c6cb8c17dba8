//! The place of an output: a folder, or a URL.

use std::path::Path;

use influence_calculators::{Location, Result};

/// Whether a setting that may be a path or a URL is a URL.
pub fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(Location::is_url)
}

/// The place that a setting means.
///
/// # Errors
/// When it is a URL that names no store, or one whose feature is off.
pub fn location(path: &Path) -> Result<Location> {
    match path.to_str() {
        Some(text) => Location::parse(text),
        None => Ok(path.into()),
    }
}

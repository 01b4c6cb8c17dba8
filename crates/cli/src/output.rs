//! The place of an output: a folder, or a URL; and files, written whole.

use std::{ffi::OsString, fs, path::Path};

use anyhow::{Context, ensure};
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

/// Refuses a place in a folder that does not exist.
pub(crate) fn check_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    ensure!(
        folder.is_dir(),
        "the folder {} does not exist",
        folder.display()
    );
    Ok(())
}

/// Refuses, before anything is computed, a place that no file can be kept in.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<()> {
    check_folder(path)?;
    ensure!(!path.is_dir(), "{} is a folder", path.display());
    Ok(())
}

/// Writes a file beside its place first, so that one that was there stays whole until the new one is.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside: OsString = [path.as_os_str(), ".tmp".as_ref()].into_iter().collect();
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| path.display().to_string())
}

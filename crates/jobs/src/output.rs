//! The place of an output: a folder, or a URL; and files, written whole.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use influence_calculators::{Error, Location, Result, ZarrOptions, zarr::Claim};
use influence_core::durable;
use serde_json::{Map, Value};

/// The attribute of an output that holds the configuration it was made with.
pub const ORIGIN: &str = "config";

/// What happens to an existing output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays, and the run is refused.
    #[default]
    Refuse,
    /// It is replaced.
    Overwrite,
    /// It is completed: chunks that it holds are not computed again.
    Resume,
    /// It was declared, and is written together with other runs, each of which has a share.
    Join,
}

/// How an output is written: with these attributes, and in place of an earlier one or as its
/// completion where that is wanted.
pub fn zarr_options(attributes: Map<String, Value>, existing: Existing) -> ZarrOptions {
    let options = ZarrOptions::default().with_attributes(attributes);
    match existing {
        Existing::Overwrite => options.overwriting(),
        Existing::Resume => options.resuming(),
        Existing::Join => options.joining(),
        Existing::Refuse => options,
    }
}

/// Claims a place for an output: no other run writes to it while the claim is held.
///
/// # Errors
/// When the place is taken, and not by an output of this program that is to be replaced or
/// completed; when it cannot be written to, another run writes to it, or its folder does not exist.
pub fn claim(path: &Path, existing: Existing) -> anyhow::Result<Claim> {
    if !is_url(path) {
        check_folder(path)?;
    }
    let (location, options) = (location(path)?, zarr_options(Map::new(), existing));
    // The check comes first: a place that holds the files of others is not even locked.
    let checked = location.check(&options);
    match checked.and_then(|()| Claim::new(&location, &options)) {
        Err(Error::Exists { path }) => {
            bail!(
                "{path} exists; continue it with --resume, replace it with --overwrite, or choose another path"
            )
        }
        Err(Error::NotDeclared { path }) => {
            bail!("{path} is not declared; `influence declare` does this, once for all shares")
        }
        outcome => Ok(outcome?),
    }
}

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
    let folder = folder_of(path);
    ensure!(
        folder.is_dir(),
        "the folder {} does not exist",
        folder.display()
    );
    Ok(())
}

/// Refuses, before anything is computed, a place where no file can be written; leaves nothing
/// behind.
///
/// # Errors
/// When the folder does not exist, the place is a folder, or nothing can be written in it.
pub fn check_file(path: &Path) -> anyhow::Result<()> {
    check_folder(path)?;
    ensure!(!path.is_dir(), "{} is a folder", path.display());
    if is_special(path) {
        return Ok(());
    }
    check_writable(folder_of(path))
}

/// Refuses, before anything is computed, a folder in which no files can be written or which cannot
/// be made; leaves nothing behind.
///
/// # Errors
/// When it is no folder, or nothing can be written in it.
pub fn check_files(folder: &Path) -> anyhow::Result<()> {
    ensure!(
        folder.is_dir() || !folder.exists(),
        "{} is not a folder",
        folder.display()
    );
    let there = folder.ancestors().find(|folder| folder.exists());
    check_writable(there.unwrap_or(Path::new(".")))
}

fn check_writable(folder: &Path) -> anyhow::Result<()> {
    let written = tempfile::NamedTempFile::new_in(folder).map(drop);
    written.with_context(|| format!("no file can be written in {}", folder.display()))
}

/// Writes a file beside its place and then moves it there, so that an earlier one stays whole until
/// the new one is.
///
/// # Errors
/// When the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || {
        if is_special(path) {
            return fs::write(path, bytes);
        }
        durable::write(path, bytes)
    };
    written().with_context(|| path.display().to_string())
}

/// Whether a path leads to a device or a pipe, which is written to and not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

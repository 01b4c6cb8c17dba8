//! Where a fit is kept: a file, or a value at a URL.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use influence_calculators::StoredValues;
use influence_cluster::{StoredSums, SumStore};
use influence_core::{Share, durable};

use crate::output::{check_file, is_url, location};

/// Refuses, before anything is computed, a place where no fit can be kept; leaves nothing behind.
///
/// # Errors
/// As [`check_file`]; at a URL, when it names no store, or one that cannot be reached or written.
pub fn check(path: &Path) -> Result<()> {
    if !is_url(path) {
        return check_file(path);
    }
    let values = location(path)?.values()?;
    values.check_writable()?;
    values.contains("")?;
    Ok(())
}

/// Whether something is kept there.
///
/// # Errors
/// When a store cannot be reached.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    if !is_url(path) {
        return Ok(path.exists());
    }
    Ok(location(path)?.values()?.contains("")?)
}

/// Reads a fit.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !is_url(path) {
        return fs::read(path);
    }
    let values = location(path).and_then(|location| location.values());
    let found = values.and_then(|values| values.get(""));
    let absent = || io::Error::new(io::ErrorKind::NotFound, "there is nothing at this URL");
    found.map_err(io::Error::other)?.ok_or_else(absent)
}

/// Writes a fit, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !is_url(path) {
        return durable::write(path, bytes);
    }
    let values = location(path).and_then(|location| location.values());
    let written = values.and_then(|values| values.set("", bytes.to_vec()));
    written.map_err(io::Error::other)
}

/// The sums of a fit that is kept there: beside it, in a folder with `.shares` after its name.
///
/// # Errors
/// As [`check`], at a URL that names no store.
pub fn sums(path: &Path, share: Share) -> Result<StoredSums> {
    let mut place = path.as_os_str().to_owned();
    place.push(".shares");
    let place = PathBuf::from(place);
    if !is_url(path) {
        return Ok(StoredSums::new(place, share));
    }
    let values = location(&place)?.values()?;
    let store = Arc::new(SumsAtUrl { place, values });
    Ok(StoredSums::within(store, share))
}

/// A folder of an object store.
#[derive(Debug)]
struct SumsAtUrl {
    place: PathBuf,
    values: StoredValues,
}

impl SumStore for SumsAtUrl {
    fn place(&self) -> &Path {
        &self.place
    }

    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.values.get(key).map_err(io::Error::other)
    }

    fn write(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let written = self.values.set(key, value.to_vec());
        written.map_err(io::Error::other)
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        self.values.names(folder).map_err(io::Error::other)
    }

    fn remove(&self) -> io::Result<()> {
        match self.values.erase() {
            // Another process may be removing them, too.
            Err(_) if self.names("").is_ok_and(|names| names.is_empty()) => Ok(()),
            outcome => outcome.map_err(io::Error::other),
        }
    }
}

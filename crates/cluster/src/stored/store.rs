//! Where sums are kept.

use std::{
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
};

use influence_core::durable;

use crate::Error;

/// A place for sums that all processes of a fit see: values by key, each whole or absent.
///
/// A key has parts between slashes, of which the last is the name of the value and the others are
/// its folder. Any store will do in which a value appears at once, and is seen by all from then on:
/// it need not lock, rename, or keep two writers apart, since they write the same.
pub trait SumStore: Debug + Send + Sync {
    /// The place, a path or a URL, as messages show it.
    fn place(&self) -> &Path;

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// What the store says.
    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>>;

    /// Gives a key this value, in place of one that it has.
    ///
    /// # Errors
    /// What the store says.
    fn write(&self, key: &str, value: &[u8]) -> io::Result<()>;

    /// The names of the values in a folder, in any order; none where there is no such folder. The
    /// empty name is the place itself.
    ///
    /// # Errors
    /// What the store says.
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes all values, while others may write some or remove them, too.
    ///
    /// # Errors
    /// What the store says.
    fn remove(&self) -> io::Result<()>;
}

impl dyn SumStore + '_ {
    /// The value of a key could not be read or written.
    pub(super) fn failed(&self, key: &str, source: io::Error) -> Error {
        let path = self.path(key);
        Error::Io { path, source }
    }

    /// The value of a key is of another fit: what differs, the value kept, and this one.
    pub(super) fn foreign(&self, key: &str, difference: (String, String, String)) -> Error {
        let (what, kept, now) = difference;
        Error::Foreign {
            path: self.path(key),
            folder: self.place().to_owned(),
            key: what,
            kept,
            now,
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        match key {
            "" => self.place().to_owned(),
            _ => self.place().join(key),
        }
    }
}

/// A folder, whose files are written whole by renaming.
#[derive(Debug)]
pub(super) struct SumFolder(pub(super) PathBuf);

impl SumStore for SumFolder {
    fn place(&self) -> &Path {
        &self.0
    }

    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        found(fs::read(self.0.join(key)))
    }

    fn write(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let path = self.0.join(key);
        durable::make_folder(path.parent().unwrap_or(Path::new("")))?;
        durable::write(&path, value)
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(self.0.join(folder)))? else {
            return Ok(Vec::new());
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn remove(&self) -> io::Result<()> {
        /// Others may add to it, or remove it, at the same time.
        const ATTEMPTS: usize = 20;
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            outcome = fs::remove_dir_all(&self.0);
            if outcome.is_ok() || !self.0.exists() {
                return Ok(());
            }
        }
        outcome
    }
}

fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

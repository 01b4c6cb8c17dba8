//! Sums shared through a folder.

mod file;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    ops::Range,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use influence_core::{
    Result as CoreResult, Share,
    summation::{DataPass, Subtree, Summation, Sums, subtrees},
};
use serde_json::{Map, Value};

use crate::{Error, Result};
use place::PassFolder;

/// The file that says what is fitted.
const IDENTITY: &str = "fit.json";

/// A share of sums, kept in a folder that all processes of a fit see.
///
/// A fit is *replayed*: each process goes through it from the start. A sum that is kept is read. Of
/// the first one that is not, the process adds up the subtrees of its share, keeps them, and ends
/// with [`Error::Waiting`] if others are missing; whoever finds all of them adds them up and goes
/// on. Called in turn, or all at once and again and again, the shares so come to the end of the
/// fit, and each of them to the same bits. Nothing that is kept is computed a second time, so this
/// is a checkpoint, too: [`Share::WHOLE`] takes up a fit that was killed at the pass that it was
/// in.
///
/// Files are written whole by renaming, and their bytes depend on their name and the fit alone:
/// processes that die, come late, or do the same share twice do no harm. The number of shares may
/// change from one call to the next. A file that is damaged counts as missing.
///
/// # What is kept
/// `fit.json`, what is fitted; `PASS/FIRST+WIDTH.safetensors`, the sum of a pass over the leaves
/// from `FIRST`, with a checksum and the digest of what was applied to the data. A process for
/// which one of these is different is refused: a fit of something else, or one on another kind of
/// machine, where rounding has led to other numbers.
#[derive(Debug)]
pub struct StoredSums {
    folder: PathBuf,
    share: Share,
    /// The digest of what is fitted.
    fit: Mutex<String>,
    /// The number of the next pass.
    next: AtomicUsize,
}

impl StoredSums {
    /// Keeps sums in this folder, which is made when there is something to keep.
    pub fn new(folder: impl Into<PathBuf>, share: Share) -> Self {
        Self {
            folder: folder.into(),
            share,
            fit: Mutex::default(),
            next: AtomicUsize::new(0),
        }
    }

    /// Removes the folder, once the fit is kept elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`] when files are there and cannot be removed.
    pub fn remove(&self) -> Result<()> {
        /// Others may add to it, or remove it, at the same time.
        const ATTEMPTS: usize = 20;
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            outcome = fs::remove_dir_all(&self.folder);
            if outcome.is_ok() || !self.folder.exists() {
                return Ok(());
            }
        }
        outcome.map_err(|source| Error::Io {
            path: self.folder.clone(),
            source,
        })
    }

    /// Keeps what is fitted, or compares it with what is kept.
    fn check_identity(&self, identity: &[(&'static str, String)]) -> Result<()> {
        let path = self.folder.join(IDENTITY);
        let entries = identity.iter();
        let now = entries.map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str())));
        let now: Map<String, Value> = now.collect();
        let text = Value::from(now.clone()).to_string();
        *self.fit.lock().unwrap_or_else(PoisonError::into_inner) = file::digest(text.as_bytes());
        let kept = match fs::read(&path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return file::write(&path, text.as_bytes());
            }
            Err(source) => return Err(Error::Io { path, source }),
        };
        let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
        for (key, now) in identity {
            let kept = kept.get(key).and_then(Value::as_str).unwrap_or("absent");
            if kept != now {
                return Err(Error::Foreign {
                    path,
                    folder: self.folder.clone(),
                    key: (*key).to_owned(),
                    kept: kept.to_owned(),
                    now: now.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Summation for StoredSums {
    fn begin(
        &self,
        identity: &dyn Fn() -> CoreResult<Vec<(&'static str, String)>>,
    ) -> CoreResult<()> {
        self.next.store(0, Ordering::Relaxed);
        Ok(self.check_identity(&identity()?)?)
    }

    fn sum(&self, pass: &DataPass<'_>) -> CoreResult<Sums> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let fit = self
            .fit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let place = PassFolder::new(&self.folder, number, fit, pass)?;
        let root = Subtree::root(pass.leaves);
        if let Some(sum) = place.read(root)? {
            return Ok(sum);
        }
        let own = subtrees(self.own(pass.leaves), pass.leaves);
        own.into_iter().try_for_each(|subtree| place.add(subtree))?;
        let there = place.kept()?;
        match place.joined(root, &there)? {
            Some(sum) => {
                place.write(root, &sum)?;
                Ok(sum)
            }
            None => Err(place.waiting(&there).into()),
        }
    }

    fn own(&self, leaves: usize) -> Range<usize> {
        self.share.of(leaves)
    }
}

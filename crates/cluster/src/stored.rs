//! Sums shared through a folder, or another store.

mod file;
mod place;
mod store;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use influence_core::{
    Result as CoreResult, Share,
    summation::{DataPass, Subtree, Summation, Sums, subtrees},
};
use serde_json::{Map, Value};

use crate::{Result, digest};
use place::{Names, PassFolder};
use store::SumFolder;
pub use store::SumStore;

/// The file that says what is fitted.
const IDENTITY: &str = "fit.json";

/// A share of sums, kept in a folder or another store that all processes of a fit see.
///
/// A fit is *replayed*: each process goes through it from the start. A sum that is kept is read. Of
/// the first one that is not, the process adds up the subtrees of its share, keeps them, and ends
/// with [`Error::Waiting`](crate::Error::Waiting) if others are missing; whoever finds all of them
/// adds them up and goes on. Called in turn, or all at once and again and again, the shares so come
/// to the end of the fit, and each of them to the same bits. Nothing that is kept is computed a
/// second time, so this is a checkpoint, too: [`Share::WHOLE`] takes up a fit that was killed at
/// the pass that it was in.
///
/// Values are written whole, and their bytes depend on their name and the fit alone: processes that
/// die, come late, or do the same share twice do no harm. The number of shares may change from one
/// call to the next. A value that is damaged counts as missing.
///
/// # What is kept
/// `fit.json`, what is fitted; `PASS/FIRST+WIDTH.safetensors`, the sum of a pass over the leaves
/// from `FIRST`, with a checksum and the digest of what was applied to the data. A process for
/// which one of these is different is refused: a fit of something else, or one on another kind of
/// machine, where rounding has led to other numbers.
#[derive(Debug)]
pub struct StoredSums {
    store: Arc<dyn SumStore>,
    share: Share,
    /// The digest of what is fitted.
    fit: Mutex<String>,
    /// The number of the next pass.
    next: AtomicUsize,
    is_patient: bool,
}

impl StoredSums {
    /// Keeps sums in this folder, which is made when there is something to keep.
    pub fn new(folder: impl Into<PathBuf>, share: Share) -> Self {
        Self::within(Arc::new(SumFolder(folder.into())), share)
    }

    /// Keeps sums in this store.
    pub fn within(store: Arc<dyn SumStore>, share: Share) -> Self {
        Self {
            store,
            share,
            fit: Mutex::default(),
            next: AtomicUsize::new(0),
            is_patient: false,
        }
    }

    /// Waits for the parts of others before it ends: in each sum for as long as its own part took,
    /// and half a second at least. Where all shares run at once, a fit is then not replayed for
    /// each sum.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }

    /// The share.
    pub fn share(&self) -> Share {
        self.share
    }

    /// Where they are kept: a path or a URL.
    pub fn place(&self) -> &Path {
        self.store.place()
    }

    /// Whether a fit has begun there, and did not end.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when the store cannot be read.
    pub fn has_begun(&self) -> Result<bool> {
        let kept = self.store.names("");
        let kept = kept.map_err(|source| self.store.failed("", source))?;
        Ok(!kept.is_empty())
    }

    /// Removes everything, once the fit is kept elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when values are there and cannot be removed.
    pub fn remove(&self) -> Result<()> {
        let removed = self.store.remove();
        removed.map_err(|source| self.store.failed("", source))
    }

    /// The parts of a sum that are there, once that is all of them or this share has waited enough;
    /// its own took this long.
    fn parts(&self, place: &PassFolder<'_>, took: Duration) -> Result<Names> {
        const SHORTEST: Duration = Duration::from_millis(500);
        const PAUSE: Duration = Duration::from_millis(20);
        let patience = if self.is_patient {
            took.max(SHORTEST)
        } else {
            Duration::ZERO
        };
        let begun = Instant::now();
        loop {
            let there = place.kept()?;
            if place.is_covered(&there) || begun.elapsed() >= patience {
                return Ok(there);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Keeps what is fitted, or compares it with what is kept.
    fn check_identity(&self, identity: &[(&'static str, String)]) -> Result<()> {
        let entries = identity.iter();
        let now = entries.map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str())));
        let now: Map<String, Value> = now.collect();
        let text = Value::from(now.clone()).to_string();
        *self.fit.lock().unwrap_or_else(PoisonError::into_inner) =
            digest::of_bytes(text.as_bytes());
        let io = |source| self.store.failed(IDENTITY, source);
        let kept = self.store.read(IDENTITY).map_err(io)?;
        let kept = kept.and_then(|kept| serde_json::from_slice::<Value>(&kept).ok());
        let Some(kept) = kept else {
            return self.store.write(IDENTITY, text.as_bytes()).map_err(io);
        };
        match file::difference(identity, &kept) {
            Some(difference) => Err(self.store.foreign(IDENTITY, difference)),
            None => Ok(()),
        }
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
        let place = PassFolder::new(&*self.store, number, fit, pass)?;
        let root = Subtree::root(pass.leaves);
        if let Some(sum) = place.read(root)? {
            return Ok(sum);
        }
        let begun = Instant::now();
        let own = subtrees(self.own(pass.leaves), pass.leaves);
        own.into_iter().try_for_each(|subtree| place.add(subtree))?;
        let there = self.parts(&place, begun.elapsed())?;
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

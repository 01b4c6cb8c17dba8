//! A cache of values computed from batches.

use std::{
    ops::Range,
    sync::{Mutex, OnceLock, PoisonError},
};

use influence_core::Result as CoreResult;

/// Values computed from batches, cheap to clone. The values of the first batches that this process
/// is asked for are cached, as many as fit in the memory granted; those of the others are computed
/// again each time.
///
/// Always the first ones: which batches are cached depends on nothing but sizes, and a pass in
/// order finds as much in the cache as any other policy could offer.
#[derive(Debug)]
pub(super) struct BatchCache<T> {
    memory: usize,
    values: OnceLock<Vec<T>>,
    filling: Mutex<()>,
}

impl<T: Clone> BatchCache<T> {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            values: OnceLock::new(),
            filling: Mutex::new(()),
        }
    }

    /// The value of a batch, where this process is asked for those of `own`; the first call fills
    /// the cache.
    pub(super) fn part(
        &self,
        part: usize,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<T> {
        if self.values.get().is_none() {
            let one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
            if self.values.get().is_none() {
                let values = self.fitting(own.clone(), &make, bytes)?;
                self.values.get_or_init(|| values);
            }
            drop(one_at_a_time);
        }
        let place = part.checked_sub(own.start);
        let values = self.values.get();
        match values.and_then(|values| values.get(place?)) {
            Some(kept) => Ok(kept.clone()),
            None => make(part),
        }
    }

    fn fitting(
        &self,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<Vec<T>> {
        let mut kept = Vec::new();
        let (mut taken, mut largest) = (0, 0);
        for part in own {
            if taken + largest > self.memory {
                break;
            }
            let made = make(part)?;
            let size = bytes(&made);
            if taken + size > self.memory {
                break;
            }
            (taken, largest) = (taken + size, largest.max(size));
            kept.push(made);
        }
        Ok(kept)
    }
}

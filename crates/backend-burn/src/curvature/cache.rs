//! What is made of batches, kept while memory lasts.

use std::sync::{Mutex, OnceLock, PoisonError};

use influence_core::Result as CoreResult;

/// What is made of batches, cheap to clone, kept for as many of them from the first as fit the memory granted; the others are made anew whenever they are asked for.
#[derive(Debug)]
pub(super) struct Kept<T> {
    memory: usize,
    values: OnceLock<Vec<T>>,
    keeping: Mutex<()>,
}

impl<T: Clone> Kept<T> {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            values: OnceLock::new(),
            keeping: Mutex::new(()),
        }
    }

    /// What is made of one of so many batches; the first call makes all that is kept.
    pub(super) fn part(
        &self,
        part: usize,
        parts: usize,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<T> {
        if self.values.get().is_none() {
            let one_at_a_time = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
            if self.values.get().is_none() {
                let values = self.fitting(parts, &make, bytes)?;
                self.values.get_or_init(|| values);
            }
            drop(one_at_a_time);
        }
        match self.values.get().and_then(|values| values.get(part)) {
            Some(kept) => Ok(kept.clone()),
            None => make(part),
        }
    }

    fn fitting(
        &self,
        parts: usize,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<Vec<T>> {
        let mut kept = Vec::new();
        let (mut taken, mut largest) = (0, 0);
        for part in 0..parts {
            if taken + largest > self.memory {
                break;
            }
            let made = make(part)?;
            let own = bytes(&made);
            if taken + own > self.memory {
                break;
            }
            (taken, largest) = (taken + own, largest.max(own));
            kept.push(made);
        }
        Ok(kept)
    }
}

//! A cache of values computed from batches.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use influence_core::Result as CoreResult;

/// Values computed from batches, cheap to clone. The values of the first batches that sums ask this
/// process for are cached, as many as fit in the memory granted. Where a solver asks for others,
/// the memory that is left goes to those that are asked for first. What is not cached is computed
/// again each time.
///
/// Which batches of its own a process caches depends on nothing but sizes, and a pass in order
/// finds as much in the cache as any other policy could offer.
#[derive(Debug)]
pub(super) struct BatchCache<T> {
    memory: usize,
    own: OnceLock<Vec<T>>,
    filling: Mutex<()>,
    others: Mutex<Others<T>>,
}

/// The values of batches that are not this process's own, by number.
#[derive(Debug)]
struct Others<T> {
    values: BTreeMap<usize, T>,
    bytes: usize,
}

impl<T: Clone> BatchCache<T> {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            own: OnceLock::new(),
            filling: Mutex::new(()),
            others: Mutex::new(Others {
                values: BTreeMap::new(),
                bytes: 0,
            }),
        }
    }

    /// The value of a batch, where sums ask this process for those of `own`; the first call caches
    /// these.
    pub(super) fn part(
        &self,
        part: usize,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<T> {
        let kept = self.own(own.clone(), &make, &bytes)?;
        if own.contains(&part) {
            let kept = kept.get(part - own.start);
            return kept.map_or_else(|| make(part), |kept| Ok(kept.clone()));
        }
        if let Some(kept) = self.others().values.get(&part) {
            return Ok(kept.clone());
        }
        // Not under the lock: where no memory is left, each thread computes for itself.
        let made = make(part)?;
        let taken: usize = kept.iter().map(&bytes).sum();
        let mut others = self.others();
        let size = others.bytes + bytes(&made);
        if taken + size <= self.memory && !others.values.contains_key(&part) {
            others.values.insert(part, made.clone());
            others.bytes = size;
        }
        Ok(made)
    }

    fn others(&self) -> MutexGuard<'_, Others<T>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of as many batches of its own as fit, computed at the first call.
    fn own(
        &self,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<&[T]> {
        if let Some(values) = self.own.get() {
            return Ok(values);
        }
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = self.own.get() {
            return Ok(values);
        }
        let values = fitting(own, self.memory, make, bytes)?;
        Ok(self.own.get_or_init(|| values))
    }
}

fn fitting<T>(
    batches: impl Iterator<Item = usize>,
    memory: usize,
    make: impl Fn(usize) -> CoreResult<T>,
    bytes: impl Fn(&T) -> usize,
) -> CoreResult<Vec<T>> {
    let mut kept = Vec::new();
    let (mut taken, mut largest) = (0, 0);
    for batch in batches {
        if taken + largest > memory {
            break;
        }
        let made = make(batch)?;
        let size = bytes(&made);
        if taken + size > memory {
            break;
        }
        (taken, largest) = (taken + size, largest.max(size));
        kept.push(made);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Which batches are computed when these are asked for, where each takes a byte.
    fn made(memory: usize, own: &Range<usize>, asked: &[usize]) -> CoreResult<Vec<usize>> {
        let cache = BatchCache::new(memory);
        let made = RefCell::new(Vec::new());
        for &part in asked {
            let make = |batch| {
                made.borrow_mut().push(batch);
                Ok(batch)
            };
            assert_eq!(cache.part(part, own.clone(), make, |_| 1)?, part);
        }
        Ok(made.into_inner())
    }

    #[test]
    fn the_first_batches_of_a_process_come_before_those_of_others() -> CoreResult<()> {
        let pass = [0, 1, 2, 3, 4, 5];
        // One process alone.
        assert_eq!(made(9, &(0..6), &[pass, pass].concat())?, pass);
        assert_eq!(made(1, &(0..2), &[0, 1, 0, 1])?, [0, 1, 1]);
        // A fit asks for its own batches alone, a solver for all.
        assert_eq!(made(9, &(2..4), &[2, 3, 2, 3])?, [2, 3]);
        assert_eq!(
            made(9, &(2..4), &[pass, pass].concat())?,
            [2, 3, 0, 1, 4, 5]
        );
        let twice = made(4, &(2..4), &[pass, pass].concat())?;
        assert_eq!(twice, [2, 3, 0, 1, 4, 5, 4, 5]);
        Ok(())
    }
}

//! A cache of values computed from batches.

use std::{
    ops::Range,
    sync::{Mutex, OnceLock, PoisonError},
};

use influence_core::Result as CoreResult;

/// Values computed from batches, cheap to clone. The values of the first batches that sums ask this
/// process for are cached, as many as fit in the memory granted; once another batch is asked for,
/// by a solver, the memory that is left goes to the first ones of the others. What is not cached is
/// computed again each time.
///
/// Always the first ones: which batches are cached depends on nothing but sizes, and a pass in
/// order finds as much in the cache as any other policy could offer.
#[derive(Debug)]
pub(super) struct BatchCache<T> {
    memory: usize,
    own: Kept<T>,
    others: Kept<T>,
}

/// The values of the first of some batches.
#[derive(Debug)]
struct Kept<T> {
    values: OnceLock<Vec<T>>,
    filling: Mutex<()>,
}

impl<T: Clone> BatchCache<T> {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            own: Kept::new(),
            others: Kept::new(),
        }
    }

    /// The value of one of `batches`, where sums ask this process for those of `own`; the first
    /// call fills the cache.
    pub(super) fn part(
        &self,
        part: usize,
        own: Range<usize>,
        batches: usize,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<T> {
        let kept = self.own.filled(own.clone(), self.memory, &make, &bytes)?;
        let kept = if own.contains(&part) {
            kept.get(part - own.start)
        } else {
            let taken = kept.iter().map(&bytes).sum();
            let left = self.memory.saturating_sub(taken);
            let others = (0..own.start).chain(own.end..batches);
            let kept = self.others.filled(others, left, &make, &bytes)?;
            kept.get(if part < own.start {
                part
            } else {
                part - own.len()
            })
        };
        kept.map_or_else(|| make(part), |kept| Ok(kept.clone()))
    }
}

impl<T> Kept<T> {
    fn new() -> Self {
        Self {
            values: OnceLock::new(),
            filling: Mutex::new(()),
        }
    }

    /// The values of as many batches as fit in the memory, computed at the first call.
    fn filled(
        &self,
        batches: impl Iterator<Item = usize>,
        memory: usize,
        make: impl Fn(usize) -> CoreResult<T>,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<&[T]> {
        if let Some(values) = self.values.get() {
            return Ok(values);
        }
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = self.values.get() {
            return Ok(values);
        }
        let values = fitting(batches, memory, make, bytes)?;
        Ok(self.values.get_or_init(|| values))
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
            assert_eq!(cache.part(part, own.clone(), 6, make, |_| 1)?, part);
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

//! A cache of values computed from batches.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use influence_core::Result as CoreResult;

use super::pairs::in_pairs;

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
    /// The first batch that did not fit, until it is asked for.
    spare: Mutex<Option<(usize, T)>>,
    others: Mutex<Others<T>>,
}

/// The values of batches that are not this process's own, by number.
#[derive(Debug)]
struct Others<T> {
    values: BTreeMap<usize, T>,
    bytes: usize,
}

impl<T: Clone + Send> BatchCache<T> {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            own: OnceLock::new(),
            filling: Mutex::new(()),
            spare: Mutex::new(None),
            others: Mutex::new(Others {
                values: BTreeMap::new(),
                bytes: 0,
            }),
        }
    }

    /// Whether anything is cached.
    pub(super) fn keeps(&self) -> bool {
        self.memory > 0
    }

    /// The value of a batch, where sums ask this process for those of `own`; the first call caches
    /// these.
    pub(super) fn part(
        &self,
        part: usize,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T> + Sync,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<T> {
        if !self.keeps() {
            return make(part);
        }
        let kept = self.own(own.clone(), &make, &bytes)?;
        if own.contains(&part) {
            let kept = kept.get(part - own.start).cloned();
            let kept = kept.or_else(|| self.spare(part));
            return kept.map_or_else(|| make(part), Ok);
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
        locked(&self.others)
    }

    /// The batch that was made while the cache was filled and did not fit, if it is this one.
    fn spare(&self, part: usize) -> Option<T> {
        let mut spare = locked(&self.spare);
        spare
            .take_if(|(made, _)| *made == part)
            .map(|(_, value)| value)
    }

    /// The values of as many batches of its own as fit, computed at the first call.
    fn own(
        &self,
        own: Range<usize>,
        make: impl Fn(usize) -> CoreResult<T> + Sync,
        bytes: impl Fn(&T) -> usize,
    ) -> CoreResult<&[T]> {
        if let Some(values) = self.own.get() {
            return Ok(values);
        }
        let _one_at_a_time = locked(&self.filling);
        if let Some(values) = self.own.get() {
            return Ok(values);
        }
        let Fitting { kept, next } = fitting(own, self.memory, make, bytes)?;
        *locked(&self.spare) = next;
        Ok(self.own.get_or_init(|| kept))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The values of the first batches, as many as fit, and that of the next, if it had to be made to
/// know that it does not.
struct Fitting<T> {
    kept: Vec<T>,
    next: Option<(usize, T)>,
}

fn fitting<T: Send>(
    mut batches: Range<usize>,
    memory: usize,
    make: impl Fn(usize) -> CoreResult<T> + Sync,
    bytes: impl Fn(&T) -> usize,
) -> CoreResult<Fitting<T>> {
    let mut kept = Vec::new();
    let (mut taken, mut largest) = (0, 0);
    let mut next = None;
    // Where another of the largest may not fit, only the last is tried: it may be a short one.
    while next.is_none() && !batches.is_empty() && (batches.len() == 1 || taken + largest <= memory)
    {
        // Two at a time, once there is a size that says that both will fit.
        let pair = !kept.is_empty() && taken + 2 * largest <= memory;
        let end = batches.end.min(batches.start + if pair { 2 } else { 1 });
        let made = |batch| Ok((batch, make(batch)?));
        in_pairs(batches.start..end, made, |(batch, made)| {
            let size = bytes(&made);
            if next.is_none() && taken + size > memory {
                next = Some((batch, made));
            } else if next.is_none() {
                (taken, largest) = (taken + size, largest.max(size));
                kept.push(made);
            }
            Ok(())
        })?;
        batches.start = end;
    }
    Ok(Fitting { kept, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which batches are computed in each pass, where each takes a byte.
    fn made(memory: usize, own: &Range<usize>, passes: &[&[usize]]) -> CoreResult<Vec<Vec<usize>>> {
        made_of(|_| 1, memory, own, passes)
    }

    /// The same, where the size of each is given. The batches of a pass are in order of number, as
    /// two may be computed at a time.
    fn made_of(
        size: impl Fn(usize) -> usize,
        memory: usize,
        own: &Range<usize>,
        passes: &[&[usize]],
    ) -> CoreResult<Vec<Vec<usize>>> {
        let cache = BatchCache::new(memory);
        let pass = |asked: &&[usize]| {
            let made = Mutex::new(Vec::new());
            let make = |batch| {
                locked(&made).push(batch);
                Ok(batch)
            };
            for &part in *asked {
                assert_eq!(
                    cache.part(part, own.clone(), make, |&made| size(made))?,
                    part
                );
            }
            let mut made = locked(&made).clone();
            made.sort_unstable();
            Ok(made)
        };
        passes.iter().map(pass).collect()
    }

    #[test]
    fn the_first_batches_of_a_process_come_before_those_of_others() -> CoreResult<()> {
        let pass: &[usize] = &[0, 1, 2, 3, 4, 5];
        // One process alone.
        assert_eq!(made(9, &(0..6), &[pass, pass])?, [pass, &[]]);
        assert_eq!(made(1, &(0..2), &[&[0, 1], &[0, 1]])?, [&[0, 1][..], &[1]]);
        // A fit asks for its own batches alone, a solver for all.
        assert_eq!(made(9, &(2..4), &[&[2, 3], &[2, 3]])?, [&[2, 3][..], &[]]);
        assert_eq!(made(9, &(2..4), &[pass, pass])?, [pass, &[]]);
        assert_eq!(made(4, &(2..4), &[pass, pass])?, [pass, &[4, 5]]);
        // Its own are computed at the first call, whatever that asks for.
        assert_eq!(
            made(4, &(2..4), &[&[0], pass])?,
            [&[0, 2, 3][..], &[1, 4, 5]]
        );
        assert_eq!(made(2, &(2..4), &[pass, pass])?, [pass, &[0, 1, 4, 5]]);
        Ok(())
    }

    #[test]
    fn a_batch_that_does_not_fit_is_made_once_a_pass() -> CoreResult<()> {
        let pass: &[usize] = &[0, 1, 2];
        assert_eq!(made_of(|_| 2, 0, &(0..3), &[pass, pass])?, [pass, pass]);
        assert_eq!(made_of(|_| 2, 1, &(0..3), &[pass, pass])?, [pass, pass]);
        // The sizes of those before it do not tell that the second does not fit.
        let growing = |batch| batch + 1;
        assert_eq!(
            made_of(growing, 2, &(0..3), &[pass, pass])?,
            [pass, &[1, 2]]
        );
        // A last batch that is shorter than the others fits where those would not.
        let short = |batch| if batch == 2 { 1 } else { 3 };
        assert_eq!(made_of(short, 7, &(0..3), &[pass, pass])?, [pass, &[]]);
        assert_eq!(made_of(|_| 3, 7, &(0..3), &[pass, pass])?, [pass, &[2]]);
        // Others than its own have no cache either.
        assert_eq!(made_of(|_| 2, 0, &(1..3), &[&[0, 1, 0]])?, [[0, 0, 1]]);
        Ok(())
    }
}

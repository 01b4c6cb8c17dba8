//! Work on several matrices side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

use influence_core::{Error as CoreError, Result as CoreResult};
use rayon::{ThreadPoolBuilder, prelude::*};

use crate::{FitStep, observe::FitProgress, panic::caught};

pub(super) const KRONECKER: &str = "kronecker factors";

/// The results of `work` on each item, in the order of the items; at most `threads` at a time, on
/// the thread pool of the caller unless that is larger. The number of threads does not change the
/// results.
///
/// After an error no item that follows it is begun. Of several errors the first in order is
/// returned, whichever thread met one first: items before a failed one are still computed.
pub(super) fn in_parallel<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    watch: &FitProgress,
    work: impl Fn(T) -> CoreResult<R> + Sync,
) -> CoreResult<Vec<R>> {
    let (count, begun) = (items.len(), AtomicUsize::new(0));
    let first_failed = AtomicUsize::new(usize::MAX);
    let one = |(position, item)| {
        if position > first_failed.load(Ordering::Relaxed) {
            return None;
        }
        let index = begun.fetch_add(1, Ordering::Relaxed);
        // A panic would otherwise unwind through the pool and end in the caller's thread.
        let outcome = caught(|| {
            watch.fitting(FitStep::Eigenvectors, index, count);
            work(item)
        });
        let outcome = outcome.unwrap_or_else(|message| Err(CoreError::backend(KRONECKER, message)));
        if outcome.is_err() {
            first_failed.fetch_min(position, Ordering::Relaxed);
        }
        Some(outcome)
    };
    // Each item has room to decompose its matrix: more threads would take more memory than was
    // granted.
    let all = || {
        items
            .into_par_iter()
            .enumerate()
            .map(one)
            .collect::<Vec<_>>()
    };
    let results = if threads >= rayon::current_num_threads() {
        all()
    } else {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| CoreError::backend(KRONECKER, error))?;
        pool.install(all)
    };
    // Items are left out only behind an error, at which this ends.
    results.into_iter().flatten().collect()
}

/// The error for a layer that a pass over the data did not meet.
pub(super) fn missing() -> CoreError {
    CoreError::backend(KRONECKER, "a layer was not seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_begun_behind_an_error_and_the_first_error_in_order_is_returned() {
        let begun = AtomicUsize::new(0);
        let work = |item: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            match item {
                3 | 5 => Err(CoreError::backend("item", item.to_string())),
                _ => Ok(item),
            }
        };
        let run =
            |threads, items: Vec<usize>| in_parallel(threads, items, &FitProgress::default(), work);
        assert!(matches!(run(1, (0..100).collect()), Err(error) if error.to_string() == "item: 3"));
        // One thread takes the items in halves, the later half last.
        assert!(begun.load(Ordering::Relaxed) < 50, "{begun:?}");
        for threads in 1..5 {
            let error = run(threads, (0..100).rev().collect()).expect_err("two items fail");
            assert_eq!(error.to_string(), "item: 5");
        }
        assert!(matches!(run(2, vec![7, 8]), Ok(items) if items == [7, 8]));
    }
}

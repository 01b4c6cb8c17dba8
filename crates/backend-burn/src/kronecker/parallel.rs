//! Work on several matrices side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

use influence_core::{Error as CoreError, Result as CoreResult};
use rayon::{ThreadPoolBuilder, prelude::*};

use crate::{FitStep, observe::Watch, panic::caught};

const KRONECKER: &str = "kronecker factors";

/// The results of `work` on each item, in the order of the items; at most `threads` at a time, on
/// the thread pool of the caller unless that is larger. The number of threads does not change the
/// results.
pub(super) fn in_parallel<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    watch: &Watch,
    work: impl Fn(T) -> CoreResult<R> + Sync,
) -> CoreResult<Vec<R>> {
    let (count, begun) = (items.len(), AtomicUsize::new(0));
    let one = |item| {
        let index = begun.fetch_add(1, Ordering::Relaxed);
        // A panic would otherwise unwind through the pool and end in the caller's thread.
        let outcome = caught(|| {
            watch.fitting(FitStep::Eigenvectors, index, count);
            work(item)
        });
        outcome.unwrap_or_else(|message| Err(CoreError::backend(KRONECKER, message)))
    };
    // Each item has room to decompose its matrix: more threads would take more memory than was
    // granted.
    let all = || items.into_par_iter().map(one).collect::<Vec<_>>();
    let results = if threads >= rayon::current_num_threads() {
        all()
    } else {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| CoreError::backend(KRONECKER, error))?;
        pool.install(all)
    };
    // Of several errors the first in order, whichever thread met one first.
    results.into_iter().collect()
}

/// The error for a layer that a pass over the data did not meet.
pub(super) fn missing() -> CoreError {
    CoreError::backend(KRONECKER, "a layer was not seen")
}

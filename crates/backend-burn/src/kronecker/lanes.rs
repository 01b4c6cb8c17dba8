//! A pass over batches in lanes that go side by side.
//!
//! Matrix products of the size of a batch do not keep all cores busy, and what lies between them
//! keeps one. So the batches of a leaf are dealt out to lanes, batch `i` to lane `i mod 2`, each
//! with sums of its own, which are added up at the end. How many lanes there are is a constant:
//! the order of additions, and with it the bits of the sums, depends on no number of threads. A
//! single thread goes through the lanes one after the other.

use std::{ops::Range, sync::Arc};

use influence_core::{
    Error as CoreError, Result as CoreResult,
    summation::{Sums, added},
};

use super::parallel::KRONECKER;
use crate::{Gradients, curvature::SampleVectors, panic::caught};

/// How many sums are held at a time.
pub(super) const LANES: usize = 2;

/// What a lane adds up.
pub(super) trait LaneSums {
    /// Adds the vectors of a batch.
    fn add(&mut self, vectors: &[Gradients]) -> CoreResult<()>;

    /// The sums on the host.
    fn into_arrays(self) -> CoreResult<Sums>;
}

/// The sums over some batches of the vectors of each model.
pub(super) fn sums_over<S: LaneSums>(
    models: &[Arc<SampleVectors>],
    parts: &Range<usize>,
    zero: impl Fn() -> S + Sync,
) -> CoreResult<Sums> {
    models
        .iter()
        .try_for_each(|vectors| vectors.fill().map(drop))?;
    let each = models.iter();
    let each = each.flat_map(|vectors| parts.clone().map(move |part| (vectors, part)));
    let each: Vec<_> = each.collect();
    let add = |sums: &mut S, (vectors, part): &(&Arc<SampleVectors>, usize)| {
        sums.add(vectors.part(*part)?.definite()?)
    };
    let [even, odd] = in_lanes(&each, zero, add, S::into_arrays)?;
    added(even, &odd)
}

/// What `finish` makes of the sums of the lanes: each begins with `zero` and adds its items in
/// order.
fn in_lanes<T: Sync, S, R: Send>(
    items: &[T],
    zero: impl Fn() -> S + Sync,
    add: impl Fn(&mut S, &T) -> CoreResult<()> + Sync,
    finish: impl Fn(S) -> CoreResult<R> + Sync,
) -> CoreResult<[R; LANES]> {
    let lane = |first: usize| {
        // A panic would otherwise unwind through the pool and end in the caller's thread.
        let outcome = caught(|| {
            let mut sums = zero();
            let mut own = items.iter().skip(first).step_by(LANES);
            own.try_for_each(|item| add(&mut sums, item))?;
            finish(sums)
        });
        outcome.unwrap_or_else(|message| Err(CoreError::backend(KRONECKER, message)))
    };
    let (even, odd) = rayon::join(|| lane(0), || lane(1));
    Ok([even?, odd?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns_and_the_first_error_is_returned() -> CoreResult<()> {
        let add = |sums: &mut Vec<usize>, item: &usize| {
            sums.push(*item);
            match item {
                7 => Err(CoreError::backend("item", "seven")),
                _ => Ok(()),
            }
        };
        let lanes = in_lanes(&[0, 1, 2, 3, 4], Vec::new, add, Ok)?;
        assert_eq!(lanes, [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(in_lanes(&[3], Vec::new, add, Ok)?, [vec![3], vec![]]);
        let error = in_lanes(&[0, 7, 2], Vec::new, add, Ok).expect_err("an item fails");
        assert_eq!(error.to_string(), "item: seven");
        Ok(())
    }
}

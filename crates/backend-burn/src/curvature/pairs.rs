//! Work on two items at a time.
//!
//! The matrix products of one batch do not keep all cores busy, and what lies between them keeps
//! one. What two batches give is still added in order, so that the bits of a sum do not depend on
//! threads. Two is a constant: each batch at work holds its activations, whatever the machine.

use influence_core::{Error as CoreError, Result as CoreResult};

use crate::panic::caught;

/// Gives `take` what `work` makes of each item, in order. Of two errors the first in order counts.
pub(super) fn in_pairs<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> CoreResult<R> + Sync,
    mut take: impl FnMut(R) -> CoreResult<()>,
) -> CoreResult<()> {
    // A panic would otherwise unwind through the pool and end in the caller's thread.
    let work = |item| {
        caught(|| work(item)).unwrap_or_else(|message| Err(CoreError::backend("batch", message)))
    };
    let mut items = items.into_iter();
    while let Some(first) = items.next() {
        let Some(second) = items.next() else {
            return take(work(first)?);
        };
        let (first, second) = rayon::join(|| work(first), || work(second));
        take(first?)?;
        take(second?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_up_to_the_first_error() {
        let work = |item: usize| match item {
            4 => Err(CoreError::backend("item", "four")),
            5 => panic!("five"),
            _ => Ok(10 * item),
        };
        let taken = |items: std::ops::Range<usize>| {
            let mut taken = Vec::new();
            let outcome = in_pairs(items, work, |item| {
                taken.push(item);
                Ok(())
            });
            (taken, outcome.map_err(|error| error.to_string()))
        };
        assert_eq!(taken(0..0), (vec![], Ok(())));
        assert_eq!(taken(1..4), (vec![10, 20, 30], Ok(())));
        assert_eq!(taken(2..7), (vec![20, 30], Err("item: four".into())));
        assert_eq!(taken(3..6), (vec![30], Err("item: four".into())));
        assert_eq!(taken(5..7), (vec![], Err("batch: five".into())));
    }
}

//! Where chunks go.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use influence_core::{Chunk, ChunkGrid, aggregate::Aggregator, solver::Report};
use ndarray::{ArrayView2, ArrayViewD};

use crate::{Error, Result, Step};

/// Takes finished chunks, from any thread.
pub(crate) trait Sink: Sync {
    /// Whether it has the chunk at a position from an earlier run.
    fn has(&self, _index: [usize; 2]) -> bool {
        false
    }

    /// Takes note of how test rows were solved; comes before the chunks made of them.
    fn solved(&self, _rows: &Range<usize>, _reports: &[Report]) -> Result<()> {
        Ok(())
    }

    /// Takes note of test rows of which numbers turned out not to be finite, after they had been solved.
    fn spoilt(&self, _rows: &[usize]) -> Result<()> {
        Ok(())
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()>;
}

/// Nowhere.
impl Sink for () {
    fn deliver(&self, _chunk: &Chunk, _values: ArrayViewD<'_, f64>) -> Result<()> {
        Ok(())
    }
}

/// Hands chunks to an aggregator; while it is busy to a fork of it, where it can be forked, so that no thread waits for another.
pub(crate) struct Aggregate<A> {
    /// Gets what it can: sums are shortest where chunks come to one place in order.
    first: Mutex<A>,
    /// What forks are made of.
    empty: Option<Mutex<A>>,
    /// Forks that no thread is using.
    idle: Mutex<Vec<A>>,
}

impl<A: Aggregator> Aggregate<A> {
    pub(crate) fn new(mut aggregator: A, grid: &ChunkGrid) -> Result<Self> {
        match aggregator.begin(grid) {
            Ok(()) => Ok(Self {
                empty: aggregator.fork().map(Mutex::new),
                first: Mutex::new(aggregator),
                idle: Mutex::default(),
            }),
            Err(source) => Err(Error::core(Step::Planning, source)),
        }
    }

    /// The outcome, once no thread is delivering.
    pub(crate) fn finish(self) -> Result<A::Output> {
        let own = |mutex: Mutex<A>| mutex.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut whole = own(self.first);
        let forks = self.idle.into_inner();
        let mut forks = forks.unwrap_or_else(PoisonError::into_inner).into_iter();
        forks
            .try_for_each(|fork| whole.merge(fork))
            .and_then(|()| whole.finish())
            .map_err(|source| Error::core(Step::Finishing, source))
    }

    fn fork(&self) -> Option<A> {
        let idle = lock(&self.idle).pop();
        idle.or_else(|| lock(self.empty.as_ref()?).fork())
    }

    fn accept(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> influence_core::Result<()> {
        if let Ok(mut first) = self.first.try_lock() {
            return first.accept(chunk, values);
        }
        match self.fork() {
            Some(mut fork) => {
                fork.accept(chunk, values)?;
                lock(&self.idle).push(fork);
                Ok(())
            }
            None => lock(&self.first).accept(chunk, values),
        }
    }
}

impl<A: Aggregator> Sink for Aggregate<A> {
    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.accept(chunk, values).map_err(|source| {
            let chunk = chunk.clone();
            Error::core(Step::Delivering { chunk }, source)
        })
    }
}

/// Hands chunks to one sink, and after it to another that has none of its own.
pub(crate) struct Tee<'a, A, B>(pub(crate) &'a A, pub(crate) &'a B);

impl<A: Sink, B: Sink> Sink for Tee<'_, A, B> {
    fn has(&self, index: [usize; 2]) -> bool {
        self.0.has(index)
    }

    fn solved(&self, rows: &Range<usize>, reports: &[Report]) -> Result<()> {
        self.0.solved(rows, reports)?;
        self.1.solved(rows, reports)
    }

    fn spoilt(&self, rows: &[usize]) -> Result<()> {
        self.0.spoilt(rows)?;
        self.1.spoilt(rows)
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.0.deliver(chunk, values.view())?;
        self.1.deliver(chunk, values)
    }
}

/// Hands chunks without further axes to a function.
pub(crate) struct Plain<F>(pub(crate) F);

impl<F: Fn(&Chunk, ArrayView2<'_, f64>) -> Result<()> + Sync> Sink for Plain<F> {
    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        let values = values.into_dimensionality().map_err(|source| {
            let chunk = chunk.clone();
            Error::core(
                Step::Delivering { chunk },
                influence_core::Error::backend("chunk", source),
            )
        })?;
        (self.0)(chunk, values)
    }
}

/// A panic elsewhere is reported there; what the lock protects is used no further than to let the others stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Where chunks go.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use influence_core::{Chunk, ChunkGrid, aggregate::Aggregator, solver::Report};
use ndarray::{ArrayD, ArrayViewD, Axis};

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

    /// Takes note of test rows that were solved and whose numbers turned out not to be finite.
    fn spoilt(&self, _rows: &[usize]) -> Result<()> {
        Ok(())
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()>;
}

/// Drops all chunks.
impl Sink for () {
    fn deliver(&self, _chunk: &Chunk, _values: ArrayViewD<'_, f64>) -> Result<()> {
        Ok(())
    }
}

/// Hands chunks to an aggregator; while that is busy, to a fork of it if it can be forked, so that
/// no thread waits for another.
pub(crate) struct Aggregate<A> {
    /// Gets all chunks that it can: merges are cheapest where most chunks come to one place in
    /// order.
    first: Mutex<A>,
    /// The template of forks.
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

/// Hands chunks to one sink, which may have some already, and then to another.
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
        // The output first: a chunk that is stored but was not aggregated is handed over again by
        // the run that resumes, while the reverse would be lost.
        self.0.deliver(chunk, values.view())?;
        self.1.deliver(chunk, values)
    }
}

/// Puts the chunks of a part of a grid in their places in one array.
pub(crate) struct ArrayOfPart {
    /// The first point of the part on each axis of the grid that the array has.
    origin: Vec<usize>,
    gathered: Mutex<Gathered>,
}

struct Gathered {
    array: ArrayD<f64>,
    /// How many chunks are not there yet.
    missing: usize,
}

impl ArrayOfPart {
    /// An array for these rows and columns of chunks of a grid. It has the first `dimensions` axes
    /// of the grid; `sides` makes its shape of the points on both.
    pub(crate) fn new(
        grid: &ChunkGrid,
        [rows, columns]: &[Range<usize>; 2],
        dimensions: usize,
        sides: impl FnOnce([usize; 2]) -> Vec<usize>,
    ) -> Self {
        let first = [grid.rows(rows.start), grid.columns(columns.start)].map(|points| points.start);
        let end = [grid.rows(rows.end), grid.columns(columns.end)].map(|points| points.start);
        let shape = sides([end[0] - first[0], end[1] - first[1]]);
        Self {
            origin: first.into_iter().take(dimensions).collect(),
            gathered: Mutex::new(Gathered {
                array: ArrayD::zeros(shape),
                missing: rows.len() * columns.len(),
            }),
        }
    }

    /// The array, once no thread is delivering.
    pub(crate) fn finish(self) -> Result<ArrayD<f64>> {
        let gathered = self.gathered.into_inner();
        let Gathered { array, missing } = gathered.unwrap_or_else(PoisonError::into_inner);
        if missing > 0 {
            let step = Step::Finishing;
            return Err(Error::Skipped { step });
        }
        Ok(array)
    }
}

impl Sink for ArrayOfPart {
    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        let mut gathered = lock(&self.gathered);
        let mut place = gathered.array.view_mut();
        let ranges = [&chunk.rows, &chunk.columns].into_iter();
        for (axis, (range, first)) in ranges.zip(&self.origin).enumerate() {
            let range = range.start - first..range.end - first;
            place.slice_axis_inplace(Axis(axis), range.into());
        }
        place.assign(&values);
        gathered.missing = gathered.missing.saturating_sub(1);
        Ok(())
    }
}

/// Locks, also after a panic of another thread: that is reported there, and this thread only stops.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

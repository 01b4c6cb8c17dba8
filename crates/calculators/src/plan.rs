//! The plan of a computation: its grid, the order in which it is covered, and what it takes.
//!
//! Three decisions are made before the first number, in this order.
//!
//! 1. *Chunks* ([`Plan::chunk_shape`]). Sizes that were given are kept; the others are chosen so
//!    that several tasks and a panel fit in the memory. They must be the same in every run of the
//!    same work, since the bits depend on them: so they depend on the footprint and on the granted
//!    memory, never on the number of threads, nor on what else the process holds.
//! 2. *Tasks at a time*. With `t` bytes per task and `M` bytes of memory, `M / 2t` tasks run at
//!    once, at most one per thread. The other half is for the side that is held.
//! 3. *What is held* ([`Plan::new`]). Both sides are tried. With `b` bytes for a row or column of
//!    chunks of the held side, panels of `(M − workers · t) / b` of them fit. What several panels
//!    cost beyond one decides:
//!
//!    ```text
//!    test side held:   (panels − 1) · n · flops per gradient / FLOPS
//!    train side held:  panels · k · bytes per factor / DISK_BYTES   if factors can be read again,
//!                      infinity                                     if they would be solved again
//!    ```
//!
//!    Thin gradients are hundreds of times smaller than factors, so that the train side is often
//!    held in one panel; with few test points and dense gradients it is the test side.
//!
//! The plan of a [`Share`](crate::Share) has the grid of the whole; what is held, and in which
//! panels, is decided for the part of the grid that the share covers.
//!
//! [`Plan::for_influences`] makes all three at once from a [`Workload`] and a [`Budget`]. It needs
//! no model, and it is the only planner: a run does exactly what was announced before it.

mod request;
#[cfg(test)]
mod tests;

use std::ops::Range;

use influence_core::{ChunkGrid, Footprint};

use crate::{Error, Result, Share, share::ShareOfGrid};

pub(crate) use request::factor_grid;
pub use request::{Budget, Workload};

/// Operations of a core and bytes of a disk per second: good enough to weigh computing against
/// reading.
const FLOPS: f64 = 5e10;
const DISK_BYTES: f64 = 1e9;

/// A side of the matrix of influences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The test points, its rows.
    Test,
    /// The train points, its columns.
    Train,
}

/// The resources of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Bytes for factors, gradients and scores.
    pub memory: usize,
    /// Tasks that can run at a time.
    pub threads: usize,
    /// Whether factors can be read again, from a scratch array or because they were stored before;
    /// those of a [compact](Footprint::compact) form are not, if they are solved.
    pub factors_kept: bool,
}

/// Which chunks are computed, and which vectors are in memory meanwhile.
///
/// One side of the matrix is *held*: a *panel* of it, a run of rows or columns of chunks, is in
/// memory at once, factors of test points or gradients of train points. The other side *streams*
/// past, a row or column of chunks per task.
///
/// - With the test side held, each factor is solved once, and train gradients are computed once per
///   panel.
/// - With the train side held, each gradient is computed once. So is each factor, and if there are
///   several panels, factors are read again from a scratch array for each but the first.
///
/// The side is held that leaves less to do again; the choice changes no bit of the result.
///
/// # Examples
/// ```
/// use influence_calculators::{Plan, Resources, Side};
/// use influence_core::{ChunkGrid, Footprint, Precision};
///
/// let grid = ChunkGrid::new([500, 9000], [50, 1000])?;
/// let footprint = Footprint::dense(10_000, Precision::F32);
/// let resources = Resources { memory: 200 << 20, threads: 2, factors_kept: false };
/// let plan = Plan::new(&grid, &footprint, resources);
/// // The factors of all test points take 20 MB, the gradients of all train points 360 MB.
/// assert_eq!((plan.held(), plan.panels()), (Side::Test, &[0..10][..]));
/// assert!(plan.peak_bytes() <= 200 << 20);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    grid: ChunkGrid,
    /// The side that is shared out: 0, the rows of chunks, or 1, the columns.
    shared: usize,
    part: [Range<usize>; 2],
    footprint: Footprint,
    held: Side,
    panels: Vec<Range<usize>>,
    workers: usize,
    peak: usize,
}

impl Plan {
    /// Bytes for factors, gradients and scores where no bound is given: 1 GiB.
    pub const MEMORY: usize = 1 << 30;

    /// Bytes per number in use while a chunk is handed over: as `f64`, as it is stored, and
    /// encoded.
    pub const DELIVERING: usize = 24;

    /// Chooses the side to hold and cuts it into panels that fit, at least one row or column of
    /// chunks each.
    pub fn new(grid: &ChunkGrid, footprint: &Footprint, resources: Resources) -> Self {
        Self::of_share(Share::WHOLE, grid, footprint, resources)
    }

    /// As [`new`](Self::new), for a share of the grid.
    fn of_share(
        share: Share,
        grid: &ChunkGrid,
        footprint: &Footprint,
        resources: Resources,
    ) -> Self {
        let shared = Share::side(grid, footprint.immediate);
        let part = share.part(grid, shared);
        let chunks = (grid, shared, &part);
        let [by_test, by_train] =
            [Side::Test, Side::Train].map(|held| Self::holding(held, chunks, footprint, resources));
        let kept = resources.factors_kept && !footprint.compact;
        let [again_by_test, again_by_train] =
            [&by_test, &by_train].map(|plan| plan.seconds_again(kept));
        // On a par, rows stream if there are enough of them: a run that is killed then has few
        // factors to solve again.
        let [down, across] = part.map(|chunks| chunks.len());
        let rows_suffice = down >= across.min(2 * resources.threads);
        let train = again_by_train < again_by_test
            || (again_by_train <= again_by_test
                && by_train.peak <= resources.memory
                && rows_suffice);
        if train { by_train } else { by_test }
    }

    /// Chunk shape: given sizes are kept, the rest chosen so that several tasks and a panel fit.
    ///
    /// It depends on nothing that may differ between two runs of the same work, since the bits of
    /// the result depend on it.
    pub fn chunk_shape(
        given: [Option<usize>; 2],
        shape: [usize; 2],
        footprint: &Footprint,
        memory: usize,
    ) -> [usize; 2] {
        /// Test points in a chunk, beyond which compact factors gain nothing: they are not as wide
        /// as plain numbers.
        const COMPACT: usize = 256;
        /// Bounds of the train points in a chunk, between which it is a sixteenth of them all.
        const TRAIN: [usize; 2] = [256, 4096];
        let efficient = footprint.chunk;
        // What a task may take for kernels to be efficient, and what it may take in any case. The
        // former is a little less than a quarter: two tasks fit into half of what the model
        // leaves.
        let (needed, granted) = (memory / 64 * 15, memory / 16);
        let most = if footprint.compact {
            COMPACT
        } else {
            efficient.test
        };
        let test = given[0]
            .unwrap_or_else(|| largest(most, |points| footprint.solving_bytes(points) <= needed));
        let test = test.min(shape[0]).max(1);
        let train = given[1].unwrap_or_else(|| {
            let task = |points| {
                let sides = [Side::Test, Side::Train];
                let bytes = sides.map(|held| task_bytes(held, [test, points], footprint));
                bytes[0].max(bytes[1])
            };
            let enough = largest(efficient.train, |points| task(points) <= needed);
            // More of them are taken as long as the task becomes no larger by it.
            let limit = task(enough).max(granted);
            let wanted = shape[1].div_ceil(16).clamp(TRAIN[0], TRAIN[1]);
            let wanted = wanted.max(efficient.train);
            largest(wanted, |points| task(points) <= limit)
        });
        [test, train.min(shape[1]).max(1)]
    }

    /// A plan of rows of chunks that are independent of each other, each of which takes `bytes`
    /// while it is computed.
    fn of_rows(
        (grid, share): (ChunkGrid, Share),
        footprint: &Footprint,
        bytes: usize,
        resources: Resources,
    ) -> Self {
        let workers = workers(bytes, resources);
        let shared = 0;
        let part = share.part(&grid, shared);
        Self {
            shared,
            held: Side::Test,
            panels: part[0].clone().map(|row| row..row + 1).collect(),
            grid,
            part,
            footprint: *footprint,
            workers,
            peak: workers.saturating_mul(bytes),
        }
    }

    fn holding(
        held: Side,
        (grid, shared, part): (&ChunkGrid, usize, &[Range<usize>; 2]),
        footprint: &Footprint,
        resources: Resources,
    ) -> Self {
        let [k, n] = grid.chunk_shape();
        let (panel_chunk, chunks) = match held {
            Side::Test => (k.saturating_mul(footprint.factor), &part[0]),
            Side::Train => (n.saturating_mul(footprint.gradient), &part[1]),
        };
        let task = task_bytes(held, [k, n], footprint);
        let workers = workers(task, resources);
        let room = resources.memory.saturating_sub(workers * task);
        let panels = cut(chunks, room / panel_chunk.max(1));
        let largest = panels.first().map_or(0, ExactSizeIterator::len);
        Self {
            grid: grid.clone(),
            shared,
            part: part.clone(),
            footprint: *footprint,
            held,
            panels,
            workers,
            peak: largest
                .saturating_mul(panel_chunk)
                .saturating_add(workers.saturating_mul(task)),
        }
    }

    /// The cost of several panels beyond that of one, in seconds.
    fn seconds_again(&self, factors_kept: bool) -> f64 {
        let n = self.points()[1] as f64;
        let again = self.panels.len().saturating_sub(1) as f64;
        match self.held {
            Side::Test => again * n * self.footprint.gradient_flops / FLOPS,
            Side::Train if again > 0.0 && !factors_kept => f64::INFINITY,
            // Besides being read, factors are written once.
            Side::Train => self.seconds_moving(),
        }
    }

    /// The plan, if it fits the granted memory together with the bytes taken already.
    ///
    /// # Errors
    /// [`Error::Memory`] if it does not.
    pub fn within(self, granted: usize, taken: usize) -> Result<Self> {
        let needed = self.peak.saturating_add(taken);
        if needed > granted {
            return Err(Error::Memory { granted, needed });
        }
        Ok(self)
    }

    /// The grid of the result.
    pub fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// The rows and columns of chunks that are computed: all of the grid, or those of a share.
    pub fn part(&self) -> &[Range<usize>; 2] {
        &self.part
    }

    /// The rows and columns of chunks that a share of this work covers, whichever share is planned
    /// here.
    pub fn part_of(&self, share: Share) -> [Range<usize>; 2] {
        share.part(&self.grid, self.shared)
    }

    /// How many chunks are computed.
    pub fn chunks(&self) -> usize {
        self.part.iter().map(ExactSizeIterator::len).product()
    }

    /// How many [shares](Share) can have work: the rows or columns of chunks that are shared out.
    /// Of more shares than that, some have no chunks.
    pub fn most_shares(&self) -> usize {
        self.grid.counts()[self.shared]
    }

    /// The test and train points of these chunks.
    fn points(&self) -> [usize; 2] {
        let [rows, columns] = self.part.clone();
        let rows = rows.map(|row| self.grid.rows(row).len());
        let columns = columns.map(|column| self.grid.columns(column).len());
        [rows.sum(), columns.sum()]
    }

    /// The side of which panels are in memory.
    pub fn held(&self) -> Side {
        self.held
    }

    /// The panels: ranges of rows or columns of chunks, in order, which together are all of them
    /// that are computed.
    pub fn panels(&self) -> &[Range<usize>] {
        &self.panels
    }

    /// How many tasks run at a time: no more than there are threads, and than fit into memory.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Passes over the gradients of all train points; computed on each.
    pub fn gradient_passes(&self) -> usize {
        match self.held {
            Side::Test => self.panels.len(),
            Side::Train => 1,
        }
    }

    /// Passes over the factors; solved on the first, read back on the others.
    pub fn factor_passes(&self) -> usize {
        match self.held {
            Side::Test => 1,
            Side::Train => self.panels.len(),
        }
    }

    /// Bytes of factors that are written to a scratch array, to be read again.
    pub fn scratch_bytes(&self) -> usize {
        if self.factor_passes() > 1 {
            self.points()[0].saturating_mul(self.footprint.factor)
        } else {
            0
        }
    }

    /// An upper estimate of the bytes in use for factors, gradients and scores.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// How long gradients and scores take, in seconds, to an order of magnitude; solving is not
    /// included.
    pub fn seconds(&self) -> f64 {
        let computing = (self.gradient_flops() + self.score_flops()) / FLOPS;
        computing / self.workers as f64 + self.seconds_moving()
    }

    fn seconds_moving(&self) -> f64 {
        self.scratch_bytes() as f64 * self.factor_passes() as f64 / DISK_BYTES
    }

    /// Floating-point operations of all gradients, in all passes.
    pub fn gradient_flops(&self) -> f64 {
        self.gradient_passes() as f64 * self.points()[1] as f64 * self.footprint.gradient_flops
    }

    /// Floating-point operations of all scores.
    pub fn score_flops(&self) -> f64 {
        let [k, n] = self.points().map(|points| points as f64);
        k * n * self.footprint.score_flops
    }
}

/// Bytes of a task that scores chunks of `[k, n]` points with one side held: it makes factors or
/// gradients, then has those that stream and the scores.
fn task_bytes(held: Side, [k, n]: [usize; 2], footprint: &Footprint) -> usize {
    let pairs = footprint
        .scoring_bytes(k, n)
        .saturating_add(k.saturating_mul(n).saturating_mul(Plan::DELIVERING));
    let streamed = match held {
        Side::Test => n.saturating_mul(footprint.gradient),
        Side::Train => k.saturating_mul(footprint.factor),
    };
    let making = footprint
        .solving_bytes(k)
        .max(footprint.differentiating_bytes(n))
        .saturating_add(footprint.piece.bytes);
    making.max(pairs.saturating_add(streamed))
}

/// The largest number up to `most` that fits, at least 1; whatever is below a number that fits does
/// too.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most.max(1));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// How many tasks of `bytes` each may run at a time: they get half of the memory, but one always
/// runs.
fn workers(bytes: usize, resources: Resources) -> usize {
    (resources.memory / 2 / bytes.max(1)).clamp(1, resources.threads.max(1))
}

/// Cuts `chunks` into as few runs of at most `size` as there can be, of about the same length.
fn cut(chunks: &Range<usize>, size: usize) -> Vec<Range<usize>> {
    if chunks.is_empty() {
        return Vec::new();
    }
    let size = chunks.len().div_ceil(chunks.len().div_ceil(size.max(1)));
    chunks
        .clone()
        .step_by(size)
        .map(|first| first..(first + size).min(chunks.end))
        .collect()
}

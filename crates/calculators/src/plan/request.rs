use influence_core::{ChunkGrid, Footprint, Precision};

use super::{Plan, Resources};
use crate::{Error, Result, Share, Step};

/// A chunk of factors takes at most about this many bytes, as far as cutting parameters allows.
const CHUNK_BYTES: usize = 16 << 20;

/// The work to plan: the shape of the matrix, and what a model needs for one sample of it.
///
/// Together with a [`Budget`] this decides a [`Plan`]. Nothing else does: a program that knows the
/// footprint of a model plans its computation without the model.
///
/// # Examples
/// ```
/// use influence_calculators::{Budget, Plan, Workload};
/// use influence_core::{Footprint, Precision};
///
/// let footprint = Footprint::dense(10_000, Precision::F32);
/// let workload = Workload { shape: [500, 9000], footprint, numbers: 1 };
/// let budget = Budget { memory: Some(200 << 20), threads: 2, ..Budget::default() };
/// let plan = Plan::for_influences(&workload, &budget, false)?;
/// assert!(plan.peak_bytes() <= 200 << 20);
///
/// let too_little = Budget { memory: Some(1 << 10), ..budget };
/// assert!(Plan::for_influences(&workload, &too_little, false).is_err());
/// # Ok::<(), influence_calculators::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// The rows and columns of the matrix: test points by train points, or test points by
    /// parameters.
    pub shape: [usize; 2],
    /// What one sample needs, as
    /// [`InfluenceModel::footprint`](influence_core::InfluenceModel::footprint) measures it.
    pub footprint: Footprint,
    /// The numbers in one score: the product of the lengths of its
    /// [axes](influence_core::InfluenceModel::axes), 1 without any.
    pub numbers: usize,
}

/// What a computation may use, and the chunks that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Points in a chunk on each side, test and train; where `None`, the memory decides.
    pub chunk: [Option<usize>; 2],
    /// A bound in bytes for factors, gradients and scores. Without one, chunks are cut for
    /// [`Plan::MEMORY`] and no plan is refused.
    pub memory: Option<usize>,
    /// Bytes of that memory which are in use before the computation begins, for example by the
    /// model.
    ///
    /// Panels and tasks leave them free; chunks ignore them, so that chunks depend on nothing that
    /// differs between two runs of the same work.
    pub taken: usize,
    /// Tasks that can run at a time; 0 counts as 1.
    pub threads: usize,
    /// The part of the work that is planned; the grid is that of the whole.
    pub share: Share,
}

impl Workload {
    /// The footprint with all numbers of a score in it; the model measures the handing over of one.
    fn whole_footprint(&self) -> Footprint {
        let mut footprint = self.footprint;
        let more = self.numbers.saturating_sub(1);
        let delivering = more.saturating_mul(Plan::DELIVERING);
        footprint.scoring.per_pair = footprint.scoring.per_pair.saturating_add(delivering);
        footprint
    }
}

impl Budget {
    /// The memory that chunks are cut for, in bytes.
    fn bytes(&self) -> usize {
        self.memory.unwrap_or(Plan::MEMORY)
    }

    fn resources(&self, factors_kept: bool) -> Resources {
        Resources {
            memory: self.bytes().saturating_sub(self.taken),
            threads: self.threads,
            factors_kept,
        }
    }

    /// Refuses a plan that exceeds the bound, if there is one.
    fn check(&self, plan: Plan) -> Result<Plan> {
        match self.memory {
            Some(granted) => plan.within(granted, self.taken),
            None => Ok(plan),
        }
    }
}

impl Plan {
    /// Plans a matrix of influences, test points by train points.
    ///
    /// `factors_kept` says whether factors can be read again: because they are stored already, or
    /// because they go to a scratch array beside a Zarr output.
    ///
    /// # Errors
    /// [`Error::Memory`] when not even single chunks fit the bound.
    pub fn for_influences(
        workload: &Workload,
        budget: &Budget,
        factors_kept: bool,
    ) -> Result<Self> {
        let footprint = workload.whole_footprint();
        // All of the memory, taken or not: the chunks must not depend on what the process holds.
        let chunk = Self::chunk_shape(budget.chunk, workload.shape, &footprint, budget.bytes());
        let grid = grid(workload.shape, chunk)?;
        let resources = budget.resources(factors_kept);
        let plan = Self::of_share(budget.share, &grid, &footprint, resources);
        budget.check(plan)
    }

    /// Plans the factors of test points, test points by parameters: rows of chunks that are
    /// independent of each other.
    ///
    /// # Errors
    /// As [`for_influences`](Self::for_influences).
    pub fn for_factors(workload: &Workload, precision: Precision, budget: &Budget) -> Result<Self> {
        let (shape, footprint) = (workload.shape, workload.whole_footprint());
        let given = [budget.chunk[0], Some(1)];
        let rows = Self::chunk_shape(given, shape, &footprint, budget.bytes())[0];
        let grid = factor_grid(shape, rows, precision)?;
        // While factors are handed over they are on the host too, in f64 and as they are stored.
        let numbers = shape[1].saturating_mul(precision.bytes());
        let delivered = rows.saturating_mul(4 * numbers);
        let bytes = footprint.solving_bytes(rows).max(delivered);
        budget.check(Self::of_rows(
            (grid, budget.share),
            &footprint,
            bytes.saturating_add(footprint.piece.bytes),
            budget.resources(false),
        ))
    }

    /// Plans self-influences: a column with one row per train point. The chunk is the first one of
    /// the budget.
    ///
    /// # Errors
    /// As [`for_influences`](Self::for_influences).
    pub fn for_self_influences(workload: &Workload, budget: &Budget) -> Result<Self> {
        let (shape, footprint) = (workload.shape, workload.whole_footprint());
        let given = [budget.chunk[0], Some(1)];
        let [rows, _] = Self::chunk_shape(given, shape, &footprint, budget.bytes());
        let grid = grid(shape, [rows, 1])?;
        let [factors, gradients] =
            [footprint.factor, footprint.gradient].map(|bytes| rows.saturating_mul(bytes));
        let point = footprint.scoring_bytes(1, 1);
        // One after the other, with what was made before.
        let steps = [
            footprint.solving_bytes(rows),
            factors.saturating_add(footprint.differentiating_bytes(rows)),
            factors
                .saturating_add(gradients)
                .saturating_add(rows.saturating_mul(point)),
        ];
        let bytes = steps.into_iter().fold(0, usize::max);
        budget.check(Self::of_rows(
            (grid, budget.share),
            &footprint,
            bytes,
            budget.resources(false),
        ))
    }
}

fn grid(shape: [usize; 2], chunk: [usize; 2]) -> Result<ChunkGrid> {
    ChunkGrid::new(shape, chunk).map_err(|source| Error::core(Step::Planning, source))
}

/// The grid of factors `(k, dim)`: chunks of `rows` rows, and of as many columns as [`CHUNK_BYTES`]
/// hold.
pub(crate) fn factor_grid(
    [k, dim]: [usize; 2],
    rows: usize,
    precision: Precision,
) -> Result<ChunkGrid> {
    let rows = rows.min(k).max(1);
    let columns = (CHUNK_BYTES / precision.bytes() / rows).min(dim).max(1);
    grid([k, dim], [rows, columns])
}

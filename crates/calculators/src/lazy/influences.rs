use influence_core::{
    ChunkGrid, Dataset, Error as CoreError, InfluenceModel, aggregate::Aggregator,
};

use super::{FACTOR_MEMORY, TEST_CHUNK, TRAIN_CHUNK, check_chunk, grid, watched};
use crate::{
    Calculator, Error, FactorSource, Location, Plan, Result, SolveSummary, Step, ZarrOptions,
    engine::{Job, TestSide, Traits, Watch, traits},
    sink::{Aggregate, Sink},
    zarr::{Kind, Output},
};

/// The influences `(k, n)` of train points on test points, described but not computed.
///
/// Factors are solved once for each chunk of test rows, gradients computed once for each chunk of train rows and
/// each panel of factors that fits into memory.
///
/// # Examples
/// ```
#[doc = include_str!("../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let calculator = Sequential::new(model);
/// let influences = calculator.influences(&test, &train).with_chunks(2, 3)?.compute(Concatenate::new())?;
/// assert_eq!(influences.shape(), [3, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "lazy: nothing runs before `compute` or `to_zarr`"]
pub struct LazyInfluences<'a, M: InfluenceModel> {
    calculator: &'a dyn Calculator<Model = M>,
    test: TestSide<'a, M::Batch>,
    train: &'a dyn Dataset<Batch = M::Batch>,
    chunk: [usize; 2],
    memory: usize,
    watch: Watch<'a>,
}

watched!(LazyInfluences);

impl<'a, M: InfluenceModel> LazyInfluences<'a, M> {
    pub(crate) fn solving(
        calculator: &'a dyn Calculator<Model = M>,
        test: &'a dyn Dataset<Batch = M::Batch>,
        train: &'a dyn Dataset<Batch = M::Batch>,
    ) -> Self {
        Self::new(calculator, TestSide::Solve(test), train)
    }

    pub(crate) fn reading(
        calculator: &'a dyn Calculator<Model = M>,
        factors: &'a dyn FactorSource,
        train: &'a dyn Dataset<Batch = M::Batch>,
    ) -> Self {
        Self::new(calculator, TestSide::Read(factors), train)
    }

    fn new(
        calculator: &'a dyn Calculator<Model = M>,
        test: TestSide<'a, M::Batch>,
        train: &'a dyn Dataset<Batch = M::Batch>,
    ) -> Self {
        let chunk = [TEST_CHUNK, TRAIN_CHUNK];
        Self {
            calculator,
            test,
            train,
            chunk,
            memory: FACTOR_MEMORY,
            watch: Watch::default(),
        }
    }

    /// Cuts the result into chunks of `test` by `train` points, 64 by 512 by default.
    ///
    /// A chunk is what a worker holds at a time, what an aggregator is given, and what is one chunk in Zarr, where 1 to 16 MiB serve best.
    ///
    /// # Errors
    /// [`Error::Option`] when a side is zero.
    pub fn with_chunks(mut self, test: usize, train: usize) -> Result<Self> {
        self.chunk = [check_chunk(test)?, check_chunk(train)?];
        Ok(self)
    }

    /// Holds factors of at most `bytes` at a time, 1 GiB by default, but always those of one chunk; the result has the same bits.
    pub fn with_factor_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The grid of chunks, no larger than the result.
    pub fn grid(&self) -> ChunkGrid {
        grid([self.test.len(), self.train.len()], self.chunk)
    }

    /// The plan of the computation; asks the model for its dimension and precision, and computes nothing.
    ///
    /// # Errors
    /// [`Error::Core`] when given factors do not fit the model, otherwise that a worker could not be set up.
    pub fn plan(&self) -> Result<Plan> {
        self.prepare().map(|(plan, _)| plan)
    }

    /// Computes the influences and gives each chunk, scores `(k', n')`, to `aggregator`.
    ///
    /// # Errors
    /// [`Error::Unsolved`] unless unsolved rows are accepted, otherwise [`Error::Core`] or [`Error::Panicked`] with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        let (plan, _) = self.prepare()?;
        let sink = Aggregate::new(aggregator, &plan)?;
        self.execute(&plan, &sink)?;
        sink.finish()
    }

    /// Computes the influences and writes each chunk to Zarr, array `influences`; the layout is described at [`zarr`](crate::zarr).
    ///
    /// # Errors
    /// As [`compute`](Self::compute); [`Error::Exists`], [`Error::NotZarr`], [`Error::ReadOnly`] and [`Error::Option`] before anything is computed
    /// or written, [`Error::Store`] when writing fails. Chunks written before an error stay valid.
    pub fn to_zarr(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        let target = options.check(&location.into())?;
        let (plan, traits) = self.prepare()?;
        let output = Output::create(target, Kind::Influences, &plan, traits.precision, options)?;
        let summary = self.execute(&plan, &output)?;
        output.finish(&summary)?;
        Ok(summary)
    }

    fn prepare(&self) -> Result<(Plan, Traits)> {
        let traits = traits(self.calculator)?;
        if let TestSide::Read(factors) = &self.test {
            CoreError::check_size("factors", "columns", traits.dim, factors.dim())
                .map_err(|source| Error::core(Step::Planning, source))?;
        }
        Ok((
            Plan::new(self.grid(), traits.bytes_per_factor(), self.memory),
            traits,
        ))
    }

    fn execute(self, plan: &Plan, sink: &dyn Sink) -> Result<SolveSummary> {
        self.watch.planned(plan);
        let job = Job {
            calculator: self.calculator,
            watch: self.watch,
        };
        job.influences(plan, &self.test, self.train, sink)?;
        Ok(job.watch.into_summary())
    }
}

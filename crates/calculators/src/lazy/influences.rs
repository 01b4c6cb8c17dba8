use influence_core::{
    Dataset, Error as CoreError, FactorForm, InfluenceModel, aggregate::Aggregator,
};

use super::{Common, check_chunk, watched};
use crate::{
    Calculator, Error, FactorSource, Location, Plan, Result, SolveSummary, Step, ZarrOptions,
    engine::{Job, Sides, Steps, TestSide, Traits, traits},
    plan::factor_grid,
    sink::{Aggregate, Sink, Tee},
    zarr::{Claim, Comparison, Declaration, Kind, Output, Sample, Scratch, check_grid},
};

/// The influences `(k, n)` of train points on test points, described but not computed; `(k, n, axes)` for models whose scores have
/// [axes](InfluenceModel::axes).
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
    chunk: [Option<usize>; 2],
    common: Common<'a>,
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
        Self {
            calculator,
            test,
            train,
            chunk: [None; 2],
            common: Common::default(),
        }
    }

    /// Cuts the result into chunks of `test` by `train` points; without it, as the memory suggests.
    ///
    /// A chunk is what a worker computes at a time, what an aggregator is given, and what is one chunk in Zarr, where 1 to 16 MiB serve best.
    ///
    /// # Errors
    /// [`Error::Option`] when a side is zero.
    pub fn with_chunks(self, test: usize, train: usize) -> Result<Self> {
        self.with_test_chunk(test)?.with_train_chunk(train)
    }

    /// Cuts the test side alone into chunks of so many points.
    ///
    /// # Errors
    /// [`Error::Option`] for zero.
    pub fn with_test_chunk(mut self, points: usize) -> Result<Self> {
        self.chunk[0] = Some(check_chunk(points)?);
        Ok(self)
    }

    /// Cuts the train side alone into chunks of so many points.
    ///
    /// # Errors
    /// [`Error::Option`] for zero.
    pub fn with_train_chunk(mut self, points: usize) -> Result<Self> {
        self.chunk[1] = Some(check_chunk(points)?);
        Ok(self)
    }

    /// The plan of the computation; looks at a few train points to see what they take, and computes nothing else.
    ///
    /// # Errors
    /// [`Error::Core`] when given factors do not fit the model or the train points cannot be read, [`Error::Memory`],
    /// otherwise that a worker could not be set up.
    pub fn plan(&self) -> Result<Plan> {
        Ok(self.prepare(None, true)?.0)
    }

    /// Computes the influences and gives each chunk, scores `(k', n')`, to `aggregator`; several at once in a tuple.
    ///
    /// # Errors
    /// [`Error::Unsolved`] unless unsolved rows are accepted, [`Error::Memory`], [`Error::Cancelled`], otherwise
    /// [`Error::Core`] or [`Error::Panicked`] with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        let (plan, traits) = self.prepare(None, false)?;
        let sink = Aggregate::new(aggregator, plan.grid())?;
        self.common.watch.planned(&plan, 0)?;
        self.execute(&plan, &sink, &traits, None)?;
        sink.finish()
    }

    /// Computes the influences and writes each chunk to Zarr, array `influences`; the layout is described at [`zarr`](crate::zarr).
    ///
    /// # Errors
    /// As [`compute`](Self::compute); [`Error::Exists`], [`Error::NotZarr`], [`Error::Locked`], [`Error::Differs`], [`Error::ReadOnly`] and
    /// [`Error::Option`] before anything is computed or written, [`Error::Store`] when writing fails. Chunks written before an error stay valid: see
    /// [`ZarrOptions::resuming`].
    pub fn to_zarr(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        Ok(self.to_zarr_and(location, options, ())?.0)
    }

    /// As [`to_zarr`](Self::to_zarr), to a place that was claimed with the same options, be it long before.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr).
    pub fn to_claimed(self, claim: Claim, options: &ZarrOptions) -> Result<SolveSummary> {
        Ok(self.written(claim, options, ())?.0)
    }

    /// As [`to_zarr`](Self::to_zarr), and gives each chunk to `aggregator` too, in the same pass; of a run that is resumed also the
    /// chunks that were there.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr).
    pub fn to_zarr_and<A: Aggregator>(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
        aggregator: A,
    ) -> Result<(SolveSummary, A::Output)> {
        self.written(Claim::new(&location.into(), options)?, options, aggregator)
    }

    fn written<A: Aggregator>(
        self,
        claim: Claim,
        options: &ZarrOptions,
        aggregator: A,
    ) -> Result<(SolveSummary, A::Output)> {
        let (plan, traits) = self.prepare(claim.chunk_shape(), true)?;
        let aggregate = Aggregate::new(aggregator, plan.grid())?;
        let declaration = Declaration {
            kind: Kind::Influences,
            grid: plan.grid().clone(),
            axes: traits.axes.clone(),
            precision: traits.precision,
            solves: matches!(self.test, TestSide::Solve(_)),
        };
        let output = Output::open(claim, declaration, options, &aggregate)?;
        self.common.watch.planned(&plan, output.finished())?;
        let scratch = self.scratch(&plan, &traits, &output)?;
        let sink = Tee(&output, &aggregate);
        self.execute(&plan, &sink, &traits, scratch.as_ref())?;
        drop(scratch);
        Ok((output.finish()?, aggregate.finish()?))
    }

    /// Computes so many chunks, drawn at random, of influences that were written before, and compares them with what is stored.
    ///
    /// # Errors
    /// As [`compute`](Self::compute); [`Error::NotZarr`], [`Error::Differs`] and [`Error::Store`] when the output does not hold influences
    /// of this shape in these chunks or cannot be read.
    pub fn compare(self, location: impl Into<Location>, chunks: usize) -> Result<Comparison> {
        let location = location.into();
        let sample = Sample::draw(&location, chunks)?;
        let stored = sample.matrix().grid();
        let (plan, traits) = self.prepare(Some(stored.chunk_shape()), false)?;
        check_grid(&location, stored, plan.grid())?;
        self.execute(&plan, &sample, &traits, None)?;
        Ok(sample.into_comparison())
    }

    /// The plan, with the chunks of an earlier run where none are given.
    fn prepare(&self, earlier: Option<[usize; 2]>, has_scratch: bool) -> Result<(Plan, Traits)> {
        let form = match self.test {
            TestSide::Solve(_) => FactorForm::Solved,
            TestSide::Read(_) => FactorForm::Stored,
        };
        let traits = traits(self.calculator, self.train, form)?;
        if let TestSide::Read(factors) = &self.test {
            CoreError::check_size("factors", "columns", traits.dim, factors.dim())
                .map_err(|source| Error::core(Step::Planning, source))?;
        }
        let given = [0, 1].map(|side| self.chunk[side].or(earlier.map(|chunk| chunk[side])));
        let budget = self.common.budget(self.calculator, given);
        let workload = traits.workload([self.test.len(), self.train.len()]);
        let kept = has_scratch || matches!(self.test, TestSide::Read(_));
        Ok((Plan::for_influences(&workload, &budget, kept)?, traits))
    }

    /// Where factors are kept that are solved here and gone through more than once.
    fn scratch(&self, plan: &Plan, traits: &Traits, output: &Output) -> Result<Option<Scratch>> {
        if plan.factor_passes() < 2 || matches!(self.test, TestSide::Read(_)) {
            return Ok(None);
        }
        let (rows, shape) = (plan.grid().chunk_shape()[0], [self.test.len(), traits.dim]);
        let grid = factor_grid(shape, rows, traits.precision)?;
        Scratch::within(output, grid, traits.precision).map(Some)
    }

    fn execute(
        &self,
        plan: &Plan,
        sink: &dyn Sink,
        traits: &Traits,
        scratch: Option<&Scratch>,
    ) -> Result<()> {
        let job = Job {
            calculator: self.calculator,
            steps: Steps {
                plan,
                watch: &self.common.watch,
                sink,
                traits,
            },
        };
        job.influences(&Sides {
            test: &self.test,
            train: self.train,
            scratch,
        })
    }
}

use influence_core::{ChunkGrid, FactorForm, InfluenceModel, aggregate::Aggregator};

use crate::{
    Budget, Lazy, Location, Plan, Result, SideSource, SolveSummary, ZarrOptions,
    engine::{Execution, Operands, Profile, Runner},
    lazy::{Planned, Query},
    plan::factor_grid,
    zarr::{Claim, Comparison, Declaration, INFLUENCES, Output, Sample, Scratch, check_grid},
};

/// The influences `(k, n)` of train points on test points, described but not computed;
/// `(k, n, axes)` for models whose scores have [axes](InfluenceModel::axes).
///
/// Factors are solved once for each chunk of test rows, gradients computed once for each chunk of
/// train rows and each panel of factors that fits into memory.
///
/// # Examples
/// ```
#[doc = include_str!("../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let calculator = Sequential::new(model);
/// let influences = calculator.influences(&test, &train).with_chunks(2, 3)?;
/// let influences = influences.compute(Concatenate::new())?;
/// assert_eq!(influences.shape(), [3, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type LazyInfluences<'a, M> = Lazy<'a, M, InfluenceQuery<'a, <M as InfluenceModel>::Batch>>;

/// The query of [`LazyInfluences`]: the two sides of the matrix.
#[derive(Debug)]
pub struct InfluenceQuery<'a, B> {
    test: SideSource<'a, B>,
    train: SideSource<'a, B>,
}

impl<'a, B> InfluenceQuery<'a, B> {
    pub(crate) fn new(test: SideSource<'a, B>, train: SideSource<'a, B>) -> Self {
        Self { test, train }
    }
}

impl<M: InfluenceModel> LazyInfluences<'_, M> {
    /// Cuts the result into chunks of `test` by `train` points; without it, the memory decides.
    ///
    /// A worker computes one chunk at a time, an aggregator is given one at a time, and each is one
    /// chunk in Zarr, where 1 to 16 MiB serve best.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) when a side is zero.
    pub fn with_chunks(self, test: usize, train: usize) -> Result<Self> {
        self.with_test_chunk(test)?.with_train_chunk(train)
    }

    /// Cuts the test side alone, into chunks of this many points.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_test_chunk(self, points: usize) -> Result<Self> {
        self.with_chunk(0, points)
    }

    /// Cuts the train side alone, into chunks of this many points.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_train_chunk(self, points: usize) -> Result<Self> {
        self.with_chunk(1, points)
    }

    /// Computes the influences and gives each chunk, scores `(k', n')`, to `aggregator`; several at
    /// once in a tuple.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted,
    /// [`Error::Memory`](crate::Error::Memory), [`Error::Cancelled`](crate::Error::Cancelled),
    /// otherwise [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked)
    /// with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        self.aggregate(aggregator)
    }

    /// As [`to_zarr`](Self::to_zarr), and gives each chunk to `aggregator` too, in the same pass;
    /// of a run that is resumed also the chunks that were there.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr); [`Error::Option`](crate::Error::Option) for a share, which is
    /// not all that an aggregator needs.
    pub fn to_zarr_and<A: Aggregator>(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
        aggregator: A,
    ) -> Result<(SolveSummary, A::Output)> {
        self.check_whole()?;
        self.write(Claim::new(&location.into(), options)?, options, aggregator)
    }

    /// Computes this many chunks, drawn at random, of influences that were written before, and
    /// compares them with those stored.
    ///
    /// # Errors
    /// As [`compute`](Self::compute); [`Error::NotZarr`](crate::Error::NotZarr),
    /// [`Error::Differs`](crate::Error::Differs) and [`Error::Store`](crate::Error::Store) when the
    /// output does not hold influences of this shape in these chunks or cannot be read.
    pub fn compare(self, location: impl Into<Location>, chunks: usize) -> Result<Comparison> {
        self.check_whole()?;
        let location = location.into();
        let sample = Sample::draw(&location, chunks)?;
        let stored = sample.matrix().grid();
        let planned = self.prepare(Some(stored.chunk_shape()), false)?;
        check_grid(&location, stored, planned.plan.grid())?;
        self.run(&planned, &sample, None)?;
        Ok(sample.into_comparison())
    }
}

impl<M: InfluenceModel> Query<M> for InfluenceQuery<'_, M::Batch> {
    fn prepare(
        &self,
        runner: &dyn Runner<Model = M>,
        budget: &Budget,
        has_scratch: bool,
    ) -> Result<Planned> {
        // The factor of a sum is made of plain numbers, as one that is read.
        let form = if self.test.is_computed() && !self.test.is_grouped() {
            FactorForm::Solved
        } else {
            FactorForm::Stored
        };
        let data = self.train.data().or(self.test.data());
        let mut profile = Profile::measure(runner, data, form)?
            .of_groups([self.test.is_grouped(), self.train.is_grouped()]);
        // Factors that are read take no solving: each share reads those of all rows.
        profile.footprint.immediate |= !self.test.is_computed();
        self.test.check("factors", profile.factor_len)?;
        self.train.check("gradients", profile.dim)?;
        let workload = profile.workload([self.test.len(), self.train.len()]);
        let kept = has_scratch || !self.test.is_computed();
        let plan = Plan::for_influences(&workload, budget, kept)?;
        Ok(Planned { plan, profile })
    }

    fn declare(&self, planned: &Planned) -> Declaration {
        Declaration {
            layout: INFLUENCES,
            grid: planned.plan.grid().clone(),
            axes: planned.profile.axes.clone(),
            precision: planned.profile.precision,
            solves: self.test.is_computed(),
        }
    }

    fn declare_scratch(&self, planned: &Planned, output: &Output) -> Result<()> {
        let Planned { plan, profile } = planned;
        // Whether a share needs it depends on its memory, which is not known here.
        if !self.test.is_computed() || profile.footprint.compact {
            return Ok(());
        }
        let grid = self.scratch_grid(plan, profile)?;
        Scratch::declare(output, &grid, profile.precision).map(drop)
    }

    fn execute(&self, execution: &Execution<'_, M>, output: Option<&Output>) -> Result<()> {
        let scratch = output.map(|output| self.scratch(execution, output));
        let scratch = scratch.transpose()?.flatten();
        execution.influences(&Operands {
            test: &self.test,
            train: &self.train,
            scratch: scratch.as_ref(),
        })
    }
}

impl<B> InfluenceQuery<'_, B> {
    /// Where factors are kept that are solved here and needed more than once.
    fn scratch<M>(&self, execution: &Execution<'_, M>, output: &Output) -> Result<Option<Scratch>> {
        let (plan, profile) = (execution.steps.plan, execution.steps.profile);
        if plan.factor_passes() < 2 || !self.test.is_computed() {
            return Ok(None);
        }
        let grid = self.scratch_grid(plan, profile)?;
        Scratch::within(output, grid, profile.precision)
    }

    fn scratch_grid(&self, plan: &Plan, profile: &Profile) -> Result<ChunkGrid> {
        let shape = [self.test.len(), profile.factor_len];
        factor_grid(shape, plan.grid().chunk_shape()[0], profile.precision)
    }
}

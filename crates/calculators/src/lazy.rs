//! Computations that are described and not yet begun.

use std::fmt::{self, Debug};

use influence_core::{InfluenceModel, aggregate::Aggregator};
use ndarray::ArrayD;

use crate::{
    Budget, Cancellation, Error, Location, Observer, Plan, Result, Share, SolveSummary, Step,
    ZarrOptions,
    engine::{Execution, Profile, Runner, Steps, Supervisor},
    share::ShareOfGrid,
    sink::{Aggregate, ArrayOfPart, Sink, Tee},
    zarr::{Claim, Declaration, Output},
};

/// A query to a calculator, described and not yet run: of [influences](crate::LazyInfluences),
/// [factors](crate::LazyFactors) or [self-influences](crate::LazySelfInfluences).
///
/// It owns its parts, of which some may be references: with a shared calculator and shared data,
/// `'a` is `'static`, and the description outlives the function that made it.
#[must_use = "lazy: nothing runs before `compute`, `to_array` or `to_zarr`"]
pub struct Lazy<'a, M, Q> {
    runner: Box<dyn Runner<Model = M> + 'a>,
    query: Q,
    budget: Budget,
    supervisor: Supervisor<'a>,
}

/// The three steps in which kinds of queries differ; all else is the same for all.
pub(crate) trait Query<M: InfluenceModel> {
    /// Measures the model on a few samples, and plans.
    ///
    /// `has_scratch` says whether solved factors can be kept beside an output, to be read again.
    fn prepare(
        &self,
        runner: &dyn Runner<Model = M>,
        budget: &Budget,
        has_scratch: bool,
    ) -> Result<Planned>;

    /// Describes the output.
    fn declare(&self, planned: &Planned) -> Declaration;

    /// Declares beside an output what shares of it will keep there until it is sealed.
    fn declare_scratch(&self, _planned: &Planned, _output: &Output) -> Result<()> {
        Ok(())
    }

    /// Computes every chunk that the sink of the execution lacks; `output` is written meanwhile, if
    /// any is.
    fn execute(&self, execution: &Execution<'_, M>, output: Option<&Output>) -> Result<()>;
}

/// A query that is ready to be executed.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) profile: Profile,
}

impl<'a, M, Q> Lazy<'a, M, Q> {
    pub(crate) fn new(runner: impl Runner<Model = M> + 'a, query: Q) -> Self {
        Self {
            runner: Box::new(runner),
            query,
            budget: Budget::default(),
            supervisor: Supervisor::default(),
        }
    }

    /// Lets `observer` watch the computation.
    pub fn with_observer(mut self, observer: impl Observer + 'a) -> Self {
        self.supervisor.observer = Some(Box::new(observer));
        self
    }

    /// Lets the token end the computation early.
    pub fn with_cancellation(mut self, cancellation: &Cancellation) -> Self {
        self.supervisor.cancellation = cancellation.clone();
        self
    }

    /// Keeps within this many bytes for factors, gradients and scores, 1 GiB by default, as far as
    /// the model can tell what it needs.
    ///
    /// Chunks that are not given are cut for it, and so are the panels and the number of tasks at a
    /// time. A bound that is set and does not suffice for a single chunk is [`Error::Memory`].
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.budget.memory = Some(bytes);
        self
    }

    /// Says how many bytes of the memory are taken already, for example by the model.
    ///
    /// They are ignored when chunks are cut, so that the chunks depend on nothing that differs from
    /// run to run.
    pub fn with_memory_taken(mut self, bytes: usize) -> Self {
        self.budget.taken = bytes;
        self
    }

    /// Takes test rows that the solver did not solve as they are, instead of ending with
    /// [`Error::Unsolved`].
    pub fn accepting_unsolved(mut self) -> Self {
        self.supervisor.accepts_unsolved = true;
        self
    }

    /// Computes one of several shares, which together are the whole.
    ///
    /// A share covers a run of *columns* of chunks, and solves all rows itself. It covers a run of
    /// *rows* of chunks instead where solving is [expensive](influence_core::Footprint::immediate),
    /// so that each row is solved in one share only, where there is a single column, and where the
    /// output has rows alone (factors, self-influences). A single row is always cut into columns.
    /// The grid is that of the whole, so that no byte depends on the shares. Shares of any numbers
    /// may be computed at the same time, twice, or not at all: the run that finishes the output
    /// computes what is missing.
    ///
    /// A share goes to an output that all shares [join](ZarrOptions::joining), or into an
    /// [array](Self::share_to_array), and nowhere else:
    ///
    /// 1. One process [declares](Self::declare) the output.
    /// 2. Any number of processes join it, each with its share, at the same time or not. One that
    ///    was killed is run again, or not.
    /// 3. One process [resumes](ZarrOptions::resuming) it: every chunk is checked, what is missing
    ///    is computed, and the output is sealed. It has the bytes of an output of one process.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/setup.rs")]
    /// use influence_calculators::{Calculator, Sequential, Share, ZarrOptions, zarr::verify};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let calculator = Sequential::new(model);
    /// let influences = || calculator.influences(&test, &train).with_chunks(2, 4);
    /// let options = ZarrOptions::default();
    /// influences()?.declare(folder.path(), &options)?;
    /// for index in 0..2 {
    ///     let share = influences()?.with_share(Share::new(index, 2)?);
    ///     share.to_zarr(folder.path(), &options.clone().joining())?;
    /// }
    /// influences()?.to_zarr(folder.path(), &options.resuming())?;
    /// assert!(verify(folder.path())?.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_share(mut self, share: Share) -> Self {
        self.budget.share = share;
        self
    }

    /// Refuses a share of the query.
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.budget.share.check_whole()
    }

    /// Gives the chunks of one side, 0 or 1, a size.
    pub(crate) fn with_chunk(mut self, side: usize, points: usize) -> Result<Self> {
        if points == 0 {
            return Err(Error::Option {
                name: "chunk size",
                requirement: "at least 1",
                got: points.to_string(),
            });
        }
        self.budget.chunk[side] = Some(points);
        Ok(self)
    }
}

#[expect(
    private_bounds,
    reason = "sealed: the steps of a query concern the engine alone"
)]
impl<M: InfluenceModel, Q: Query<M>> Lazy<'_, M, Q> {
    /// The plan of the computation; looks at a few points to see what they take, and computes
    /// nothing else.
    ///
    /// # Errors
    /// [`Error::Core`] when given vectors do not fit the model or the points cannot be read,
    /// [`Error::Memory`], otherwise that a worker could not be set up.
    pub fn plan(&self) -> Result<Plan> {
        Ok(self.prepare(None, true)?.plan)
    }

    /// Runs the query and writes each chunk to Zarr; the layout is described at
    /// [`zarr`](crate::zarr).
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotZarr`], [`Error::NotDeclared`], [`Error::Locked`],
    /// [`Error::Differs`], [`Error::ReadOnly`] and [`Error::Option`] before anything is computed or
    /// written, [`Error::Store`] when writing fails, otherwise as `compute`. Chunks written before
    /// an error stay valid: see [`ZarrOptions::resuming`].
    pub fn to_zarr(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        self.to_claimed(Claim::new(&location.into(), options)?, options)
    }

    /// As [`to_zarr`](Self::to_zarr), to a place that was claimed before, with the same options.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr).
    pub fn to_claimed(self, claim: Claim, options: &ZarrOptions) -> Result<SolveSummary> {
        Ok(self.write(claim, options, ())?.0)
    }

    /// Declares the output, for [shares](Self::with_share) to join: its shape, chunks, coordinates
    /// and attributes. No number is computed.
    ///
    /// An output that was declared before may be declared again, with
    /// [`ZarrOptions::resuming`]; chunks that are there stay.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr).
    pub fn declare(self, location: impl Into<Location>, options: &ZarrOptions) -> Result<()> {
        self.declare_claimed(Claim::new(&location.into(), options)?, options)
    }

    /// As [`declare`](Self::declare), in a place that was claimed before, with the same options.
    ///
    /// # Errors
    /// As [`to_zarr`](Self::to_zarr).
    pub fn declare_claimed(self, claim: Claim, options: &ZarrOptions) -> Result<()> {
        let planned = self.prepare(claim.chunk_shape(), true)?;
        let output = Output::declare(claim, self.query.declare(&planned), options)?;
        self.query.declare_scratch(&planned, &output)
    }

    /// Computes the [share](Self::with_share) into one array, with the axes that an output has: for
    /// an engine that gathers the shares itself. Its numbers are those of an output at the place of
    /// the share.
    ///
    /// # Errors
    /// As `compute`.
    pub fn share_to_array(self) -> Result<ArrayD<f64>> {
        let planned = self.prepare(None, false)?;
        let declaration = self.query.declare(&planned);
        let (plan, dimensions) = (&planned.plan, declaration.layout.dimensions.len());
        let sides = |points| declaration.sides(points).collect::<Vec<usize>>();
        let sink = ArrayOfPart::new(plan.grid(), plan.part(), dimensions, sides);
        self.supervisor.planned(&planned.plan, 0)?;
        self.run(&planned, &sink, None)?;
        sink.finish()
    }

    /// Prepares the query, in the chunks of an earlier run where none are given.
    pub(crate) fn prepare(
        &self,
        earlier: Option<[usize; 2]>,
        has_scratch: bool,
    ) -> Result<Planned> {
        let mut budget = self.budget;
        budget.threads = self.runner.threads();
        if let Some(earlier) = earlier {
            let given = budget.chunk.iter_mut().zip(earlier);
            given.for_each(|(given, earlier)| *given = given.or(Some(earlier)));
        }
        self.query.prepare(&*self.runner, &budget, has_scratch)
    }

    /// Computes all chunks and gives each to `aggregator`.
    pub(crate) fn aggregate<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        self.check_whole()?;
        let planned = self.prepare(None, false)?;
        let sink = Aggregate::new(aggregator, planned.plan.grid())?;
        self.supervisor.planned(&planned.plan, 0)?;
        self.run(&planned, &sink, None)?;
        sink.finish()
    }

    /// Computes all chunks into one array, which has the axes that an output has.
    pub(crate) fn gather(self) -> Result<ArrayD<f64>> {
        self.check_whole()?;
        self.share_to_array()
    }

    /// Computes the chunks that an output lacks, and gives all of them to `aggregator` too.
    pub(crate) fn write<A: Aggregator>(
        self,
        claim: Claim,
        options: &ZarrOptions,
        aggregator: A,
    ) -> Result<(SolveSummary, A::Output)> {
        if !claim.joins() {
            self.check_whole()?;
        }
        let planned = self.prepare(claim.chunk_shape(), true)?;
        // An aggregator that refuses the grid does so before anything is written.
        let aggregate = Aggregate::new(aggregator, planned.plan.grid())?;
        let declaration = self.query.declare(&planned);
        let mut output = Output::declare(claim, declaration, options)?;
        self.install(|| output.attach(&aggregate, planned.plan.part()))?;
        self.supervisor.planned(&planned.plan, output.finished())?;
        self.run(&planned, &Tee(&output, &aggregate), Some(&output))?;
        Ok((output.seal()?, aggregate.finish()?))
    }

    /// Executes the query.
    pub(crate) fn run(
        &self,
        planned: &Planned,
        sink: &dyn Sink,
        output: Option<&Output>,
    ) -> Result<()> {
        let steps = Steps {
            plan: &planned.plan,
            profile: &planned.profile,
            supervisor: &self.supervisor,
            sink,
        };
        let runner = &*self.runner;
        self.query.execute(&Execution { runner, steps }, output)
    }

    /// Does work whose parallel loops run on the threads of the calculator.
    fn install(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        let mut work = Some(work);
        let mut outcome = None;
        self.runner
            .install(&mut || outcome = work.take().map(|work| work()));
        outcome.unwrap_or(Err(Error::Skipped {
            step: Step::Planning,
        }))
    }
}

impl<M, Q> Debug for Lazy<'_, M, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

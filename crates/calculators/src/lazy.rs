//! Computations that are described and not yet begun.

use std::fmt::{self, Debug};

use influence_core::{InfluenceModel, aggregate::Aggregator};
use ndarray::ArrayD;

use crate::{
    Budget, Cancellation, Error, Location, Observer, Plan, Result, SolveSummary, Step, ZarrOptions,
    engine::{Job, Profile, Runner, Steps, Supervisor},
    sink::{Aggregate, Sink, Tee, WholeArray},
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

    /// Computes every chunk that the sink of the job lacks; `output` is written meanwhile, if any
    /// is.
    fn execute(&self, job: &Job<'_, M>, output: Option<&Output>) -> Result<()>;
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
    /// [`Error::Exists`], [`Error::NotZarr`], [`Error::Locked`], [`Error::Differs`],
    /// [`Error::ReadOnly`] and [`Error::Option`] before anything is computed or written,
    /// [`Error::Store`] when writing fails, otherwise as `compute`. Chunks written before an error
    /// stay valid: see [`ZarrOptions::resuming`].
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
        let planned = self.prepare(None, false)?;
        let sink = Aggregate::new(aggregator, planned.plan.grid())?;
        self.supervisor.planned(&planned.plan, 0)?;
        self.run(&planned, &sink, None)?;
        sink.finish()
    }

    /// Computes all chunks into one array, which has the axes that an output has.
    pub(crate) fn gather(self) -> Result<ArrayD<f64>> {
        let planned = self.prepare(None, false)?;
        let declaration = self.query.declare(&planned);
        let grid = &declaration.grid;
        let shape: Vec<usize> = declaration.sides(grid.shape()).collect();
        let sink = WholeArray::new(&shape, declaration.layout.dimensions.len(), grid.len());
        self.supervisor.planned(&planned.plan, 0)?;
        self.run(&planned, &sink, None)?;
        sink.finish()
    }

    /// Computes the chunks that an output lacks, and gives all of them to `aggregator` too.
    pub(crate) fn write<A: Aggregator>(
        self,
        claim: Claim,
        options: &ZarrOptions,
        aggregator: A,
    ) -> Result<(SolveSummary, A::Output)> {
        let planned = self.prepare(claim.chunk_shape(), true)?;
        // An aggregator that refuses the grid does so before anything is written.
        let aggregate = Aggregate::new(aggregator, planned.plan.grid())?;
        let declaration = self.query.declare(&planned);
        let mut output = Output::declare(claim, declaration, options)?;
        self.install(|| output.attach(&aggregate))?;
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
        self.query.execute(&Job { runner, steps }, output)
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

use influence_core::{Dataset, FactorForm, InfluenceModel, aggregate::Concatenate};
use ndarray::{ArrayD, Axis};

use super::{Common, check_chunk, watched};
use crate::{
    Calculator, Location, Plan, Result, SolveSummary, ZarrOptions,
    engine::{Job, Steps, Traits, traits},
    sink::{Aggregate, Sink},
    zarr::{Claim, Declaration, Kind, Output},
};

/// The influence of each train point on itself, `(n)`, described but not computed.
///
/// The matrix of which these are the diagonal is not computed: each point is scored against itself alone.
///
/// # Examples
/// ```
#[doc = include_str!("../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential};
///
/// let calculator = Sequential::new(model);
/// let influences = calculator.self_influences(&train).with_chunks(4)?.compute()?;
/// assert_eq!(influences.len(), 7);
/// assert!(influences.iter().all(|&influence| influence >= 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "lazy: nothing runs before `compute` or `to_zarr`"]
pub struct LazySelfInfluences<'a, M: InfluenceModel> {
    calculator: &'a dyn Calculator<Model = M>,
    train: &'a dyn Dataset<Batch = M::Batch>,
    chunk: Option<usize>,
    common: Common<'a>,
}

watched!(LazySelfInfluences);

impl<'a, M: InfluenceModel> LazySelfInfluences<'a, M> {
    pub(crate) fn new(
        calculator: &'a dyn Calculator<Model = M>,
        train: &'a dyn Dataset<Batch = M::Batch>,
    ) -> Self {
        Self {
            calculator,
            train,
            chunk: None,
            common: Common::default(),
        }
    }

    /// Takes `train` points together; without it, as many as the memory suggests.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_chunks(mut self, train: usize) -> Result<Self> {
        self.chunk = Some(check_chunk(train)?);
        Ok(self)
    }

    /// The plan of the computation; looks at a few train points to see what they take, and computes nothing else.
    ///
    /// # Errors
    /// As [`LazyInfluences::plan`](crate::LazyInfluences::plan).
    pub fn plan(&self) -> Result<Plan> {
        Ok(self.prepare(None)?.0)
    }

    /// Computes the influences `(n)`, or `(n, axes)`. The observer sees a grid of one column.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the place.
    pub fn compute(self) -> Result<ArrayD<f64>> {
        let (plan, traits) = self.prepare(None)?;
        let sink = Aggregate::new(Concatenate::new(), plan.grid())?;
        self.common.watch.planned(&plan, 0)?;
        self.execute(&plan, &sink, &traits)?;
        Ok(sink.finish()?.index_axis_move(Axis(1), 0))
    }

    /// Computes the influences and writes them to Zarr chunk by chunk, array `self_influences`; the layout is described at [`zarr`](crate::zarr).
    ///
    /// # Errors
    /// As [`LazyInfluences::to_zarr`](crate::LazyInfluences::to_zarr).
    pub fn to_zarr(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        self.to_claimed(Claim::new(&location.into(), options)?, options)
    }

    /// As [`to_zarr`](Self::to_zarr), to a place that was claimed with the same options, be it long before.
    ///
    /// # Errors
    /// As [`LazyInfluences::to_zarr`](crate::LazyInfluences::to_zarr).
    pub fn to_claimed(self, claim: Claim, options: &ZarrOptions) -> Result<SolveSummary> {
        let (plan, traits) = self.prepare(claim.chunk_shape())?;
        let declaration = Declaration {
            kind: Kind::SelfInfluences,
            grid: plan.grid().clone(),
            axes: traits.axes.clone(),
            precision: traits.precision,
            solves: true,
        };
        let output = Output::open(claim, declaration, options, &())?;
        self.common.watch.planned(&plan, output.finished())?;
        self.execute(&plan, &output, &traits)?;
        output.finish()
    }

    fn execute(&self, plan: &Plan, sink: &dyn Sink, traits: &Traits) -> Result<()> {
        let job = Job {
            calculator: self.calculator,
            steps: Steps {
                plan,
                watch: &self.common.watch,
                sink,
                traits,
            },
        };
        job.self_influences(self.train)
    }

    /// The plan, with the chunks of an earlier run where none are given.
    fn prepare(&self, earlier: Option<[usize; 2]>) -> Result<(Plan, Traits)> {
        let traits = traits(self.calculator, self.train, FactorForm::Solved)?;
        let rows = self.chunk.or(earlier.map(|chunk| chunk[0]));
        let budget = self.common.budget(self.calculator, [rows, None]);
        let workload = traits.workload([self.train.len(), 1]);
        Ok((Plan::for_self_influences(&workload, &budget)?, traits))
    }
}

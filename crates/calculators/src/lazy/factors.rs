use std::sync::Mutex;

use influence_core::{Chunk, Dataset, FactorForm, InfluenceModel, aggregate::Aggregator};
use ndarray::{Array2, ArrayView2, s};

use super::{Common, check_chunk, watched};
use crate::{
    Calculator, Location, Plan, Result, SolveSummary, ZarrOptions,
    engine::{Job, Steps, Traits, traits},
    sink::{Aggregate, Plain, Sink, lock},
    zarr::{Claim, Declaration, Kind, Output},
};

/// The factors `(k, dim)` of test points, described but not computed.
///
/// # Examples
/// ```
#[doc = include_str!("../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let calculator = Sequential::new(model);
/// let factors = calculator.influence_factors(&test).to_array()?;
/// assert_eq!(factors.dim(), (3, 2));
/// let influences = calculator.influences_from_factors(&factors, &train).compute(Concatenate::new())?;
/// assert_eq!(influences, calculator.influences(&test, &train).compute(Concatenate::new())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "lazy: nothing runs before `compute`, `to_array` or `to_zarr`"]
pub struct LazyFactors<'a, M: InfluenceModel> {
    calculator: &'a dyn Calculator<Model = M>,
    test: &'a dyn Dataset<Batch = M::Batch>,
    chunk: Option<usize>,
    common: Common<'a>,
}

watched!(LazyFactors);

impl<'a, M: InfluenceModel> LazyFactors<'a, M> {
    pub(crate) fn new(
        calculator: &'a dyn Calculator<Model = M>,
        test: &'a dyn Dataset<Batch = M::Batch>,
    ) -> Self {
        Self {
            calculator,
            test,
            chunk: None,
            common: Common::default(),
        }
    }

    /// Solves `test` points together; without it, as many as the memory suggests.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_chunks(mut self, test: usize) -> Result<Self> {
        self.chunk = Some(check_chunk(test)?);
        Ok(self)
    }

    /// The plan of the computation, rows by parameters; looks at a few test points to see what they take, and computes nothing else.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) when the test points cannot be read, [`Error::Memory`](crate::Error::Memory), otherwise that a
    /// worker could not be set up.
    pub fn plan(&self) -> Result<Plan> {
        self.prepare(None).map(|(plan, _)| plan)
    }

    /// Computes the factors and gives each chunk, test rows by parameters, to `aggregator`.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        let (plan, traits) = self.prepare(None)?;
        let sink = Aggregate::new(aggregator, plan.grid())?;
        self.common.watch.planned(&plan, 0)?;
        self.execute(&plan, &sink, &traits)?;
        sink.finish()
    }

    /// Computes the factors into one array `(k, dim)`.
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    pub fn to_array(self) -> Result<Array2<f64>> {
        let (plan, traits) = self.prepare(None)?;
        let whole = Mutex::new(Array2::zeros(plan.grid().shape()));
        let sink = Plain(|chunk: &Chunk, values: ArrayView2<'_, f64>| {
            let place = s![chunk.rows.clone(), chunk.columns.clone()];
            lock(&whole).slice_mut(place).assign(&values);
            Ok(())
        });
        self.common.watch.planned(&plan, 0)?;
        self.execute(&plan, &sink, &traits)?;
        Ok(whole
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Computes the factors and writes each chunk to Zarr, array `factors`; the layout is described at [`zarr`](crate::zarr).
    ///
    /// # Errors
    /// As [`LazyInfluences::to_zarr`](crate::LazyInfluences::to_zarr).
    pub fn to_zarr(
        self,
        location: impl Into<Location>,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        let claim = Claim::new(&location.into(), options)?;
        let (plan, traits) = self.prepare(claim.chunk_shape())?;
        let declaration = Declaration {
            kind: Kind::Factors,
            grid: plan.grid().clone(),
            axes: Vec::new(),
            precision: traits.precision,
            solves: true,
        };
        let output = Output::open(claim, declaration, options, &())?;
        self.common.watch.planned(&plan, output.finished())?;
        self.execute(&plan, &output, &traits)?;
        output.finish()
    }

    fn prepare(&self, earlier: Option<[usize; 2]>) -> Result<(Plan, Traits)> {
        let traits = traits(self.calculator, self.test, FactorForm::Solved)?;
        let rows = self.chunk.or(earlier.map(|chunk| chunk[0]));
        let budget = self.common.budget(self.calculator, [rows, None]);
        let workload = traits.workload([self.test.len(), traits.dim]);
        let plan = Plan::for_factors(&workload, traits.precision, &budget)?;
        Ok((plan, traits))
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
        job.all_factors(self.test)
    }
}

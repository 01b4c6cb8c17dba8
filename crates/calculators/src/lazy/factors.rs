use std::sync::Mutex;

use influence_core::{Dataset, InfluenceModel, aggregate::Aggregator};
use ndarray::{Array2, s};

use super::{TEST_CHUNK, check_chunk, grid, watched};
use crate::{
    Calculator, Location, Plan, Result, SolveSummary, ZarrOptions,
    engine::{Job, Traits, Watch, bytes, traits},
    sink::{Aggregate, Plain, Sink, lock},
    zarr::{Kind, Output},
};

/// A chunk of factors takes about this many bytes at most, as far as cutting the parameters can do it.
const CHUNK_BYTES: usize = 16 << 20;

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
    chunk: usize,
    watch: Watch<'a>,
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
            chunk: TEST_CHUNK,
            watch: Watch::default(),
        }
    }

    /// Solves `test` points together, 64 by default.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_chunks(mut self, test: usize) -> Result<Self> {
        self.chunk = check_chunk(test)?;
        Ok(self)
    }

    /// The plan of the computation, rows by parameters; asks the model for its dimension and precision, and computes nothing.
    ///
    /// # Errors
    /// That a worker could not be set up.
    pub fn plan(&self) -> Result<Plan> {
        self.prepare().map(|(plan, _)| plan)
    }

    /// Computes the factors and gives each chunk, test rows by parameters, to `aggregator`.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        let (plan, _) = self.prepare()?;
        let sink = Aggregate::new(aggregator, &plan)?;
        self.execute(&plan, &sink)?;
        sink.finish()
    }

    /// Computes the factors into one array `(k, dim)`.
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    pub fn to_array(self) -> Result<Array2<f64>> {
        let (plan, _) = self.prepare()?;
        let whole = Mutex::new(Array2::zeros(plan.grid().shape()));
        let sink = Plain(
            |chunk: &influence_core::Chunk, values: ndarray::ArrayView2<'_, f64>| {
                lock(&whole)
                    .slice_mut(s![chunk.rows.clone(), chunk.columns.clone()])
                    .assign(&values);
                Ok(())
            },
        );
        self.execute(&plan, &sink)?;
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
        let target = options.check(&location.into())?;
        let (plan, traits) = self.prepare()?;
        let output = Output::create(target, Kind::Factors, &plan, traits.precision, options)?;
        let summary = self.execute(&plan, &output)?;
        output.finish(&summary)?;
        Ok(summary)
    }

    fn prepare(&self) -> Result<(Plan, Traits)> {
        let traits = traits(self.calculator)?;
        let rows = self.chunk.min(self.test.len()).max(1);
        let columns = (CHUNK_BYTES / bytes(traits.precision) / rows).max(1);
        let grid = grid([self.test.len(), traits.dim], [self.chunk, columns]);
        // Factors leave memory as soon as they are delivered: every row of chunks is a panel.
        Ok((Plan::new(grid, traits.bytes_per_factor(), 0), traits))
    }

    fn execute(self, plan: &Plan, sink: &dyn Sink) -> Result<SolveSummary> {
        self.watch.planned(plan, 0);
        let job = Job {
            calculator: self.calculator,
            watch: self.watch,
        };
        job.factors(plan, self.test, sink)?;
        Ok(job.watch.into_summary())
    }
}

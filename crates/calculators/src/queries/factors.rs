use std::fmt::{self, Debug};

use influence_core::{FactorForm, InfluenceModel, aggregate::Aggregator};
use ndarray::{Array2, Ix2};

use crate::{
    Budget, Error, Lazy, Plan, Result, SampleSource, Step,
    engine::{Execution, Profile, Runner},
    lazy::{Planned, Query},
    zarr::{Declaration, FACTORS, Output},
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
/// let influences = calculator.influences_from_factors(&factors, &train);
/// let influences = influences.compute(Concatenate::new())?;
/// assert_eq!(influences, calculator.influences(&test, &train).compute(Concatenate::new())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type LazyFactors<'a, M> = Lazy<'a, M, FactorQuery<'a, <M as InfluenceModel>::Batch>>;

/// The query of [`LazyFactors`]: its test points, or groups of them.
pub struct FactorQuery<'a, B> {
    test: SampleSource<'a, B>,
}

impl<'a, B> FactorQuery<'a, B> {
    pub(crate) fn new(test: SampleSource<'a, B>) -> Self {
        Self { test }
    }
}

impl<M: InfluenceModel> LazyFactors<'_, M> {
    /// Solves `test` points together; without it, the memory decides how many.
    ///
    /// # Errors
    /// [`Error::Option`] for zero.
    pub fn with_chunks(self, test: usize) -> Result<Self> {
        self.with_chunk(0, test)
    }

    /// Computes the factors and gives each chunk, test rows by parameters, to `aggregator`.
    ///
    /// # Errors
    /// [`Error::Unsolved`] unless unsolved rows are accepted, otherwise [`Error::Core`] or
    /// [`Error::Panicked`] with the place.
    pub fn compute<A: Aggregator>(self, aggregator: A) -> Result<A::Output> {
        self.aggregate(aggregator)
    }

    /// Computes the factors into one array `(k, dim)`.
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    pub fn to_array(self) -> Result<Array2<f64>> {
        self.gather()?
            .into_dimensionality::<Ix2>()
            .map_err(|source| {
                Error::core(
                    Step::Finishing,
                    influence_core::Error::backend("factors", source),
                )
            })
    }
}

impl<M: InfluenceModel> Query<M> for FactorQuery<'_, M::Batch> {
    fn prepare(
        &self,
        runner: &dyn Runner<Model = M>,
        budget: &Budget,
        _has_scratch: bool,
    ) -> Result<Planned> {
        self.test.check()?;
        let grouped = self.test.is_grouped();
        let form = if grouped {
            FactorForm::Stored
        } else {
            FactorForm::Solved
        };
        let profile = Profile::measure(runner, Some(self.test.data()), form)?;
        let profile = profile.of_groups([grouped, false]);
        let workload = profile.workload([self.test.len(), profile.factor_len]);
        let plan = Plan::for_factors(&workload, profile.precision, budget)?;
        Ok(Planned { plan, profile })
    }

    fn declare(&self, planned: &Planned) -> Declaration {
        Declaration {
            layout: FACTORS,
            grid: planned.plan.grid().clone(),
            axes: Vec::new(),
            precision: planned.profile.precision,
            solves: true,
        }
    }

    fn execute(&self, execution: &Execution<'_, M>, _output: Option<&Output>) -> Result<()> {
        execution.all_factors(&self.test)
    }
}

impl<B> Debug for FactorQuery<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorQuery")
            .field("test", &self.test.len())
            .finish()
    }
}

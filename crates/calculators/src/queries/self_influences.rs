use std::fmt::{self, Debug};

use influence_core::{Dataset, FactorForm, InfluenceModel};
use ndarray::ArrayD;

use crate::{
    Budget, Lazy, Plan, Result,
    engine::{Execution, Profile, Runner},
    lazy::{Planned, Query},
    zarr::{Declaration, Output, SELF_INFLUENCES},
};

/// The influence of each train point on itself, `(n)`, described but not computed.
///
/// The matrix of which these are the diagonal is not computed: each point is scored against itself
/// alone.
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
pub type LazySelfInfluences<'a, M> =
    Lazy<'a, M, SelfInfluenceQuery<'a, <M as InfluenceModel>::Batch>>;

/// The query of [`LazySelfInfluences`]: its train points.
pub struct SelfInfluenceQuery<'a, B> {
    train: Box<dyn Dataset<Batch = B> + 'a>,
}

impl<'a, B> SelfInfluenceQuery<'a, B> {
    pub(crate) fn new(train: impl Dataset<Batch = B> + 'a) -> Self {
        Self {
            train: Box::new(train),
        }
    }
}

impl<M: InfluenceModel> LazySelfInfluences<'_, M> {
    /// Takes `train` points together; without it, the memory decides how many.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_chunks(self, train: usize) -> Result<Self> {
        self.with_chunk(0, train)
    }

    /// Computes the influences `(n)`, or `(n, axes)`. The observer sees a grid of one column.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the
    /// place.
    pub fn compute(self) -> Result<ArrayD<f64>> {
        self.gather()
    }
}

impl<M: InfluenceModel> Query<M> for SelfInfluenceQuery<'_, M::Batch> {
    fn prepare(
        &self,
        runner: &dyn Runner<Model = M>,
        budget: &Budget,
        _has_scratch: bool,
    ) -> Result<Planned> {
        let profile = Profile::measure(runner, Some(&*self.train), FactorForm::Solved)?;
        let workload = profile.workload([self.train.len(), 1]);
        let plan = Plan::for_self_influences(&workload, budget)?;
        Ok(Planned { plan, profile })
    }

    fn declare(&self, planned: &Planned) -> Declaration {
        Declaration {
            layout: SELF_INFLUENCES,
            grid: planned.plan.grid().clone(),
            axes: planned.profile.axes.clone(),
            precision: planned.profile.precision,
            solves: true,
        }
    }

    fn execute(&self, execution: &Execution<'_, M>, _output: Option<&Output>) -> Result<()> {
        execution.self_influences(&*self.train)
    }
}

impl<B> Debug for SelfInfluenceQuery<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfInfluenceQuery")
            .field("train", &self.train.len())
            .finish()
    }
}

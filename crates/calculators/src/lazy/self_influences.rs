use std::sync::{Mutex, PoisonError};

use influence_core::{Chunk, ChunkGrid, Dataset, InfluenceModel};
use ndarray::{Array1, ArrayView2, s};

use super::{Common, check_chunk, watched};
use crate::{
    Calculator, Plan, Result, Step,
    engine::{Job, Steps, core_step, traits},
    sink::{Plain, lock},
};

/// The influence of each train point on itself, `(n)`, described but not computed.
///
/// Only the diagonal chunks of the influence matrix are computed.
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
#[must_use = "lazy: nothing runs before `compute`"]
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

    /// Computes the influences `(n)`. The observer sees a grid of one column.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the place.
    pub fn compute(self) -> Result<Array1<f64>> {
        let plan = self.prepare()?;
        let whole = Mutex::new(Array1::zeros(self.train.len()));
        let sink = Plain(|chunk: &Chunk, values: ArrayView2<'_, f64>| {
            let place = s![chunk.rows.clone()];
            lock(&whole).slice_mut(place).assign(&values.column(0));
            Ok(())
        });
        self.common.watch.planned(&plan, 0)?;
        let job = Job {
            calculator: self.calculator,
            steps: Steps {
                plan: &plan,
                watch: &self.common.watch,
                sink: &sink,
            },
        };
        job.self_influences(self.train)?;
        Ok(whole.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn prepare(&self) -> Result<Plan> {
        let footprint = traits(self.calculator, self.train)?.footprint;
        let (n, memory) = (self.train.len(), self.common.memory());
        let [rows, _] = Plan::chunk_shape([self.chunk, Some(1)], [n, 1], &footprint, memory);
        let grid = core_step(|| Step::Planning, || ChunkGrid::new([n, 1], [rows, 1]))?;
        let points = footprint.solving.saturating_add(footprint.differentiating);
        let pairs = footprint.scoring_bytes(rows, rows);
        let bytes = rows.saturating_mul(points).saturating_add(pairs);
        let resources = self.common.resources(self.calculator, false);
        self.common
            .check(Plan::of_rows(grid, &footprint, bytes, resources))
    }
}

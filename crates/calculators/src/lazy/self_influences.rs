use std::sync::{Mutex, PoisonError};

use influence_core::{Dataset, InfluenceModel};
use ndarray::{Array1, s};

use super::{TEST_CHUNK, check_chunk, grid, watched};
use crate::{
    Calculator, Plan, Result,
    engine::{Job, Watch},
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
    chunk: usize,
    watch: Watch<'a>,
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
            chunk: TEST_CHUNK,
            watch: Watch::default(),
        }
    }

    /// Takes `train` points together, 64 by default.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for zero.
    pub fn with_chunks(mut self, train: usize) -> Result<Self> {
        self.chunk = check_chunk(train)?;
        Ok(self)
    }

    /// Computes the influences `(n)`. The observer sees a grid of one column.
    ///
    /// # Errors
    /// [`Error::Unsolved`](crate::Error::Unsolved) unless unsolved rows are accepted, otherwise
    /// [`Error::Core`](crate::Error::Core) or [`Error::Panicked`](crate::Error::Panicked) with the place.
    pub fn compute(self) -> Result<Array1<f64>> {
        let plan = Plan::new(grid([self.train.len(), 1], [self.chunk, 1]), 1, 0);
        let whole = Mutex::new(Array1::zeros(self.train.len()));
        let sink = Plain(
            |chunk: &influence_core::Chunk, values: ndarray::ArrayView2<'_, f64>| {
                lock(&whole)
                    .slice_mut(s![chunk.rows.clone()])
                    .assign(&values.column(0));
                Ok(())
            },
        );
        self.watch.planned(&plan, 0);
        let job = Job {
            calculator: self.calculator,
            watch: self.watch,
        };
        job.self_influences(&plan, self.train, &sink)?;
        Ok(whole.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

//! Models made of models.

use influence_core::{InfluenceModel, Precision, Result, ThreadSafe, solver::Solution};
use ndarray::{Array2, ArrayD, ArrayView2};

/// The reader's own promise that a model is thread-safe where its author made none.
///
/// It lets a model into [`Parallel::new`](crate::Parallel::new) on the strength of `Send + Sync` alone. If concurrent calls disturb each
/// other all the same, the numbers are wrong and nothing says so; prefer [`Parallel::with_replicas`](crate::Parallel::with_replicas).
#[derive(Debug, Clone)]
pub struct AssumeThreadSafe<M>(pub M);

impl<M: Send + Sync> ThreadSafe for AssumeThreadSafe<M> {}

/// A model that someone else owns.
#[derive(Debug)]
pub struct Borrowed<'a, M>(pub &'a M);

impl<M> Clone for Borrowed<'_, M> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<M: ThreadSafe> ThreadSafe for Borrowed<'_, M> {}

/// Answers every call with the model within, also those that have a default.
macro_rules! delegate {
    ($($header:tt)*) => {
        $($header)* {
            type Batch = M::Batch;
            type Gradients = M::Gradients;
            type Factors = M::Factors;
            type Tensor = M::Tensor;
            type Converter = M::Converter;

            fn dim(&self) -> usize {
                self.0.dim()
            }

            fn precision(&self) -> Precision {
                self.0.precision()
            }

            fn converter(&self) -> &Self::Converter {
                self.0.converter()
            }

            fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients> {
                self.0.gradients(batch)
            }

            fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>> {
                self.0.factors(batch)
            }

            fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<Self::Tensor> {
                self.0.scores(factors, gradients)
            }

            fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>> {
                self.0.factors_to_array(factors)
            }

            fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors> {
                self.0.factors_from_array(array)
            }

            fn scores_array(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
                self.0.scores_array(factors, gradients)
            }
        }
    };
}

delegate!(impl<M: InfluenceModel> InfluenceModel for AssumeThreadSafe<M>);
delegate!(impl<M: InfluenceModel> InfluenceModel for Borrowed<'_, M>);

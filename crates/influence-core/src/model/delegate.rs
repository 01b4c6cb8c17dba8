//! Models made of models.

use std::{ops::Deref, sync::Arc};

use ndarray::{Array2, ArrayD, ArrayView2};

use super::{FactorForm, Footprint, InfluenceModel, ScoreAxis};
use crate::{AssumeThreadSafe, Precision, Result, solver::Solution};

/// Answers every call with the model within, also those that have a default.
macro_rules! delegate {
    ($($header:tt)*) => {
        $($header)* {
            type Batch = M::Batch;
            type Gradients = M::Gradients;
            type Factors = M::Factors;

            fn dim(&self) -> usize {
                self.deref().dim()
            }

            fn factor_len(&self) -> usize {
                self.deref().factor_len()
            }

            fn precision(&self) -> Precision {
                self.deref().precision()
            }

            fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients> {
                self.deref().gradients(batch)
            }

            fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>> {
                self.deref().factors(batch)
            }

            fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
                self.deref().scores(factors, gradients)
            }

            fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>> {
                self.deref().factors_to_array(factors)
            }

            fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors> {
                self.deref().factors_from_array(array)
            }

            fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Gradients> {
                self.deref().gradients_from_array(array)
            }

            fn footprint(&self, sample: &Self::Batch, form: FactorForm) -> Result<Footprint> {
                self.deref().footprint(sample, form)
            }

            fn axes(&self, sample: &Self::Batch) -> Result<Vec<ScoreAxis>> {
                self.deref().axes(sample)
            }

            fn self_scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
                self.deref().self_scores(factors, gradients)
            }

            fn perturbations(&self, factors: &Self::Factors, train: &Self::Batch) -> Result<ArrayD<f64>> {
                self.deref().perturbations(factors, train)
            }

            fn input_shape(&self, sample: &Self::Batch) -> Result<Vec<usize>> {
                self.deref().input_shape(sample)
            }
        }
    };
}

delegate!(impl<M: InfluenceModel + ?Sized> InfluenceModel for &M);
delegate!(impl<M: InfluenceModel + ?Sized> InfluenceModel for Arc<M>);
delegate!(impl<M: InfluenceModel> InfluenceModel for AssumeThreadSafe<M>);

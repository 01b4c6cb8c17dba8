//! Models behind a pointer: one type for all of them that read the same batches.
//!
//! Each kind of model has its own types of gradients and factors, so code that picks one at run
//! time would have to be generic down to the last call. [`erase`] hides both types behind
//! [`Erased`] values. A score costs one comparison of type ids more, and its bits stay the same.

use std::{
    any::Any,
    fmt::{self, Debug},
    sync::Arc,
};

use ndarray::{Array2, ArrayD, ArrayView2};

use super::{FactorForm, Footprint, GroupBatch, InfluenceModel, ScoreAxis};
use crate::{Error, Precision, Result, ThreadSafe, solver::Solution};

/// Gradients or factors whose type only the model that made them knows.
pub struct Erased(Box<dyn Any + Send + Sync>);

impl Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erased").finish_non_exhaustive()
    }
}

impl Erased {
    fn new(value: impl Any + Send + Sync) -> Self {
        Self(Box::new(value))
    }

    fn as_own<T: Any>(&self, what: &'static str) -> Result<&T> {
        self.0.downcast_ref().ok_or(Error::Unsupported {
            what,
            by: "this model",
        })
    }
}

/// A thread-safe model with erased gradients and factors; made by [`erase`], never implemented.
///
/// It is an [`InfluenceModel`] that can be a trait object, since all its types are known.
pub trait AnyModel<B>:
    InfluenceModel<Batch = B, Gradients = Erased, Factors = Erased> + ThreadSafe
{
}

impl<B, M> AnyModel<B> for M where
    M: InfluenceModel<Batch = B, Gradients = Erased, Factors = Erased> + ThreadSafe
{
}

/// Any thread-safe model of batches `B`: itself an [`InfluenceModel`], [`ThreadSafe`], and cheap
/// to clone.
pub type ErasedModel<B> = Arc<dyn AnyModel<B>>;

/// Hides the types of gradients and factors of a model; numbers and costs stay the same.
///
/// Gradients and factors must go back to the model that made them, or to one of the same type.
///
/// # Examples
/// ```
/// use influence_core::{ErasedModel, InfluenceModel, Perturbation, ThreadSafe, erase};
///
/// /// Influences, or how they change with the inputs: known at run time only.
/// fn chosen<M>(model: M, by_input: bool) -> ErasedModel<M::Batch>
/// where
///     M: InfluenceModel<Batch: Clone + Send + Sync> + ThreadSafe + 'static,
/// {
///     if by_input {
///         erase(Perturbation::new(model))
///     } else {
///         erase(model)
///     }
/// }
/// ```
pub fn erase<M>(model: M) -> ErasedModel<M::Batch>
where
    M: InfluenceModel + ThreadSafe + 'static,
{
    Arc::new(Erasing(model))
}

/// The model within, with its gradients and factors boxed on the way out and unboxed on the way in.
struct Erasing<M>(M);

impl<M: ThreadSafe> ThreadSafe for Erasing<M> {}

impl<M: InfluenceModel + 'static> Erasing<M> {
    fn own_factors(factors: &Erased) -> Result<&M::Factors> {
        factors.as_own("use of factors of another type of model")
    }

    fn own_gradients(gradients: &Erased) -> Result<&M::Gradients> {
        gradients.as_own("use of gradients of another type of model")
    }
}

/// A solution whose rows only the model that made them knows.
fn erased_rows(solution: Solution<impl Any + Send + Sync>) -> Solution<Erased> {
    Solution {
        rows: Erased::new(solution.rows),
        reports: solution.reports,
    }
}

impl<M: InfluenceModel + 'static> InfluenceModel for Erasing<M> {
    type Batch = M::Batch;
    type Gradients = Erased;
    type Factors = Erased;

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn factor_len(&self) -> usize {
        self.0.factor_len()
    }

    fn precision(&self) -> Precision {
        self.0.precision()
    }

    fn gradients(&self, batch: &M::Batch) -> Result<Erased> {
        Ok(Erased::new(self.0.gradients(batch)?))
    }

    fn factors(&self, batch: &M::Batch) -> Result<Solution<Erased>> {
        Ok(erased_rows(self.0.factors(batch)?))
    }

    fn group_factors(&self, groups: &GroupBatch<'_, M::Batch>) -> Result<Solution<Erased>> {
        Ok(erased_rows(self.0.group_factors(groups)?))
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, M::Batch>) -> Result<Erased> {
        Ok(Erased::new(self.0.group_gradients(groups)?))
    }

    fn scores(&self, factors: &Erased, gradients: &Erased) -> Result<ArrayD<f64>> {
        let (factors, gradients) = (Self::own_factors(factors)?, Self::own_gradients(gradients)?);
        self.0.scores(factors, gradients)
    }

    fn self_scores(&self, factors: &Erased, gradients: &Erased) -> Result<ArrayD<f64>> {
        let (factors, gradients) = (Self::own_factors(factors)?, Self::own_gradients(gradients)?);
        self.0.self_scores(factors, gradients)
    }

    fn perturbations(&self, factors: &Erased, train: &M::Batch) -> Result<ArrayD<f64>> {
        self.0.perturbations(Self::own_factors(factors)?, train)
    }

    fn factors_to_array(&self, factors: &Erased) -> Result<Array2<f64>> {
        self.0.factors_to_array(Self::own_factors(factors)?)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Erased> {
        Ok(Erased::new(self.0.factors_from_array(array)?))
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Erased> {
        Ok(Erased::new(self.0.gradients_from_array(array)?))
    }

    fn footprint(&self, sample: &M::Batch, form: FactorForm) -> Result<Footprint> {
        self.0.footprint(sample, form)
    }

    fn axes(&self, sample: &M::Batch) -> Result<Vec<ScoreAxis>> {
        self.0.axes(sample)
    }

    fn input_shape(&self, sample: &M::Batch) -> Result<Vec<usize>> {
        self.0.input_shape(sample)
    }
}

//! Models around one model: what answers as another does, but for a few calls.
//!
//! The trait lies in a module of its own, because its methods have the names of those of
//! [`InfluenceModel`]: import it where a wrapper is written, not where one is called.

use std::sync::Arc;

use ndarray::{Array2, ArrayD, ArrayView2};

use super::{FactorForm, Footprint, GroupBatch, InfluenceModel, ScoreAxis};
use crate::{AssumeThreadSafe, Precision, Result, solver::Solution};

/// A model around a model of the same batches, gradients and factors.
///
/// Each method of [`InfluenceModel`] is here, too, and asks the [`inner`](Self::inner) model;
/// override those in which the two differ. A wrapper is an [`InfluenceModel`].
///
/// # Examples
/// ```
/// use influence_core::{
///     BlockInfluence, InfluenceModel, Precision,
///     solver::Direct,
///     testing::{LeastSquares, Samples},
///     wrapper::ModelWrapper,
/// };
///
/// /// Scores that are stored in 32 bits.
/// struct Halved(BlockInfluence<LeastSquares>);
///
/// impl ModelWrapper for Halved {
///     type Inner = BlockInfluence<LeastSquares>;
///
///     fn inner(&self) -> &Self::Inner {
///         &self.0
///     }
///
///     fn precision(&self) -> Precision {
///         Precision::F32
///     }
/// }
///
/// let samples = Samples::random(8, 3, 1);
/// let model = Halved(LeastSquares::random(3, 2).fit(&samples, 0.1, &Direct)?);
/// assert_eq!(InfluenceModel::precision(&model), Precision::F32);
/// assert_eq!(InfluenceModel::dim(&model), 3);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[expect(missing_docs, reason = "each method is that of InfluenceModel")]
#[expect(
    clippy::missing_errors_doc,
    reason = "each method is that of InfluenceModel"
)]
pub trait ModelWrapper {
    /// The model within.
    type Inner: InfluenceModel + ?Sized;

    /// The model within.
    fn inner(&self) -> &Self::Inner;

    fn dim(&self) -> usize {
        self.inner().dim()
    }

    fn factor_len(&self) -> usize {
        self.inner().factor_len()
    }

    fn precision(&self) -> Precision {
        self.inner().precision()
    }

    fn gradients(&self, batch: &BatchOf<Self>) -> Result<GradientsOf<Self>> {
        self.inner().gradients(batch)
    }

    fn factors(&self, batch: &BatchOf<Self>) -> Result<Solution<FactorsOf<Self>>> {
        self.inner().factors(batch)
    }

    fn group_factors(
        &self,
        groups: &GroupBatch<'_, BatchOf<Self>>,
    ) -> Result<Solution<FactorsOf<Self>>> {
        self.inner().group_factors(groups)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, BatchOf<Self>>) -> Result<GradientsOf<Self>> {
        self.inner().group_gradients(groups)
    }

    fn scores(
        &self,
        factors: &FactorsOf<Self>,
        gradients: &GradientsOf<Self>,
    ) -> Result<ArrayD<f64>> {
        self.inner().scores(factors, gradients)
    }

    fn factors_to_array(&self, factors: &FactorsOf<Self>) -> Result<Array2<f64>> {
        self.inner().factors_to_array(factors)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<FactorsOf<Self>> {
        self.inner().factors_from_array(array)
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<GradientsOf<Self>> {
        self.inner().gradients_from_array(array)
    }

    fn footprint(&self, sample: &BatchOf<Self>, form: FactorForm) -> Result<Footprint> {
        self.inner().footprint(sample, form)
    }

    fn axes(&self, sample: &BatchOf<Self>) -> Result<Vec<ScoreAxis>> {
        self.inner().axes(sample)
    }

    fn self_scores(
        &self,
        factors: &FactorsOf<Self>,
        gradients: &GradientsOf<Self>,
    ) -> Result<ArrayD<f64>> {
        self.inner().self_scores(factors, gradients)
    }

    fn perturbations(
        &self,
        factors: &FactorsOf<Self>,
        train: &BatchOf<Self>,
    ) -> Result<ArrayD<f64>> {
        self.inner().perturbations(factors, train)
    }

    fn input_shape(&self, sample: &BatchOf<Self>) -> Result<Vec<usize>> {
        self.inner().input_shape(sample)
    }
}

type BatchOf<W> = <<W as ModelWrapper>::Inner as InfluenceModel>::Batch;
type GradientsOf<W> = <<W as ModelWrapper>::Inner as InfluenceModel>::Gradients;
type FactorsOf<W> = <<W as ModelWrapper>::Inner as InfluenceModel>::Factors;

impl<W: ModelWrapper> InfluenceModel for W {
    type Batch = BatchOf<W>;
    type Gradients = GradientsOf<W>;
    type Factors = FactorsOf<W>;

    fn dim(&self) -> usize {
        ModelWrapper::dim(self)
    }

    fn factor_len(&self) -> usize {
        ModelWrapper::factor_len(self)
    }

    fn precision(&self) -> Precision {
        ModelWrapper::precision(self)
    }

    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients> {
        ModelWrapper::gradients(self, batch)
    }

    fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>> {
        ModelWrapper::factors(self, batch)
    }

    fn group_factors(
        &self,
        groups: &GroupBatch<'_, Self::Batch>,
    ) -> Result<Solution<Self::Factors>> {
        ModelWrapper::group_factors(self, groups)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, Self::Batch>) -> Result<Self::Gradients> {
        ModelWrapper::group_gradients(self, groups)
    }

    fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
        ModelWrapper::scores(self, factors, gradients)
    }

    fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>> {
        ModelWrapper::factors_to_array(self, factors)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors> {
        ModelWrapper::factors_from_array(self, array)
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Gradients> {
        ModelWrapper::gradients_from_array(self, array)
    }

    fn footprint(&self, sample: &Self::Batch, form: FactorForm) -> Result<Footprint> {
        ModelWrapper::footprint(self, sample, form)
    }

    fn axes(&self, sample: &Self::Batch) -> Result<Vec<ScoreAxis>> {
        ModelWrapper::axes(self, sample)
    }

    fn self_scores(
        &self,
        factors: &Self::Factors,
        gradients: &Self::Gradients,
    ) -> Result<ArrayD<f64>> {
        ModelWrapper::self_scores(self, factors, gradients)
    }

    fn perturbations(&self, factors: &Self::Factors, train: &Self::Batch) -> Result<ArrayD<f64>> {
        ModelWrapper::perturbations(self, factors, train)
    }

    fn input_shape(&self, sample: &Self::Batch) -> Result<Vec<usize>> {
        ModelWrapper::input_shape(self, sample)
    }
}

impl<M: InfluenceModel + ?Sized> ModelWrapper for &M {
    type Inner = M;

    fn inner(&self) -> &M {
        self
    }
}

impl<M: InfluenceModel + ?Sized> ModelWrapper for Arc<M> {
    type Inner = M;

    fn inner(&self) -> &M {
        self
    }
}

impl<M: InfluenceModel> ModelWrapper for AssumeThreadSafe<M> {
    type Inner = M;

    fn inner(&self) -> &M {
        &self.0
    }
}

use ndarray::{Array2, ArrayD, ArrayView2, Axis, s};

use super::{FactorForm, Footprint, GroupBatch, InfluenceModel, ScoreAxis};
use crate::{Error, Precision, Result, ThreadSafe, solver::Solution};

/// The perturbation mode of a model: how influences change with the inputs of the train points.
///
/// ```text
/// perturbation[i, j, …] = ∂/∂x ⟨ (H + λI)⁻¹ g(test_i), g(x, y_j) ⟩  at x = x_j
/// ```
///
/// of shape `(k, n, input)`: where it is positive, a little more of that input makes train point
/// `j` more helpful to test point `i`. The mixed second derivative is never formed; a factor costs
/// one pass of differentiating twice over each train batch.
///
/// Scores need the train points themselves, so these stand in for their gradients.
///
/// # References
/// Koh and Liang, *Understanding black-box predictions via influence functions*, 2017, section 2.2.
#[derive(Debug, Clone)]
pub struct Perturbation<M> {
    model: M,
}

impl<M: InfluenceModel> Perturbation<M> {
    /// The perturbation mode of a model.
    pub fn new(model: M) -> Self {
        Self { model }
    }
}

impl<M: InfluenceModel> InfluenceModel for Perturbation<M>
where
    M::Batch: Clone + Send + Sync,
{
    type Batch = M::Batch;
    type Gradients = M::Batch;
    type Factors = M::Factors;

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn factor_len(&self) -> usize {
        self.model.factor_len()
    }

    fn precision(&self) -> Precision {
        self.model.precision()
    }

    fn gradients(&self, batch: &M::Batch) -> Result<M::Batch> {
        Ok(batch.clone())
    }

    fn factors(&self, batch: &M::Batch) -> Result<Solution<M::Factors>> {
        self.model.factors(batch)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, M::Batch>) -> Result<Solution<M::Factors>> {
        self.model.group_factors(groups)
    }

    fn scores(&self, factors: &M::Factors, train: &M::Batch) -> Result<ArrayD<f64>> {
        self.model.perturbations(factors, train)
    }

    fn factors_to_array(&self, factors: &M::Factors) -> Result<Array2<f64>> {
        self.model.factors_to_array(factors)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<M::Factors> {
        self.model.factors_from_array(array)
    }

    fn axes(&self, sample: &M::Batch) -> Result<Vec<ScoreAxis>> {
        let shape = self.model.input_shape(sample)?;
        let axis = |(index, len)| ScoreAxis::plain(format!("input_{index}"), len);
        Ok(shape.into_iter().enumerate().map(axis).collect())
    }

    /// One factor at a time, so that the derivatives of all pairs are never in memory together.
    fn self_scores(&self, factors: &M::Factors, train: &M::Batch) -> Result<ArrayD<f64>> {
        let factors = self.model.factors_to_array(factors)?;
        let input = self.model.input_shape(train)?;
        let mut own = ArrayD::zeros([&[factors.nrows()], &input[..]].concat());
        for (index, mut own) in own.axis_iter_mut(Axis(0)).enumerate() {
            let factor = self
                .model
                .factors_from_array(factors.slice(s![index..=index, ..]))?;
            let products = self.model.perturbations(&factor, train)?;
            Error::check_size(
                "self scores",
                "train points",
                factors.nrows(),
                products.shape()[1],
            )?;
            own.assign(&products.index_axis(Axis(0), 0).index_axis(Axis(0), index));
        }
        Ok(own)
    }

    fn footprint(&self, sample: &M::Batch, form: FactorForm) -> Result<Footprint> {
        let numbers = self.model.input_shape(sample)?.iter().product();
        let footprint = self.model.footprint(sample, form)?;
        Ok(footprint.of_perturbations(numbers, self.precision()))
    }
}

impl<M: ThreadSafe> ThreadSafe for Perturbation<M> {}

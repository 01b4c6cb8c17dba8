use ndarray::{Array2, ArrayD, ArrayView2, s};

use super::{
    FactorForm, Footprint, GroupBatch, InfluenceModel, ScoreAxis,
    axes::{joined, side_by_side},
};
use crate::{Error, Precision, Result, ThreadSafe, solver::Solution};

/// The weighted sum of the influences of several models of the same data: the checkpoints of a
/// training run, `Σ_c η_c · up_c[i, j]`, or the models of an ensemble, each with weight `1/M`,
/// whose sum is the mean.
///
/// With the [`Identity`](crate::solver::Identity) as inverse and the learning rates as weights this
/// is `TracIn`: by how much the steps taken on train point `j` lowered the loss on test point `i`.
///
/// # References
/// Pruthi, Liu, Kale and Sundararajan, *Estimating training data influence by tracing gradient
/// descent*, 2020, equation 1 (`TracInCP`).
#[derive(Debug, Clone)]
pub struct Trajectory<M> {
    checkpoints: Vec<(f64, M)>,
}

impl<M: InfluenceModel> Trajectory<M> {
    /// Joins models with their weights, the learning rates at which training went through them.
    ///
    /// # Errors
    /// [`Error::Setting`] without any checkpoint or for a weight that is not finite,
    /// [`Error::Shape`] when the checkpoints differ in dimension.
    pub fn new(checkpoints: Vec<(f64, M)>) -> Result<Self> {
        let setting = |name, requirement, got: String| Error::Setting {
            name,
            requirement,
            got,
        };
        let Some((_, first)) = checkpoints.first() else {
            return Err(setting("checkpoints", "at least one", "none".into()));
        };
        for (weight, model) in &checkpoints {
            if !weight.is_finite() {
                return Err(setting("learning rate", "finite", weight.to_string()));
            }
            Error::check_size("checkpoints", "parameters", first.dim(), model.dim())?;
            let lengths = [first.factor_len(), model.factor_len()];
            Error::check_size("checkpoints", "numbers of a factor", lengths[0], lengths[1])?;
        }
        Ok(Self { checkpoints })
    }

    fn first(&self) -> &M {
        &self.checkpoints[0].1
    }

    fn each<T>(&self, make: impl Fn(&M) -> Result<T>) -> Result<Vec<T>> {
        self.checkpoints
            .iter()
            .map(|(_, model)| make(model))
            .collect()
    }

    /// `Σ_c η_c · values_c`.
    fn sum(&self, values: impl Fn(usize, &M) -> Result<ArrayD<f64>>) -> Result<ArrayD<f64>> {
        let mut sum: Option<ArrayD<f64>> = None;
        for (index, (weight, model)) in self.checkpoints.iter().enumerate() {
            let values = values(index, model)? * *weight;
            sum = Some(match sum {
                None => values,
                Some(sum) => sum + values,
            });
        }
        Ok(sum.unwrap_or_default())
    }
}

impl<M: InfluenceModel> InfluenceModel for Trajectory<M> {
    type Batch = M::Batch;
    /// Those at each checkpoint.
    type Gradients = Vec<M::Gradients>;
    /// Those at each checkpoint.
    type Factors = Vec<M::Factors>;

    fn dim(&self) -> usize {
        self.first().dim()
    }

    /// A factor joins those of all checkpoints.
    fn factor_len(&self) -> usize {
        self.checkpoints.len() * self.first().factor_len()
    }

    fn precision(&self) -> Precision {
        self.first().precision()
    }

    fn gradients(&self, batch: &M::Batch) -> Result<Vec<M::Gradients>> {
        self.each(|model| model.gradients(batch))
    }

    fn factors(&self, batch: &M::Batch) -> Result<Solution<Vec<M::Factors>>> {
        Ok(side_by_side(self.each(|model| model.factors(batch))?))
    }

    fn group_factors(
        &self,
        groups: &GroupBatch<'_, M::Batch>,
    ) -> Result<Solution<Vec<M::Factors>>> {
        Ok(side_by_side(
            self.each(|model| model.group_factors(groups))?,
        ))
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, M::Batch>) -> Result<Vec<M::Gradients>> {
        self.each(|model| model.group_gradients(groups))
    }

    fn scores(
        &self,
        factors: &Vec<M::Factors>,
        gradients: &Vec<M::Gradients>,
    ) -> Result<ArrayD<f64>> {
        self.sum(|index, model| model.scores(&factors[index], &gradients[index]))
    }

    fn self_scores(
        &self,
        factors: &Vec<M::Factors>,
        gradients: &Vec<M::Gradients>,
    ) -> Result<ArrayD<f64>> {
        self.sum(|index, model| model.self_scores(&factors[index], &gradients[index]))
    }

    fn perturbations(&self, factors: &Vec<M::Factors>, train: &M::Batch) -> Result<ArrayD<f64>> {
        self.sum(|index, model| model.perturbations(&factors[index], train))
    }

    fn input_shape(&self, sample: &M::Batch) -> Result<Vec<usize>> {
        self.first().input_shape(sample)
    }

    /// The factors of all checkpoints side by side, `(k, checkpoints · dim)`.
    fn factors_to_array(&self, factors: &Vec<M::Factors>) -> Result<Array2<f64>> {
        let arrays = self.checkpoints.iter().zip(factors);
        let arrays = arrays.map(|((_, model), factors)| model.factors_to_array(factors));
        joined(arrays)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Vec<M::Factors>> {
        Error::check_size("factors", "vector length", self.factor_len(), array.ncols())?;
        let mut start = 0;
        let mut factors = Vec::with_capacity(self.checkpoints.len());
        for (_, model) in &self.checkpoints {
            let end = start + model.factor_len();
            factors.push(model.factors_from_array(array.slice(s![.., start..end]))?);
            start = end;
        }
        Ok(factors)
    }

    fn axes(&self, sample: &M::Batch) -> Result<Vec<ScoreAxis>> {
        self.first().axes(sample)
    }

    fn footprint(&self, sample: &M::Batch, form: FactorForm) -> Result<Footprint> {
        let footprint = self.first().footprint(sample, form)?;
        Ok(footprint.of_checkpoints(self.checkpoints.len()))
    }
}

impl<M: ThreadSafe> ThreadSafe for Trajectory<M> {}

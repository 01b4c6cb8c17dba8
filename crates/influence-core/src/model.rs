//! Influence models: factors and scores.

mod axes;
mod block_influence;
mod by_block;
mod erased;
mod finite;
mod footprint;
mod group_batch;
mod perturbation;
mod relative;
mod segmented_unrolling;
mod sweep;
#[cfg(test)]
mod tests;
mod trajectory;
mod unit_gradients;
pub mod wrapper;

use ndarray::{Array2, ArrayD, ArrayView2};

use crate::{Error, Precision, Result, Rows, block::Block, solver::Solution};

pub use axes::ScoreAxis;
pub use block_influence::BlockInfluence;
pub use by_block::ByBlock;
pub use erased::{AnyModel, Erased, ErasedModel, erase};
pub use footprint::{
    EfficientChunk, FactorForm, Footprint, PassFootprint, Piece, ScoringFootprint,
};
pub use group_batch::GroupBatch;
pub use perturbation::Perturbation;
pub use relative::{RelativeInfluence, RelativeTo};
pub use segmented_unrolling::{BlockCurvature, SegmentedUnrolling, TrainingSegment};
pub use sweep::Sweep;
pub use trajectory::Trajectory;
pub use unit_gradients::UnitGradients;

/// A fitted influence model.
///
/// With `g` the gradient of the training loss of one sample, `H` the curvature as a mean over
/// training samples and `λ` the damping, the influence of train point `j` on test point `i` is
///
/// ```text
/// up[i, j] = ⟨ (H + λI)⁻¹ g(test_i), g(train_j) ⟩
/// ```
///
/// without a minus sign and without `1/n`: a positive value is helpful, leaving train point `j` out
/// raises the loss on test point `i` by about `up[i, j] / n`. The gradient on the test side is that
/// of the *measurement*, which is the training loss unless the task says otherwise. Factors are
/// `(H + λI)⁻¹ g` of the test side, scores the inner products.
///
/// A model is always fitted, and never changes.
///
/// # References
/// Koh and Liang, *Understanding black-box predictions via influence functions*, 2017, equation 2.
pub trait InfluenceModel {
    /// A batch of samples.
    type Batch;
    /// Gradients of the training loss, one per sample, in the form in which scores are cheapest.
    type Gradients: Send + Sync;
    /// Solved test gradients.
    type Factors: Send + Sync;

    /// The number of parameters.
    fn dim(&self) -> usize;

    /// The length of a factor on the host: [`dim`](Self::dim), unless a factor joins several
    /// vectors.
    fn factor_len(&self) -> usize {
        self.dim()
    }

    /// The precision of scores and factors.
    fn precision(&self) -> Precision;

    /// The gradients of the training loss, one per sample of the batch.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients>;

    /// The factors of a batch of `k` test points, with a report on each.
    ///
    /// # Errors
    /// Whatever the backend reports; a row that could not be solved is no error, its report says
    /// so.
    fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>>;

    /// The factors of groups of test points, one for each group: `(H + λI)⁻¹ Σ_j w_j g_j` over its
    /// points, the weighted sum of their factors for the price of one right-hand side.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model whose factors are no linear function of a gradient,
    /// otherwise as [`factors`](Self::factors).
    fn group_factors(
        &self,
        _groups: &GroupBatch<'_, Self::Batch>,
    ) -> Result<Solution<Self::Factors>> {
        Err(Error::Unsupported {
            what: "groups of test points",
            by: "this model",
        })
    }

    /// The gradients of groups of train points, one for each group: `Σ_j w_j g_j` over its points,
    /// so that a score is the weighted sum of the scores of the points.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model whose gradients cannot be added, otherwise as
    /// [`gradients`](Self::gradients).
    fn group_gradients(&self, _groups: &GroupBatch<'_, Self::Batch>) -> Result<Self::Gradients> {
        Err(Error::Unsupported {
            what: "groups of training points",
            by: "this model",
        })
    }

    /// The scores of `k` factors against `n` gradients on the host, shape `(k, n)`, followed by
    /// [`axes`](Self::axes) where there are any.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>>;

    /// The factors on the host, `(k, factor_len)`.
    ///
    /// # Errors
    /// [`Error::Backend`] when the transfer fails.
    fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>>;

    /// Factors from the host, `(k, factor_len)`: the inverse of
    /// [`factors_to_array`](Self::factors_to_array).
    ///
    /// # Errors
    /// [`Error::Shape`] when the array does not have `factor_len` columns, [`Error::Backend`].
    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors>;

    /// Gradients from the host, `(n, dim)`: stored rows are scored without the samples that they
    /// were computed from.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model whose gradients are not read, [`Error::Shape`] when the
    /// array does not have `dim` columns, [`Error::Backend`].
    fn gradients_from_array(&self, _array: ArrayView2<'_, f64>) -> Result<Self::Gradients> {
        Err(Error::Unsupported {
            what: "gradients that are read",
            by: "this model",
        })
    }

    /// Memory and cost per sample for factors in this form, measured on a few train points.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(&self, _sample: &Self::Batch, _form: FactorForm) -> Result<Footprint> {
        Ok(Footprint::dense(self.factor_len(), self.precision()))
    }

    /// The axes of scores beyond those of test and train points, as a few train points show them;
    /// none for plain influences.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn axes(&self, _sample: &Self::Batch) -> Result<Vec<ScoreAxis>> {
        Ok(Vec::new())
    }

    /// The scores of `n` factors against the gradients at the same positions, shape `(n, axes)`:
    /// the diagonal of the scores, without the rest.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not as many factors as gradients, otherwise as
    /// [`scores`](Self::scores).
    fn self_scores(
        &self,
        factors: &Self::Factors,
        gradients: &Self::Gradients,
    ) -> Result<ArrayD<f64>> {
        axes::diagonal(&self.scores(factors, gradients)?)
    }

    /// How a score changes with the input of the train point: `∂/∂x ⟨factor_i, g_j(x)⟩`, shape
    /// `(k, n, input)`, for `n` train points.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model that cannot differentiate by its inputs, otherwise
    /// whatever the backend reports.
    fn perturbations(&self, _factors: &Self::Factors, _train: &Self::Batch) -> Result<ArrayD<f64>> {
        Err(Error::Unsupported {
            what: "the derivative by inputs",
            by: "this model",
        })
    }

    /// The shape of one input, the last axes of [`perturbations`](Self::perturbations).
    ///
    /// # Errors
    /// As [`perturbations`](Self::perturbations).
    fn input_shape(&self, _sample: &Self::Batch) -> Result<Vec<usize>> {
        Err(Error::Unsupported {
            what: "the derivative by inputs",
            by: "this model",
        })
    }
}

/// Per-sample gradients of a task: what a backend supplies so that [`BlockInfluence`] can do the
/// rest.
pub trait GradientSource {
    /// A batch of samples.
    type Batch;
    /// Gradients of the training loss, one per sample, in the backend's own form.
    type Gradients: Send + Sync;
    /// Stacks of parameter-space vectors.
    type Rows: Rows;

    /// The number of parameters.
    fn dim(&self) -> usize;

    /// The precision of the computations.
    fn precision(&self) -> Precision;

    /// The gradients of the training loss.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients>;

    /// The gradients of the measurement as rows `(k, dim)`: the right-hand sides.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn measurement_rows(&self, batch: &Self::Batch) -> Result<Self::Rows>;

    /// The inner products of `k` rows with `n` gradients on the host, shape `(k, n)`.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn scores(&self, rows: &Self::Rows, gradients: &Self::Gradients) -> Result<ArrayD<f64>>;

    /// Rows with these values.
    ///
    /// # Errors
    /// [`Error::Shape`] when the array does not have `dim` columns, [`Error::Backend`].
    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows>;

    /// The gradients as rows `(n, dim)`.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn to_rows(&self, gradients: &Self::Gradients) -> Result<Self::Rows>;

    /// Gradients from rows `(n, dim)`, the inverse of [`to_rows`](Self::to_rows): gradients that
    /// were stored are scored without their samples.
    ///
    /// Scores of gradients that come back so may differ in the last bits from those of gradients in
    /// a cheaper form.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a source whose gradients are not read, otherwise whatever the
    /// backend reports.
    fn gradients_of_rows(&self, _rows: Self::Rows) -> Result<Self::Gradients> {
        Err(Error::Unsupported {
            what: "gradients that are read",
            by: "this source of gradients",
        })
    }

    /// The gradients of groups of samples, `Σ_j w_j g_j` over the samples of each.
    ///
    /// # Errors
    /// As [`gradients_of_rows`](Self::gradients_of_rows).
    fn group_gradients(&self, groups: &GroupBatch<'_, Self::Batch>) -> Result<Self::Gradients> {
        let sums = groups.sum(|batch| self.to_rows(&self.gradients(batch)?))?;
        self.gradients_of_rows(sums)
    }

    /// The gradients, each times its factor.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn scaled(&self, gradients: Self::Gradients, factors: &[f64]) -> Result<Self::Gradients>;

    /// The norm of each gradient.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn norms(&self, gradients: &Self::Gradients) -> Result<Vec<f64>> {
        self.to_rows(gradients)?.norms()
    }

    /// The part of the [`scores`](Self::scores) that the parameters of a block make.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    fn block_scores(
        &self,
        rows: &Self::Rows,
        gradients: &Self::Gradients,
        block: &Block,
    ) -> Result<ArrayD<f64>> {
        let part = rows.columns(block.columns())?;
        let alone = Self::Rows::assemble(rows.dim(), &[(block.columns(), part)])?;
        self.scores(&alone, gradients)
    }

    /// The inner products of `n` rows with the gradients at the same positions.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not as many rows as gradients, otherwise as
    /// [`scores`](Self::scores).
    fn self_scores(&self, rows: &Self::Rows, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
        axes::diagonal(&self.scores(rows, gradients)?)
    }

    /// `∂/∂x ⟨row_i, g_j(x)⟩` for `k` rows and the gradients of the training loss of `n` samples
    /// with inputs `x`, shape `(k, n, input)`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a source that cannot differentiate by its inputs, otherwise
    /// whatever the backend reports.
    fn mixed_products(&self, _rows: &Self::Rows, _batch: &Self::Batch) -> Result<ArrayD<f64>> {
        Err(Error::Unsupported {
            what: "the derivative by inputs",
            by: "this source of gradients",
        })
    }

    /// The shape of one input, the last axes of [`mixed_products`](Self::mixed_products).
    ///
    /// # Errors
    /// As [`mixed_products`](Self::mixed_products).
    fn input_shape(&self, _sample: &Self::Batch) -> Result<Vec<usize>> {
        Err(Error::Unsupported {
            what: "the derivative by inputs",
            by: "this source of gradients",
        })
    }

    /// Memory and cost per sample for factors of this form, measured on a few points; for solving,
    /// the right-hand sides only.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(&self, _sample: &Self::Batch, _factors: &Self::Rows) -> Result<Footprint> {
        Ok(Footprint::dense(self.dim(), self.precision()))
    }
}

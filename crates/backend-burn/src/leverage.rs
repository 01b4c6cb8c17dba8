//! Leave-one-out influences: the curvature of a training point leaves together with its gradient.
//!
//! An influence is the derivative of a test loss by the weight of a training point. Leaving the
//! point out changes the weight by all of `1/n`, and with the gradient of the point its own
//! curvature goes. With `A = H + λI`, the Jacobian `J` of the outputs of the point, `(c, dim)`, and
//! the second derivative `B` of its loss by the outputs, the step of Newton's method towards the
//! minimum without the point is
//!
//! ```text
//! θ₋ − θ = (1/n) (A − Jᵀ B J / n)⁻¹ g        g = Jᵀ r, r the derivative of the loss by the outputs
//! ```
//!
//! For a point of high *leverage*, an outlier or the only one of its kind, it is several times
//! larger than `A⁻¹ g / n`. For squared errors and a linear model it is exact: the factor
//! `1 / (1 − h)` of least squares (Cook and Weisberg, *Residuals and Influence in Regression*,
//! 1982), for logistic regression the one-step approximation of Pregibon (*Logistic regression
//! diagnostics*, 1981).
//!
//! No matrix is inverted again. With square-root factors `B = U Uᵀ`, `U (c, r)`, and `V = Jᵀ U`,
//! the vectors of which the Gauss-Newton matrix is made, Woodbury's identity gives
//!
//! ```text
//! (A − V Vᵀ / n)⁻¹ g = A⁻¹ (g + V a),    (I − K) a = Vᵀ A⁻¹ g / n,    K = Vᵀ A⁻¹ V / n
//! ```
//!
//! and `g + V a = Jᵀ (r + U a)` is again a gradient of the outputs, with another cotangent. So the
//! corrected influence is an ordinary one against a corrected gradient, which has the thin form of
//! gradients, and scores cost what they always do. A training point costs `r` vectors more to solve
//! for, and `r² / 2` inner products; `r` is the number of outputs for squared errors and for
//! cross-entropy.
//!
//! The eigenvalues of `K` are the leverages of the point. Where `H` is the Gauss-Newton matrix
//! itself they are below 1, since `H` has the point in it. An inverse that is rounded may give 1
//! and more, and then there is nothing to divide by: the gradient of such a point is left as it is,
//! and a warning counts them. An approximation of `H` need not have the curvature of single points
//! in it. Kronecker factors do not: their leverages are often above 1, and below that meaningless.

use burn::tensor::Tensor;
use influence_core::{
    Error as CoreError, FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel,
    Precision, Result as CoreResult, ThreadSafe,
    linalg::{Eigen, eigen},
    wrapper::ModelWrapper,
};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};

use crate::{
    Batch, Error, Gradients, Influence, ModelGradients, Result, Stack,
    likelihood::SquareRootFactors, tensors::tensor, trace::Function,
};

/// An influence model that leaves training points out as a whole: with the gradient of a point goes
/// its Gauss-Newton curvature.
///
/// Scores are `g_testᵀ (H + λI − JᵀBJ/n)⁻¹ g_train`, with the Jacobian `J` of the outputs of the
/// training point and the second derivative `B` of its loss by them; all else is as in the model
/// within, which is to invert the curvature [`GaussNewton`](crate::Curvature::GaussNewton) itself:
/// by direct factorisation or conjugate gradients, not by Kronecker factors or a low rank. Leaving
/// the point out raises the measurement by about a score over `n`, with an error of second order
/// even where the point is an outlier.
#[derive(Debug)]
pub struct LeverageCorrected {
    influence: Influence,
    samples: usize,
}

impl LeverageCorrected {
    /// Corrects an influence model that was fitted on this many training points.
    pub fn new(influence: Influence, samples: usize) -> Self {
        Self { influence, samples }
    }

    /// What is solved for a batch before its gradients are corrected.
    fn curvature_of(&self, batch: &Batch) -> CoreResult<OwnCurvature> {
        let source = self.influence.source();
        let gradients = source.gradients_of(Function::Loss, batch, None)?;
        let roots = roots(source.output_hessian(batch)?.square_root_factors()?)?;
        let along = |root| source.gradients_of(Function::Outputs, batch, Some(root));
        let vectors: Vec<Gradients> = roots.iter().map(along).collect::<Result<_>>()?;
        let (n, rank) = (batch.len(), roots.len());
        let mut own = OwnCurvature {
            roots,
            products: Array3::zeros((n, rank, rank)),
            pulls: Array2::zeros((n, rank)),
        };
        let share = 1.0 / self.samples.max(1) as f64;
        for row in 0..rank {
            let solved = Stack::from(vectors[row].clone());
            let solved = self.influence.solve(&solved)?.converged()?;
            let against = |vectors| -> CoreResult<Array1<f64>> {
                Ok(Array1::from_iter(source.self_scores(&solved, vectors)?) * share)
            };
            own.pulls.column_mut(row).assign(&against(&gradients)?);
            for (column, vectors) in vectors.iter().enumerate().skip(row) {
                let products = against(vectors)?;
                own.products
                    .slice_mut(s![.., column, row])
                    .assign(&products);
                own.products
                    .slice_mut(s![.., row, column])
                    .assign(&products);
            }
        }
        Ok(own)
    }
}

/// The curvature of each point of a batch along itself.
struct OwnCurvature {
    /// `u_r`, `(n, c)` each.
    roots: Vec<Tensor<2>>,
    /// `K = Vᵀ A⁻¹ V / n` of each point, `(n, r, r)`.
    products: Array3<f64>,
    /// `Vᵀ A⁻¹ g / n` of each point, `(n, r)`.
    pulls: Array2<f64>,
}

impl OwnCurvature {
    /// The solution of `(I − K) a = Vᵀ A⁻¹ g / n` of each point, `(n, r)`; zeros for points without
    /// one, which a warning counts.
    fn coefficients(&self, precision: Precision) -> CoreResult<Array2<f64>> {
        // The least `1 − h` at which the rounding of `h` does not matter.
        let least = match precision {
            Precision::F32 => 1e-3,
            Precision::F64 => 1e-6,
        };
        let mut coefficients = Array2::zeros(self.pulls.raw_dim());
        let mut beyond: Vec<f64> = Vec::new();
        for (point, mut row) in coefficients.outer_iter_mut().enumerate() {
            let Eigen { values, vectors } =
                eigen(&self.products.index_axis(Axis(0), point).to_owned())?;
            let leverage = values.last().copied().unwrap_or(0.0);
            if 1.0 - leverage < least {
                beyond.push(leverage);
                continue;
            }
            let along = self.pulls.row(point).dot(&vectors) / values.mapv(|value| 1.0 - value);
            row.assign(&vectors.dot(&along));
        }
        warn_of(&beyond, self.pulls.nrows());
        Ok(coefficients)
    }

    /// `U a` of each point, `(n, c)`; nothing where no point has a curvature.
    fn cotangents(&self, source: &ModelGradients) -> CoreResult<Option<Tensor<2>>> {
        let coefficients = self.coefficients(source.precision)?;
        let each = self.roots.iter().zip(coefficients.axis_iter(Axis(1)));
        let terms = each.map(|(root, column)| {
            let (numbers, shape) = (column.iter().copied(), [column.len(), 1]);
            root.clone() * tensor(numbers, shape, &source.device, source.precision)
        });
        Ok(terms.reduce(|sum, term| sum + term))
    }
}

impl ModelWrapper for LeverageCorrected {
    type Inner = Influence;

    fn inner(&self) -> &Influence {
        &self.influence
    }

    fn gradients(&self, batch: &Batch) -> CoreResult<Gradients> {
        let source = self.influence.source();
        if batch.is_empty() {
            return GradientSource::gradients(source, batch);
        }
        let Some(added) = self.curvature_of(batch)?.cotangents(source)? else {
            return GradientSource::gradients(source, batch);
        };
        let cotangent = source.output_slopes(batch)? + added;
        let gradients = source.gradients_of(Function::Outputs, batch, Some(&cotangent))?;
        Ok(gradients.for_scores())
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, Batch>) -> CoreResult<Gradients> {
        let corrected = |batch: &Batch| Ok(Stack::from(ModelWrapper::gradients(self, batch)?));
        Ok(groups.sum(corrected)?.into_vectors())
    }

    fn footprint(&self, sample: &Batch, form: FactorForm) -> CoreResult<Footprint> {
        let footprint = InfluenceModel::footprint(&self.influence, sample, form)?;
        let graph = self
            .influence
            .source()
            .trace
            .graph(Function::Outputs, sample)?;
        let outputs = graph.output.shape.num_elements() / sample.len().max(1);
        Ok(footprint.with_leverage(outputs))
    }

    fn perturbations(&self, _: &Stack, _: &Batch) -> CoreResult<ArrayD<f64>> {
        Err(underivable())
    }

    fn input_shape(&self, _: &Batch) -> CoreResult<Vec<usize>> {
        Err(underivable())
    }
}

/// A call computes from what was fitted alone, and changes nothing.
impl ThreadSafe for LeverageCorrected {}

/// The square-root factors, if all of them are added.
fn roots(factors: SquareRootFactors) -> Result<Vec<Tensor<2>>> {
    let SquareRootFactors { plus, mut minus } = factors;
    match minus.next() {
        None => Ok(plus.collect()),
        Some(_) => Err(Error::NotConvex),
    }
}

/// Says which leverages could not be divided by.
fn warn_of(beyond: &[f64], points: usize) {
    if beyond.is_empty() {
        return;
    }
    let largest = beyond.iter().copied().fold(0.0, f64::max);
    tracing::warn!(
        "the leverage of {} of {points} training points reaches 1, the largest {largest:.3}: the rest of the curvature is not positive along them, so that their influences are left uncorrected; raise the damping",
        beyond.len()
    );
}

/// The leverage of a point depends on its inputs, too.
fn underivable() -> CoreError {
    CoreError::Unsupported {
        what: "the derivative by inputs",
        by: "influences that are corrected by leverage",
    }
}

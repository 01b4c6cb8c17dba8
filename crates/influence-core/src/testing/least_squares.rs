use std::{ops::Range, sync::Arc};

use ndarray::{Array1, Array2, ArrayD, ArrayView2, s};

use super::dense;
use crate::{
    BlockInfluence, Dataset, Error, GradientSource, Precision, Result, Rows, ThreadSafe,
    block::{BlockStructure, Parameter, ParameterLayout},
    operator::Matrix,
    solver::Solver,
};

/// Points of a regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The inputs, `(n, dim)`.
    pub inputs: Array2<f64>,
    /// The targets, `(n)`.
    pub targets: Array1<f64>,
}

impl Samples {
    /// Made-up points, the same for the same seed.
    pub fn random(n: usize, dim: usize, seed: u64) -> Self {
        let inputs = dense::random((n, dim), seed);
        let targets = dense::random((n, 1), seed.wrapping_add(1_000))
            .column(0)
            .to_owned();
        Self { inputs, targets }
    }
}

/// Points of a regression as a data set.
#[derive(Debug, Clone)]
pub struct SamplesDataset(pub Samples);

impl Dataset for SamplesDataset {
    type Batch = Samples;

    fn len(&self) -> usize {
        self.0.targets.len()
    }

    fn batch(&self, range: Range<usize>) -> Result<Samples> {
        Error::check_range(&range, self.len())?;
        let inputs = self.0.inputs.slice(s![range.clone(), ..]).to_owned();
        Ok(Samples {
            inputs,
            targets: self.0.targets.slice(s![range]).to_owned(),
        })
    }
}

/// Least squares on a linear map, `ℓ = ½ (wᵀx − y)²`: a source of gradients whose influences are
/// known in closed form.
///
/// The gradient is `r x` with the residual `r = wᵀx − y`, and the curvature is the mean of `x xᵀ`,
/// so that `up[i, j] = r_i r_j x_iᵀ (H + λI)⁻¹ x_j`. Everything is on the host in `f64`.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    weights: Array1<f64>,
}

impl LeastSquares {
    /// A linear map with these weights.
    pub fn new(weights: Array1<f64>) -> Self {
        Self { weights }
    }

    /// A linear map with made-up weights, the same for the same seed.
    pub fn random(dim: usize, seed: u64) -> Self {
        Self::new(dense::random((1, dim), seed).row(0).to_owned())
    }

    /// The curvature: the mean of `x xᵀ` over the samples.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the inputs are not finite.
    pub fn curvature(&self, train: &Samples) -> Result<Matrix> {
        let product = train.inputs.t().dot(&train.inputs) / train.targets.len().max(1) as f64;
        Matrix::new((&product + &product.t()) * 0.5)
    }

    /// The influence model of one block, fitted to the samples with damping `λ`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a damping out of its domain, otherwise whatever the solver reports.
    pub fn fit(
        self,
        train: &Samples,
        damping: f64,
        solver: &dyn Solver<Array2<f64>>,
    ) -> Result<BlockInfluence<Self>> {
        let op = Arc::new(self.curvature(train)?);
        let parameter = Parameter {
            name: "weights".into(),
            shape: vec![self.weights.len()],
        };
        let blocks = BlockStructure::Full.resolve(&ParameterLayout::new(vec![parameter]))?;
        let prepared = solver.prepare(op)?;
        let blocks = blocks.into_iter().zip([prepared]).collect();
        BlockInfluence::new(self, blocks, &damping.into())
    }

    /// The influences in closed form, `(k, n)`, by Gaussian elimination.
    ///
    /// # Panics
    /// When the samples do not fit the weights.
    pub fn influences(
        &self,
        fitted_to: &Samples,
        damping: f64,
        test: &Samples,
        train: &Samples,
    ) -> Array2<f64> {
        let mut curvature =
            fitted_to.inputs.t().dot(&fitted_to.inputs) / fitted_to.targets.len().max(1) as f64;
        curvature.diag_mut().mapv_inplace(|value| value + damping);
        dense::solve(&curvature, &self.rows_of(test)).dot(&self.rows_of(train).t())
    }

    fn rows_of(&self, samples: &Samples) -> Array2<f64> {
        let residuals = samples.inputs.dot(&self.weights) - &samples.targets;
        &samples.inputs * &residuals.insert_axis(ndarray::Axis(1))
    }
}

impl GradientSource for LeastSquares {
    type Batch = Samples;
    type Gradients = Array2<f64>;
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        self.weights.len()
    }

    fn precision(&self) -> Precision {
        Precision::F64
    }

    fn gradients(&self, batch: &Samples) -> Result<Array2<f64>> {
        Error::check_size("gradients", "inputs", self.dim(), batch.inputs.ncols())?;
        Error::check_size(
            "gradients",
            "targets",
            batch.inputs.nrows(),
            batch.targets.len(),
        )?;
        Ok(self.rows_of(batch))
    }

    fn measurement_rows(&self, batch: &Samples) -> Result<Array2<f64>> {
        self.gradients(batch)
    }

    fn scores(&self, rows: &Array2<f64>, gradients: &Array2<f64>) -> Result<ArrayD<f64>> {
        Error::check_size("scores", "vector length", rows.ncols(), gradients.ncols())?;
        Ok(rows.dot(&gradients.t()).into_dyn())
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(values.to_owned())
    }

    fn to_rows(&self, gradients: &Array2<f64>) -> Result<Array2<f64>> {
        Ok(gradients.clone())
    }

    fn gradients_of_rows(&self, rows: Array2<f64>) -> Result<Array2<f64>> {
        Ok(rows)
    }

    fn scaled(&self, gradients: Array2<f64>, factors: &[f64]) -> Result<Array2<f64>> {
        Rows::scaled(&gradients, factors)
    }

    /// The gradient `(wᵀx − y) x` has the derivative `x wᵀ + (wᵀx − y) I` by `x`.
    fn mixed_products(&self, rows: &Array2<f64>, batch: &Samples) -> Result<ArrayD<f64>> {
        let residuals = batch.inputs.dot(&self.weights) - &batch.targets;
        let along = rows.dot(&batch.inputs.t());
        let shape = (rows.nrows(), residuals.len(), self.dim());
        let product = |(i, j, d)| along[[i, j]] * self.weights[d] + residuals[j] * rows[[i, d]];
        Ok(ndarray::Array3::from_shape_fn(shape, product).into_dyn())
    }

    fn input_shape(&self, _sample: &Samples) -> Result<Vec<usize>> {
        Ok(vec![self.dim()])
    }
}

/// Nothing is shared but numbers that do not change.
impl ThreadSafe for LeastSquares {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostConverter, InfluenceModel, solver::Direct, testing};

    #[test]
    fn the_model_conforms_and_gives_the_closed_form() -> Result<()> {
        let (train, test) = (Samples::random(40, 6, 1), Samples::random(5, 6, 2));
        let problem = LeastSquares::random(6, 3);
        let expected = problem.influences(&train, 0.05, &test, &train);
        let without_curvature = problem.rows_of(&test).dot(&problem.rows_of(&train).t()) / 0.05;
        let model = problem.fit(&train, 0.05, &Direct)?;
        testing::model(&model, &test, &train, 1e-12);
        let factors = model.factors(&test)?.converged()?;
        let scores = model.scores(&factors, &model.gradients(&train)?)?;
        testing::assert_close("influences", &scores, &expected.clone().into_dyn(), 1e-12);
        let difference = (&without_curvature - &expected)
            .iter()
            .fold(0.0_f64, |worst, value| worst.max(value.abs()));
        assert!(difference > 0.1, "the curvature must matter");
        Ok(())
    }

    #[test]
    fn the_data_set_and_the_converter_conform() {
        testing::dataset(&SamplesDataset(Samples::random(7, 3, 4)), |batch| {
            batch.inputs.clone().into_dyn()
        });
        testing::converter(&HostConverter, &[1, 2, 3], 0.0);
    }
}

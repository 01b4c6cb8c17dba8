//! A custom backend, in plain ndarray: ridge regression. Neither this crate nor the core
//! knows a tensor library.
//!
//! A backend says what a gradient is ([`GradientSource`]) and how the curvature multiplies
//! ([`LinearOperator`]); every solver, calculator and sink is then there. What comes out is held
//! against the closed form, and against what influences are about: fitting again without a point.
//!
//! ```sh
//! cargo run --release --package influence-calculators --example custom_backend
//! ```

use std::{ops::Range, sync::Arc};

use influence_calculators::{Calculator, Parallel, Sequential, StoredInfluences, ZarrOptions};
use influence_core::{
    BlockInfluence, Dataset, Error, GradientSource, Precision, Result, Rows, ThreadSafe,
    aggregate::Concatenate,
    block::{BlockStructure, Damping, Parameter, ParameterLayout},
    operator::LinearOperator,
    solver::{ConjugateGradient, Solver},
    testing,
};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, s};

/// The weight of `½‖w‖²` in the training loss: what λ is to the curvature.
const RIDGE: f64 = 0.05;

/// Points of a regression.
#[derive(Debug, Clone)]
struct Points {
    x: Array2<f64>,
    y: Array1<f64>,
}

impl Points {
    /// Linear in the inputs, and noisy.
    fn made_up(n: usize, seed: u64) -> Self {
        let (x, noise) = (
            testing::random((n, 5), seed),
            testing::random((n, 1), seed + 100),
        );
        let y = x.dot(&Array1::linspace(-1.0, 1.0, 5)) + &noise.column(0) * 0.3;
        Self { x, y }
    }
}

impl Dataset for Points {
    type Batch = Self;

    fn len(&self) -> usize {
        self.y.len()
    }

    fn batch(&self, range: Range<usize>) -> Result<Self> {
        Error::check_range(&range, self.len())?;
        let x = self.x.slice(s![range.clone(), ..]).to_owned();
        Ok(Self {
            x,
            y: self.y.slice(s![range]).to_owned(),
        })
    }
}

/// The curvature `mean x xᵀ`, which is multiplied and never formed.
#[derive(Debug)]
struct Curvature(Array2<f64>);

impl LinearOperator for Curvature {
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        self.0.ncols()
    }

    fn apply(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
        Error::check_size("curvature", "vector length", self.dim(), rows.ncols())?;
        Ok(rows.dot(&self.0.t()).dot(&self.0) / self.0.nrows() as f64)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(values.to_owned())
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        self.apply(&Array2::eye(self.dim()))
    }
}

/// A fitted regression, with the loss `½ (w·x − y)²`, whose gradient is `(w·x − y) x`.
#[derive(Debug, Clone)]
struct Regression {
    weights: Array1<f64>,
}

impl GradientSource for Regression {
    type Batch = Points;
    type Gradients = Array2<f64>;
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        self.weights.len()
    }

    fn precision(&self) -> Precision {
        Precision::F64
    }

    fn gradients(&self, batch: &Points) -> Result<Array2<f64>> {
        let residuals = batch.x.dot(&self.weights) - &batch.y;
        Ok(&batch.x * &residuals.insert_axis(Axis(1)))
    }

    fn measurement_rows(&self, batch: &Points) -> Result<Array2<f64>> {
        self.gradients(batch)
    }

    fn scores(&self, rows: &Array2<f64>, gradients: &Array2<f64>) -> Result<ArrayD<f64>> {
        Ok(rows.gram(gradients)?.into_dyn())
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(values.to_owned())
    }

    fn to_rows(&self, gradients: &Array2<f64>) -> Result<Array2<f64>> {
        Ok(gradients.clone())
    }

    fn scaled(&self, gradients: Array2<f64>, factors: &[f64]) -> Result<Array2<f64>> {
        Rows::scaled(&gradients, factors)
    }
}

/// Numbers that do not change may be shared.
impl ThreadSafe for Regression {}

impl Regression {
    /// Minimises `mean ½ (w·x − y)² + ½ ρ ‖w‖²`, where the means are over `n` points even where one
    /// is left out.
    fn fit(points: &Points, n: usize) -> Self {
        let curvature = damped(&points.x, n);
        let rhs = (points.x.t().dot(&points.y) / n as f64).insert_axis(Axis(0));
        let weights = testing::solve(&curvature, &rhs).row(0).to_owned();
        Self { weights }
    }

    /// The influence model, solved by conjugate gradients.
    fn influence(self, train: &Points) -> Result<BlockInfluence<Self>> {
        let weights = Parameter {
            name: "weights".into(),
            shape: vec![self.dim()],
        };
        let blocks = BlockStructure::Full.resolve(&ParameterLayout::new(vec![weights]))?;
        let solver = ConjugateGradient::new().with_rtol(1e-12)?;
        let prepared = solver.prepare(Arc::new(Curvature(train.x.clone())))?;
        let blocks = blocks.into_iter().zip([prepared]).collect();
        BlockInfluence::new(self, blocks, &Damping::from(RIDGE))
    }

    fn losses(&self, points: &Points) -> Array1<f64> {
        (points.x.dot(&self.weights) - &points.y).mapv(|residual| residual * residual / 2.0)
    }
}

/// `mean x xᵀ + ρ I`.
fn damped(x: &Array2<f64>, n: usize) -> Array2<f64> {
    x.t().dot(x) / n as f64 + Array2::<f64>::eye(x.ncols()) * RIDGE
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (train, test) = (Points::made_up(200, 1), Points::made_up(12, 2));
    let regression = Regression::fit(&train, 200);
    let model = regression.clone().influence(&train)?;
    // The contracts, as far as tests can tell.
    testing::operator(&Curvature(train.x.clone()), 1e-12);
    testing::dataset(&train, |batch| batch.x.clone().into_dyn());
    testing::model(&model, &test, &train, 1e-9);

    let [left, right] = [&test, &train].map(|points| regression.gradients(points));
    let expected = testing::solve(&damped(&train.x, 200), &left?).dot(&right?.t());
    let sequential = Sequential::new(&model);
    let lazy = sequential.influences(&test, &train).with_chunks(5, 64)?;
    let influences = lazy.compute(Concatenate::new())?;
    let error = relative(&influences, &expected.into_dyn());
    println!("conjugate gradients: {error:.0e} off the closed form");
    assert!(error < 1e-9);

    let parallel = Parallel::new(&model, None)?;
    let folder = tempfile::tempdir()?;
    let lazy = parallel.influences(&test, &train).with_chunks(5, 64)?;
    lazy.to_zarr(folder.path(), &ZarrOptions::default())?;
    let stored = StoredInfluences::open(folder.path())?.compute(Concatenate::new())?;
    assert_eq!(
        stored, influences,
        "in parallel and through zarr, to the bit"
    );

    // Leaving a point out raises the loss on a test point by about its influence over n.
    let before = regression.losses(&test);
    let mut measured = ArrayD::zeros(vec![12, 200]);
    for left_out in 0..200 {
        let others: Vec<usize> = (0..200).filter(|point| *point != left_out).collect();
        let rest = Points {
            x: train.x.view().select(Axis(0), &others),
            y: train.y.select(Axis(0), &others),
        };
        let change = Regression::fit(&rest, 200).losses(&test) - &before;
        measured
            .index_axis_mut(Axis(1), left_out)
            .assign(&(change * 200.0));
    }
    let error = relative(&influences, &measured);
    println!("fitting again without each point: {error:.2} off, relative to the largest change");
    assert!(error < 0.1, "the first order of it");
    Ok(())
}

/// The largest difference, over the largest expected value.
fn relative(got: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    let largest = |values: &ArrayD<f64>| {
        values
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()))
    };
    largest(&(got - expected)) / largest(expected)
}

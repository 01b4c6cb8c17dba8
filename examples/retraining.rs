//! How well influences predict retraining: the defaults of `influence init` against earlier ones.
//!
//! Two small networks are trained on handwritten digits, then again on random halves of the points.
//! The influences of the points in a half predict the loss of the network trained on it. The table
//! shows the rank correlation of prediction and loss over the halves, as the mean over test points
//! (the linear datamodeling score of Park et al. 2023), with the standard error over test points.
//!
//! ```sh
//! cargo run --release --example retraining -- --halves 60 --seeds 2
//! ```
//!
//! takes about a minute on one core. Without options there are only a few halves, enough to see
//! that it works.

#[path = "support/digits.rs"]
mod digits;
#[path = "support/perceptron.rs"]
mod perceptron;

use std::{sync::Arc, time::Instant};

use influence::{
    ArrayDataset, Calculator, Concatenate, ConjugateGradient, Curvature, Damping, Direct, Fit,
    Kronecker, Parallel, backend::Stack, foundation::solver::Solver,
};
use ndarray::{Array1, Array2, Axis};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

use digits::{Digits, Outcome};
use perceptron::{Perceptron, Points, Recipe, task};

/// Test points on which the loss is predicted.
const TESTS: usize = 100;
/// With at least this many halves, the example asserts which of two defaults is better.
const ENOUGH: usize = 40;

/// A method with the factor of its relative damping.
enum Method {
    Solver(&'static str, Arc<dyn Solver<Stack>>, f64),
    Ekfac(f64),
}

impl Method {
    fn shown(&self) -> String {
        match self {
            Self::Solver(name, _, factor) => format!("`{name}`, {{ relative = {factor:?} }}"),
            Self::Ekfac(factor) => format!("`ekfac`, {{ relative = {factor:?} }}"),
        }
    }

    /// The influences of all training points on the test points.
    fn influences(
        &self,
        network: &Perceptron,
        train: &Arc<ArrayDataset>,
        test: &ArrayDataset,
    ) -> Outcome<Array2<f64>> {
        let fit = Fit::new(task()).with_curvature(Curvature::GaussNewton);
        let fit = match self {
            Self::Solver(_, solver, factor) => fit
                .with_solver(solver.clone())
                .with_damping(Damping::relative(*factor)),
            Self::Ekfac(factor) => fit
                .with_kronecker(Kronecker::Ekfac)
                .with_damping(Damping::relative(*factor)),
        };
        let model = fit.fit(&network.module(), train.clone())?;
        let lazy = Parallel::new(model, None)?;
        let influences = lazy
            .influences(test, &**train)
            .compute(Concatenate::new())?;
        Ok(influences.into_dimensionality()?)
    }
}

/// A network, with the earlier and the present proposal of `influence init` for its size.
struct Case {
    recipe: Recipe,
    before: Method,
    now: Method,
}

fn cases() -> Outcome<[Case; 2]> {
    let direct = || Arc::new(Direct) as Arc<dyn Solver<Stack>>;
    let cg = ConjugateGradient::new().with_rtol(1e-4)?;
    Ok([
        Case {
            recipe: Recipe {
                hidden: 32,
                decay: 1e-4,
            },
            before: Method::Solver("direct", direct(), 0.1),
            now: Method::Solver("direct", direct(), 1.0),
        },
        Case {
            recipe: Recipe {
                hidden: 64,
                decay: 1e-3,
            },
            before: Method::Ekfac(0.1),
            now: Method::Solver("cg", Arc::new(cg), 1.0),
        },
    ])
}

/// The points, and halves of the training points.
struct Experiment {
    train: Points,
    test: Points,
    halves: Vec<Vec<usize>>,
    seeds: u64,
    /// Networks trained on all points, each with its influences.
    networks: u64,
}

impl Experiment {
    fn new(halves: usize, seeds: u64) -> Outcome<Self> {
        let digits = Digits::read(0..1797)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(17);
        let mut order: Vec<usize> = (0..digits.labels.len()).collect();
        order.shuffle(&mut random);
        let (test, train) = order.split_at(360);
        let mut half = || {
            let mut points: Vec<usize> = (0..train.len()).collect();
            points.shuffle(&mut random);
            points.truncate(train.len() / 2);
            points
        };
        Ok(Self {
            halves: (0..halves).map(|_| half()).collect(),
            train: Points::of(&digits, train)?,
            test: Points::of(&digits, &test[..TESTS])?,
            seeds,
            networks: if halves < ENOUGH { 1 } else { 2 },
        })
    }

    /// The losses `(test, half)` after training on each half, from one seed.
    fn retrained(&self, recipe: Recipe, seed: u64) -> Array2<f64> {
        let mut losses = Array2::zeros((TESTS, self.halves.len()));
        for (half, mut column) in self.halves.iter().zip(losses.columns_mut()) {
            let network = Perceptron::train(recipe, &self.train.select(half), 1000 + seed);
            column.assign(&network.losses(&self.test));
        }
        losses
    }

    /// The prediction from influences: the more helpful points a half keeps, the smaller the loss.
    fn predicted(&self, influences: &Array2<f64>) -> Array2<f64> {
        let mut predicted = Array2::zeros((TESTS, self.halves.len()));
        for (half, mut column) in self.halves.iter().zip(predicted.columns_mut()) {
            column.assign(&-influences.select(Axis(1), half).sum_axis(Axis(1)));
        }
        predicted
    }

    /// The correlation by test point, as the mean over networks trained on all points.
    fn score(&self, recipe: Recipe, method: &Method, losses: &Array2<f64>) -> Outcome<Array1<f64>> {
        let (train, test) = (Arc::new(self.train.dataset()?), self.test.dataset()?);
        let mut sum = Array1::zeros(TESTS);
        for seed in 0..self.networks {
            let network = Perceptron::train(recipe, &self.train, seed);
            let accuracy = network.accuracy(&self.test);
            assert!(accuracy > 0.9, "a network that learned nothing: {accuracy}");
            let influences = method.influences(&network, &train, &test)?;
            sum += &correlations(&self.predicted(&influences), losses);
        }
        Ok(sum / self.networks as f64)
    }
}

/// The rank correlation of each row of two matrices.
fn correlations(a: &Array2<f64>, b: &Array2<f64>) -> Array1<f64> {
    let rows = a.rows().into_iter().zip(b.rows());
    rows.map(|(a, b)| correlation(&ranks(&a.to_vec()), &ranks(&b.to_vec())))
        .collect()
}

fn ranks(values: &[f64]) -> Array1<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = Array1::zeros(values.len());
    for (rank, place) in order.into_iter().enumerate() {
        ranks[place] = rank as f64;
    }
    ranks
}

fn correlation(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
    let [a, b] = [a, b].map(|ranks| ranks - ranks.sum() / ranks.len() as f64);
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// Mean and standard error.
fn summarised(scores: &Array1<f64>) -> [f64; 2] {
    let count = scores.len() as f64;
    let mean = scores.sum() / count;
    let variance = scores.mapv(|score| (score - mean).powi(2)).sum() / (count - 1.0);
    [mean, (variance / count).sqrt()]
}

/// The number that follows an option.
fn option(name: &str, default: usize) -> Outcome<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(number)) => Ok(number.parse()?),
        (Some(_), None) => Err(format!("{name}: a number is missing").into()),
        (None, _) => Ok(default),
    }
}

fn main() -> Outcome<()> {
    let started = Instant::now();
    let (halves, seeds) = (option("--halves", 4)?, option("--seeds", 1)?);
    let experiment = Experiment::new(halves.max(3), seeds.max(1) as u64)?;
    println!(
        "| network | weight decay | default | method, damping | correlation with retraining |\n|---|---|---|---|---|"
    );
    for Case {
        recipe,
        before,
        now,
    } in cases()?
    {
        let by_seed = (0..experiment.seeds).map(|seed| experiment.retrained(recipe, seed));
        let by_seed: Vec<Array2<f64>> = by_seed.collect();
        let mut losses = Array2::zeros(by_seed[0].dim());
        for one in &by_seed {
            losses += one;
        }
        let mut means = Vec::new();
        for (which, method) in [("before", &before), ("now", &now)] {
            let [mean, error] = summarised(&experiment.score(recipe, method, &losses)?);
            println!(
                "| 64-{}-10 | {:?} | {which} | {} | {mean:.3} ± {error:.3} |",
                recipe.hidden,
                recipe.decay,
                method.shown()
            );
            assert!(mean > 0.0, "influences predict nothing");
            means.push(mean);
        }
        if let [first, second, ..] = &by_seed[..] {
            let [mean, error] = summarised(&correlations(first, second));
            println!("| | | | retraining from another seed | {mean:.3} ± {error:.3} |");
        }
        let better = means[1] > means[0];
        assert!(halves < ENOUGH || better, "the default of before is better");
    }
    println!(
        "\n{} halves, {} seeds, {TESTS} test points, {} networks on all points; {:.0} s",
        experiment.halves.len(),
        experiment.seeds,
        experiment.networks,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

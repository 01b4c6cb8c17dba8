//! The kernels that scores are made of, each beside a plain matrix product of the same shape.
//!
//! ```sh
//! cargo bench --bench kernels [-- PART OF A NAME]
//! ```
//! Criterion measures both; the table at the end gives both rates, counting only the operations of
//! matrix products, and the share of the plain product's rate that the whole kernel reaches.

use std::{error::Error, fs, path::Path, sync::Arc, time::Duration};

use burn::{
    module::{Module, Param},
    tensor::{Device, Distribution, Tensor, TensorData},
};
use criterion::Criterion;
use influence::{
    ArrayDataset, Batch, Classification, ConjugateGradient, Curvature, Dataset, Fit, Identity,
    Influence, InfluenceModel, Kronecker,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Linear maps without bias, with the hyperbolic tangent between them.
#[derive(Module, Debug)]
struct Maps {
    weights: Vec<Param<Tensor<2>>>,
}

impl Maps {
    fn new(sides: &[usize]) -> Self {
        let weight = |sides: &[usize]| {
            let spread = Distribution::Normal(0.0, 1.0 / (sides[0] as f64).sqrt());
            Param::from_tensor(Tensor::random(
                [sides[0], sides[1]],
                spread,
                &Device::flex(),
            ))
        };
        Self {
            weights: sides.windows(2).map(weight).collect(),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mut weights = self.weights.iter().map(Param::val);
        let first = weights.next().map_or(x.clone(), |weight| x.matmul(weight));
        weights.fold(first, |x, weight| x.tanh().matmul(weight))
    }
}

fn samples(count: usize, sides: &[usize]) -> Outcome<Arc<ArrayDataset>> {
    let (width, classes) = (sides[0], sides[sides.len() - 1]);
    let normal = Distribution::Normal(0.0, 1.0);
    let inputs = Tensor::<2>::random([count, width], normal, &Device::flex()).into_data();
    let classes = u32::try_from(classes)?;
    let labels: Vec<i64> = (0..classes).cycle().take(count).map(i64::from).collect();
    let labels = TensorData::new(labels, [count]);
    Ok(Arc::new(ArrayDataset::new(vec![inputs, labels])?))
}

/// A kernel: its work, the operations of its matrix products, and the shapes of plain products
/// `(a, b) × (b, c)`.
struct Kernel {
    name: String,
    work: Box<dyn Fn() -> Outcome<()>>,
    flops: f64,
    shapes: Vec<[usize; 3]>,
}

const TEST: usize = 64;
/// Factors that are outer products come in larger chunks.
const COMPACT_TEST: usize = 256;
const TRAIN: usize = 1024;

/// A fitted model of maps with these sides, and batches of either side.
struct Fitted {
    influence: Influence,
    test: Batch,
    train: Batch,
}

impl Fitted {
    fn new(
        sides: &[usize],
        tested: usize,
        settings: impl Fn(Fit<ClassificationOf>) -> Outcome<Fit<ClassificationOf>>,
    ) -> Outcome<Self> {
        let (test, train) = (samples(tested, sides)?, samples(TRAIN, sides)?);
        let forward: Forward = |maps, x| maps.forward(x);
        let fit = Fit::new(Classification::new(forward)).with_damping(0.1);
        Ok(Self {
            influence: settings(fit)?.fit(&Maps::new(sides), train.clone())?,
            test: test.batch(0..tested)?,
            train: train.batch(0..TRAIN)?,
        })
    }

    fn scoring(self) -> Outcome<Box<dyn Fn() -> Outcome<()>>> {
        let factors = self.influence.factors(&self.test)?.rows;
        let gradients = self.influence.gradients(&self.train)?;
        Ok(Box::new(move || {
            self.influence.scores(&factors, &gradients)?;
            Ok(())
        }))
    }
}

type Forward = fn(&Maps, Tensor<2>) -> Tensor<2>;
type ClassificationOf = Classification<Maps, Tensor<2>, Forward>;

/// Scores of factors that are plain rows: contracted with the wide side of the gradients, then
/// with the thin one.
fn rows([l, r]: [usize; 2]) -> Outcome<Kernel> {
    let fitted = Fitted::new(&[l, r], TEST, |fit| {
        let fit = fit.with_curvature(Curvature::Fisher { draws: 1, seed: 0 });
        Ok(fit.with_kronecker(Kronecker::Ekfac).with_tolerance(0.0))
    })?;
    Ok(Kernel {
        name: format!("scores of rows, layer {l} x {r}"),
        work: fitted.scoring()?,
        flops: 2.0 * (TEST * TRAIN * l * r) as f64,
        shapes: vec![[TEST * l.min(r), l.max(r), TRAIN]],
    })
}

/// Scores of factors that are outer products.
fn outer_products([l, r]: [usize; 2]) -> Outcome<Kernel> {
    let fitted = Fitted::new(&[l, r], COMPACT_TEST, |fit| Ok(fit.with_solver(Identity)))?;
    Ok(Kernel {
        name: format!("scores of outer products, layer {l} x {r}"),
        work: fitted.scoring()?,
        flops: 2.0 * (COMPACT_TEST * TRAIN * (l + r)) as f64,
        shapes: vec![[COMPACT_TEST, l, TRAIN], [COMPACT_TEST, r, TRAIN]],
    })
}

/// Exact EK-FAC solutions: into the eigenbasis and back.
fn solutions([l, r]: [usize; 2]) -> Outcome<Kernel> {
    let fitted = Fitted::new(&[l, r], TEST, |fit| {
        let fit = fit.with_curvature(Curvature::Fisher { draws: 1, seed: 0 });
        Ok(fit.with_kronecker(Kronecker::Ekfac).with_tolerance(0.0))
    })?;
    let work = move || {
        fitted.influence.factors(&fitted.test)?;
        Ok(())
    };
    Ok(Kernel {
        name: format!("ekfac solutions, layer {l} x {r}"),
        work: Box::new(work),
        // Right-hand sides are outer products, so that only the way back is one of matrices.
        flops: 2.0 * (TEST * l * r * (l + r)) as f64,
        shapes: vec![[TEST * r, l, l], [TEST * l, r, r]],
    })
}

/// Products with the Hessian of a perceptron, in conjugate gradients.
fn hessian_products(sides: [usize; 4]) -> Outcome<Kernel> {
    let fitted = Fitted::new(&sides, TEST, |fit| {
        let solver = ConjugateGradient::new().with_max_iterations(1)?;
        Ok(fit.with_damping(10.0).with_solver(solver))
    })?;
    let products = fitted.influence.factors(&fitted.test)?.reports;
    let products: usize = products.iter().map(|report| report.iterations).sum();
    let [a, b, c, d] = sides;
    let work = move || {
        fitted.influence.factors(&fitted.test)?;
        Ok(())
    };
    Ok(Kernel {
        name: format!("hessian products, {a}-{b}-{c}-{d}"),
        work: Box::new(work),
        flops: (products * TRAIN * (4 * a * b + 12 * (b * c + c * d))) as f64,
        shapes: vec![[TEST * 256, b, c]],
    })
}

fn random(rows: usize, columns: usize) -> Tensor<2> {
    let normal = Distribution::Normal(0.0, 1.0);
    Tensor::random([rows, columns], normal, &Device::flex())
}

/// The median of a benchmark that has run, in nanoseconds.
fn median(folder: &Path, group: &str, name: &str) -> Outcome<f64> {
    let path = folder.join(group).join(name).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    Ok(estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or("an estimate")?)
}

fn main() -> Outcome<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    let layers = [[64, 128], [256, 512], [784, 512], [1024, 1024]];
    let mut kernels = Vec::new();
    for layer in layers {
        kernels.extend([rows(layer)?, outer_products(layer)?, solutions(layer)?]);
    }
    kernels.push(hessian_products([64, 128, 64, 10])?);
    kernels.push(hessian_products([256, 512, 256, 10])?);
    let mut table = vec![
        "| kernel | GFLOP/s | matrix product, GFLOP/s | share |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    let asked = std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench");
    kernels.retain(|kernel| {
        asked
            .as_ref()
            .is_none_or(|asked| kernel.name.contains(asked))
    });
    for kernel in &kernels {
        let mut group = criterion.benchmark_group(&kernel.name);
        group.bench_function("kernel", |bencher| {
            bencher.iter(|| (kernel.work)().expect("it ran before"));
        });
        let matrices = kernel.shapes.iter();
        let matrices: Vec<_> = matrices
            .map(|&[a, b, c]| (random(a, b), random(b, c)))
            .collect();
        group.bench_function("plain", |bencher| {
            bencher.iter(|| {
                for (left, right) in &matrices {
                    std::hint::black_box(left.clone().matmul(right.clone()));
                }
            });
        });
        group.finish();
        let plain: usize = kernel.shapes.iter().map(|[a, b, c]| 2 * a * b * c).sum();
        let rate = kernel.flops / median(&folder, &kernel.name, "kernel")?;
        let peak = plain as f64 / median(&folder, &kernel.name, "plain")?;
        let share = 100.0 * rate / peak;
        table.push(format!(
            "| {} | {rate:.0} | {peak:.0} | {share:.0} % |",
            kernel.name
        ));
    }
    println!("{}", table.join("\n"));
    Ok(())
}

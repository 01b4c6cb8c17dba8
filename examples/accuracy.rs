//! The error of every method against the exact influences of its curvature, on handwritten digits.
//!
//! Prints a Markdown table for a softmax regression and a small network: the largest difference
//! from the direct solution, divided by the largest influence, for λ at a tenth and a hundredth of
//! the top eigenvalue. These are errors, not correlations: at 1 the values are useless.
//!
//! ```sh
//! cargo run --release --example accuracy
//! ```

#[path = "support/digits.rs"]
mod digits;

use std::{path::Path, sync::Arc};

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use influence::{
    Arnoldi, ArrayDataset, Calculator, Classification, Concatenate, ConjugateGradient, Curvature,
    Damping, Direct, Fit, Identity, Influence, InverseHarmonicMean, Kronecker, Lissa, Nystroem,
    Parallel, Precision, Task, backend::Stack, foundation::solver::Solver,
};
use ndarray::ArrayD;
use safetensors::SafeTensors;

use digits::{Digits, Outcome};

/// A linear layer with its weight as `(out, in)`.
#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    fn read(weights: &SafeTensors<'_>, name: &str) -> Outcome<Self> {
        let tensor = |part: &str| -> Outcome<TensorData> {
            let view = weights.tensor(&format!("{name}.{part}"))?;
            let bytes = view.data().chunks_exact(4);
            let number = |bytes: &[u8]| Ok(f32::from_le_bytes(bytes.try_into()?));
            let values: Vec<f32> = bytes.map(number).collect::<Outcome<_>>()?;
            Ok(TensorData::new(values, view.shape().to_vec()))
        };
        let device = Device::flex();
        Ok(Self {
            weight: Param::from_tensor(Tensor::from_data(tensor("weight")?, &device)),
            bias: Param::from_tensor(Tensor::from_data(tensor("bias")?, &device)),
        })
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// Softmax regression, or a network with a hidden layer.
#[derive(Module, Debug)]
struct Network {
    hidden: Option<Dense>,
    last: Dense,
}

impl Network {
    fn read(case: &str, layers: &[&str]) -> Outcome<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli");
        let bytes = std::fs::read(folder.join(case).join("model.safetensors"))?;
        let weights = SafeTensors::deserialize(&bytes)?;
        let mut layers = layers.iter().map(|name| Dense::read(&weights, name)).rev();
        let last = layers.next().ok_or("a last layer")??;
        Ok(Self {
            hidden: layers.next().transpose()?,
            last,
        })
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.hidden {
            None => self.last.forward(x),
            Some(hidden) => self.last.forward(hidden.forward(x).tanh()),
        }
    }
}

fn task() -> impl Task<Module = Network> {
    Classification::new(|model: &Network, x: Tensor<2>| model.forward(x))
}

/// A model with its data.
struct Problem {
    model: Network,
    train: Arc<ArrayDataset>,
    test: ArrayDataset,
}

/// A row of the table: a name, and how to fit it.
enum Row {
    Solver(&'static str, Arc<dyn Solver<Stack>>),
    Kronecker(&'static str, Kronecker),
    Preconditioned(&'static str, Lissa<Stack>, Kronecker),
}

impl Problem {
    fn fit(&self, curvature: Curvature, row: &Row) -> Outcome<Influence> {
        let fit = Fit::new(task())
            .with_curvature(curvature)
            .with_precision(Precision::F64);
        let fit = match row {
            Row::Solver(_, solver) => fit.with_solver(solver.clone()),
            Row::Kronecker(_, kronecker) => fit.with_kronecker(*kronecker),
            Row::Preconditioned(_, solver, kronecker) => {
                fit.with_preconditioned_solver(solver.clone(), *kronecker)
            }
        };
        Ok(fit.fit(&self.model, self.train.clone())?)
    }

    fn top_eigenvalue(&self, curvature: Curvature) -> Outcome<f64> {
        let row = Row::Solver("", Arc::new(Arnoldi::new(1)?));
        let influence = self.fit(curvature, &row)?;
        let (_, prepared) = influence.prepared().next().ok_or("a block")?;
        Ok(prepared.state()?.vector("values")?[0])
    }

    fn influences(&self, model: &Influence, damping: f64) -> Outcome<ArrayD<f64>> {
        let damped = model.with_damping(&Damping::from(damping))?;
        let calculator = Parallel::new(damped, None)?;
        let lazy = calculator.influences(&self.test, &*self.train);
        Ok(lazy.accepting_unsolved().compute(Concatenate::new())?)
    }

    /// Prints the rows of one curvature.
    fn compare(&self, name: &str, curvature: Curvature, rows: &[Row]) -> Outcome<()> {
        let top = self.top_eigenvalue(curvature)?;
        let direct = self.fit(curvature, &Row::Solver("direct", Arc::new(Direct)))?;
        let dampings = [0.1 * top, 0.01 * top];
        let exact = dampings.map(|damping| self.influences(&direct, damping));
        let [first, second] = exact;
        let exact = [first?, second?];
        for row in rows {
            let (Row::Solver(method, _)
            | Row::Kronecker(method, _)
            | Row::Preconditioned(method, ..)) = row;
            let model = self.fit(curvature, row)?;
            let mut errors = Vec::new();
            for (damping, exact) in dampings.iter().zip(&exact) {
                let mut got = self.influences(&model, *damping)?;
                if *method == "identity / λ" {
                    got.mapv_inplace(|score| score / damping);
                }
                errors.push(format!("{:.1e}", error(&got, exact)));
            }
            println!(
                "| {name} | {curvature} | {method} | {} |",
                errors.join(" | ")
            );
        }
        Ok(())
    }
}

/// The largest difference, divided by the largest value.
fn error(got: &ArrayD<f64>, exact: &ArrayD<f64>) -> f64 {
    let largest = |values: &ArrayD<f64>| {
        values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()))
    };
    largest(&(got - exact)) / largest(exact)
}

fn solvers() -> Outcome<Vec<Row>> {
    let sketch = Nystroem::new(64)?;
    let cg = ConjugateGradient::new().with_rtol(1e-8)?;
    let sketched = cg.clone().with_preconditioner(Arc::new(sketch));
    Ok(vec![
        Row::Solver("cg", Arc::new(cg)),
        Row::Solver("cg, preconditioner nystroem 64", Arc::new(sketched)),
        Row::Solver("arnoldi 16", Arc::new(Arnoldi::new(16)?)),
        Row::Solver("arnoldi 64", Arc::new(Arnoldi::new(64)?)),
        Row::Solver("arnoldi 256", Arc::new(Arnoldi::new(256)?)),
        Row::Solver(
            "arnoldi 64, no complement",
            Arc::new(Arnoldi::new(64)?.without_complement()),
        ),
        Row::Solver("nystroem 64", Arc::new(Nystroem::new(64)?)),
        Row::Solver("nystroem 256", Arc::new(Nystroem::new(256)?)),
        Row::Solver("nystroem 640", Arc::new(Nystroem::new(640)?)),
        Row::Solver("identity / λ", Arc::new(Identity)),
    ])
}

fn lissa() -> Outcome<Vec<Row>> {
    let short = Lissa::new().with_depth(300)?;
    let sketched = short
        .clone()
        .with_preconditioner(Arc::new(Nystroem::new(64)?));
    Ok(vec![
        Row::Solver(
            "lissa, 300 steps, preconditioner nystroem 64",
            Arc::new(sketched),
        ),
        Row::Preconditioned(
            "lissa, 300 steps, preconditioner ekfac",
            short,
            Kronecker::Ekfac,
        ),
        Row::Solver("lissa, 300 steps", Arc::new(Lissa::new().with_depth(300)?)),
        Row::Solver(
            "lissa, 3,000 steps",
            Arc::new(Lissa::new().with_depth(3000)?),
        ),
    ])
}

fn main() -> Outcome<()> {
    println!("| model | curvature | method | λ = top/10 | λ = top/100 |\n|---|---|---|---|---|");
    let train = Arc::new(Digits::read(0..1437)?.dataset()?);
    let test = Digits::read(1437..1467)?.dataset()?;
    for (name, layers) in [("softmax", &["fc"][..]), ("mlp", &["fc1", "fc2"])] {
        let problem = Problem {
            model: Network::read(name, layers)?,
            train: train.clone(),
            test: test.clone(),
        };
        for curvature in [
            Curvature::Hessian,
            Curvature::GaussNewton,
            Curvature::EmpiricalFisher,
        ] {
            problem.compare(name, curvature, &solvers()?)?;
        }
        let kronecker = [
            Row::Kronecker("kfac", Kronecker::Kfac),
            Row::Kronecker("ekfac", Kronecker::Ekfac),
        ];
        problem.compare(name, Curvature::GaussNewton, &kronecker)?;
        problem.compare(name, Curvature::GaussNewton, &lissa()?)?;
        let mean = [Row::Solver(
            "inverse-harmonic-mean",
            Arc::new(InverseHarmonicMean),
        )];
        problem.compare(name, Curvature::EmpiricalFisher, &mean)?;
    }
    Ok(())
}

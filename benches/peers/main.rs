//! One workload with one method, timed: this library's side of the comparison with others, which
//! `compare.py` runs.
//!
//! ```sh
//! cargo bench --bench peers -- W3 ekfac --data FOLDER
//! ```
//! Prints a line of JSON: seconds to fit and to score, and the peak of resident memory before and
//! after.

mod models;

use std::{
    collections::BTreeMap, error::Error, fs::File, io::BufReader, path::Path, sync::Arc,
    time::Instant,
};

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use influence::{
    Arnoldi, ArrayDataset, Calculator, Classification, Concatenate, ConjugateGradient, Curvature,
    Dataset, Direct, Fit, Identity, Influence, InfluenceModel, Jacobi, Kronecker, Lissa, Nystroem,
    OutputLoss, Outputs, Parallel, Sequential, Task, device,
};
use models::{Cnn, Perceptron, Transformer, Weights};
use ndarray::ArrayD;
use safetensors::SafeTensors;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is asked for on the command line: a workload, a method, and options.
struct Request {
    workload: String,
    method: String,
    options: BTreeMap<String, String>,
}

impl Request {
    fn parse() -> Outcome<Self> {
        let arguments: Vec<String> = std::env::args()
            .skip(1)
            .filter(|argument| argument != "--bench")
            .collect();
        let [workload, method, options @ ..] = arguments.as_slice() else {
            return Err("usage: WORKLOAD METHOD --data FOLDER [--OPTION VALUE ...]".into());
        };
        let option = |pair: &[String]| match pair {
            [name, value] if name.starts_with("--") => Ok((name[2..].to_owned(), value.clone())),
            other => Err(format!("an option with its value, not {other:?}")),
        };
        Ok(Self {
            workload: workload.clone(),
            method: method.clone(),
            options: options.chunks(2).map(option).collect::<Result<_, _>>()?,
        })
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Outcome<T>
    where
        T::Err: Error + 'static,
    {
        let given = self.options.get(name);
        Ok(given
            .map(|value| value.parse())
            .transpose()?
            .unwrap_or(otherwise))
    }

    fn folder(&self) -> Outcome<std::path::PathBuf> {
        let data = self.options.get("data").ok_or("--data FOLDER")?;
        Ok(Path::new(data).join(&self.workload))
    }

    /// The data of a side, cut to as many points as are asked for.
    fn side(&self, name: &str) -> Outcome<Arc<ArrayDataset>> {
        let folder = self.folder()?;
        let labels: Vec<i64> = read(&folder.join(format!("y_{name}.npy")))?.1;
        let n = self.number(name, labels.len())?.min(labels.len());
        let path = folder.join(format!("x_{name}.npy"));
        let inputs = if self.workload == "W6" {
            cut(read::<i64>(&path)?, n)
        } else {
            cut(read::<f32>(&path)?, n)
        };
        let labels = TensorData::new(labels[..n].to_vec(), [n]);
        Ok(Arc::new(ArrayDataset::new(vec![inputs, labels])?))
    }

    fn device(&self) -> &str {
        self.options.get("device").map_or("cpu", String::as_str)
    }

    /// The settings of the method.
    fn fit<T: Task>(&self, task: T) -> Outcome<Fit<T>> {
        let fit = Fit::new(task)
            .with_device(device::open(self.device())?)
            .with_damping(self.number("damping", 0.01)?)
            .with_tolerance(self.number("tolerance", 1e-4)?);
        let rank = self.number("rank", 10)?;
        let fisher = Curvature::Fisher {
            draws: self.number("draws", 1)?,
            seed: self.number("seed", 0)?,
        };
        Ok(match self.method.as_str() {
            "dot" => fit.with_solver(Identity),
            "direct" => fit.with_solver(Direct),
            "cg" => self.conjugate_gradients(fit, rank)?,
            "arnoldi" => fit.with_solver(Arnoldi::new(rank)?),
            "nystroem" => fit.with_solver(Nystroem::new(rank)?),
            "lissa" => fit.with_solver(Lissa::new()),
            "kfac" => fit.with_curvature(fisher).with_kronecker(Kronecker::Kfac),
            "ekfac" => fit.with_curvature(fisher).with_kronecker(Kronecker::Ekfac),
            other => return Err(format!("no method {other}").into()),
        })
    }

    /// Conjugate gradients with `--preconditioner none|jacobi|nystroem|kfac|ekfac`, of the Hessian
    /// or, with `--curvature gauss-newton`, the Gauss-Newton matrix.
    fn conjugate_gradients<T: Task>(&self, fit: Fit<T>, rank: usize) -> Outcome<Fit<T>> {
        let option = |name| self.options.get(name).map_or("", String::as_str);
        let fit = match option("curvature") {
            "gauss-newton" => fit.with_curvature(Curvature::GaussNewton),
            _ => fit,
        };
        let cg = ConjugateGradient::new().with_rtol(self.number("rtol", 1e-4)?)?;
        Ok(match option("preconditioner") {
            "jacobi" => fit.with_solver(cg.with_preconditioner(Arc::new(Jacobi::new(32, 0)?))),
            "nystroem" => fit.with_solver(cg.with_preconditioner(Arc::new(Nystroem::new(rank)?))),
            "kfac" => fit.with_preconditioned_solver(cg, Kronecker::Kfac),
            "ekfac" => fit.with_preconditioned_solver(cg, Kronecker::Ekfac),
            _ => fit.with_solver(cg),
        })
    }

    fn scores(
        &self,
        influence: Influence,
        test: &ArrayDataset,
        train: &ArrayDataset,
    ) -> Outcome<ArrayD<f64>> {
        match self.options.get("strategy").map(String::as_str) {
            Some("sequential") => scored(&Sequential::new(influence), test, train),
            _ => scored(&Parallel::new(influence, None)?, test, train),
        }
    }

    fn run<T: Task>(&self, task: impl Fn() -> T, module: &T::Module) -> Outcome<()> {
        let (train, test) = (self.side("train")?, self.side("test")?);
        for _ in 1..self.number("repeat", 1)? {
            let influence = self.fit(task())?.fit(module, train.clone())?;
            self.scores(influence, &test, &train)?;
        }
        let fit = self.fit(task())?;
        let before = peak_megabytes();
        let started = Instant::now();
        let influence = fit.fit(module, train.clone())?;
        let fit_seconds = started.elapsed().as_secs_f64();
        if self.options.contains_key("iterations") {
            println!("{}", serde_json::json!({ "fit_s": fit_seconds }));
            return iterations(&influence, &test, self.number("iterations", 64)?);
        }
        let started = Instant::now();
        let scores = self.scores(influence, &test, &train)?;
        let score_seconds = started.elapsed().as_secs_f64();
        println!(
            "{}",
            serde_json::json!({
                "library": "influence", "device": self.device(), "version": env!("CARGO_PKG_VERSION"),
                "workload": self.workload, "method": self.method, "train": train.len(), "test": test.len(),
                "fit_s": fit_seconds, "score_s": score_seconds,
                "peak_mb": peak_megabytes(), "import_mb": before,
            })
        );
        if let Some(path) = self.options.get("out") {
            write(Path::new(path), &scores)?;
        }
        Ok(())
    }
}

/// Prints the mean number of iterations with chunks of test points, and the seconds.
fn iterations(influence: &Influence, test: &ArrayDataset, chunk: usize) -> Outcome<()> {
    let (mut sum, started) = (0, Instant::now());
    for first in (0..test.len()).step_by(chunk) {
        let batch = test.batch(first..(first + chunk).min(test.len()))?;
        let reports = influence.factors(&batch)?.reports;
        sum += reports
            .iter()
            .map(|report| report.iterations)
            .sum::<usize>();
    }
    let seconds = started.elapsed().as_secs_f64();
    let mean = sum as f64 / test.len() as f64;
    println!(
        "{}",
        serde_json::json!({ "iterations": mean, "solve_s": seconds })
    );
    Ok(())
}

fn scored(
    calculator: &impl Calculator<Model = Influence>,
    test: &ArrayDataset,
    train: &ArrayDataset,
) -> Outcome<ArrayD<f64>> {
    Ok(calculator
        .influences(test, train)
        .compute(Concatenate::new())?)
}

/// Classification of token sequences; the ready-made tasks take float inputs.
struct Tokens;

impl Task for Tokens {
    type Module = Transformer;
    type Inputs = (Tensor<2, Int>, Tensor<1, Int>);

    fn loss(&self, model: &Transformer, (tokens, labels): Self::Inputs) -> Tensor<1> {
        log_softmax(model.forward(tokens), 1)
            .gather(1, labels.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }

    fn outputs(&self, model: &Transformer, (tokens, _): Self::Inputs) -> Option<Outputs> {
        let logits = model.forward(tokens);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

fn read<T: npyz::Deserialize>(path: &Path) -> Outcome<(Vec<usize>, Vec<T>)> {
    let file = npyz::NpyFile::new(BufReader::new(File::open(path)?))?;
    let sides = file.shape().iter().map(|&side| usize::try_from(side));
    Ok((sides.collect::<Result<_, _>>()?, file.into_vec()?))
}

/// The first `n` entries along the first axis.
fn cut<T: burn::tensor::Element>(
    (mut shape, mut values): (Vec<usize>, Vec<T>),
    n: usize,
) -> TensorData {
    let width: usize = shape[1..].iter().product();
    shape[0] = n;
    values.truncate(n * width);
    TensorData::new(values, shape)
}

fn write(path: &Path, scores: &ArrayD<f64>) -> Outcome<()> {
    use npyz::WriterBuilder;
    let shape: Vec<u64> = scores.shape().iter().map(|&side| side as u64).collect();
    let options = npyz::WriteOptions::new().default_dtype().shape(&shape);
    let mut writer = options
        .writer(std::io::BufWriter::new(File::create(path)?))
        .begin_nd()?;
    writer.extend(scores.iter().copied())?;
    Ok(writer.finish()?)
}

/// The peak of resident memory so far; zero where the system does not tell.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

fn main() -> Outcome<()> {
    let request = Request::parse()?;
    let bytes = std::fs::read(request.folder()?.join("model.safetensors"))?;
    let weights = Weights(SafeTensors::deserialize(&bytes)?);
    match request.workload.as_str() {
        "W1" => {
            let task = || Classification::new(|model: &Perceptron, x: Tensor<2>| model.tanh(x));
            request.run(task, &Perceptron::read(&weights, 1)?)
        }
        "W2" => {
            let task = || Classification::new(|model: &Perceptron, x: Tensor<2>| model.tanh(x));
            request.run(task, &Perceptron::read(&weights, 3)?)
        }
        "W3" | "W4" => {
            let task = || Classification::new(|model: &Perceptron, x: Tensor<2>| model.relu(x));
            request.run(task, &Perceptron::read(&weights, 3)?)
        }
        "W5" => {
            let task = || Classification::new(|model: &Cnn, x: Tensor<4>| model.forward(x));
            request.run(task, &Cnn::read(&weights)?)
        }
        "W6" => request.run(|| Tokens, &Transformer::read(&weights)?),
        other => Err(format!("no workload {other}").into()),
    }
}

//! A run, checked as a whole before anything is computed or written.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, Device};
use influence_backend_burn::device;
use influence_calculators::{Error, Prefetch};
use influence_core::{
    Dataset, Precision,
    block::{Block, ParameterLayout},
};
use serde_json::{Map, Value, json};

use crate::{
    config::{Blocks, Config, DampingValue, Files, Loss, Method},
    data::{Samples, Source},
    digest,
    model::{Architecture, Sequential},
    output::{is_url, location},
    run::zarr_options,
    weights::Weights,
};

/// What becomes of an output that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays, and the run is refused.
    #[default]
    Refuse,
    /// It is replaced.
    Overwrite,
    /// It is completed: chunks that it holds are not computed again.
    Resume,
}

/// Everything a run needs; whatever could be known to fail has been checked.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub config: Config,
    /// What becomes of an output that is already there.
    pub existing: Existing,
    /// The device that computes.
    pub device: Device,
    /// The model, with its weights.
    pub model: Sequential,
    /// The checkpoints of its training, with their learning rates, if the method asks for them.
    pub checkpoints: Vec<(f64, Sequential)>,
    /// The number of parameters.
    pub dim: usize,
    /// The number of parameters in each block of the curvature.
    pub blocks: Vec<usize>,
    /// The shape of one input.
    pub sample_shape: Vec<usize>,
    /// The training points, read ahead.
    pub train: Arc<Prefetch<Samples>>,
    /// The test points, read ahead.
    pub test: Arc<Prefetch<Samples>>,
}

impl Plan {
    /// Checks a configuration against the files it names.
    ///
    /// # Errors
    /// The first thing that does not fit, with its key or file.
    pub fn new(config: Config, existing: Existing) -> Result<Self> {
        check_output(&config.output.path, existing).context("output.path")?;
        let plan = Self::of_inputs(config)?;
        Ok(Self { existing, ..plan })
    }

    /// Checks a configuration but for its output.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_inputs(config: Config) -> Result<Self> {
        let precision = config.precision.into();
        let device = open_device(&config.device, precision)?;
        let weights = Weights::read(&config.model.weights, precision).context("model.weights")?;
        let train = Source::open(&config.data.train).context("data.train")?;
        let test = Source::open(&config.data.test).context("data.test")?;
        let shape = train.sample_shape();
        ensure!(
            test.sample_shape() == shape,
            "data.test: samples have shape {:?} in {}, but {shape:?} in {}",
            test.sample_shape(),
            config.data.test.inputs,
            config.data.train.inputs
        );
        let architecture =
            Architecture::plan(&config.model.layers.0, &weights, &shape).context("model.layers")?;
        let blocks = check_blocks(&config.method, &architecture.layout())?;
        let outputs = architecture.outputs();
        let classes_missing = config.model.loss == Loss::CrossEntropy && outputs < 2;
        ensure!(
            !classes_missing,
            "model.loss: cross-entropy needs at least 2 outputs, the model has {outputs}"
        );
        let train = train
            .check(config.model.loss, outputs, precision)
            .context("data.train")?;
        let test = test
            .check(config.model.loss, outputs, precision)
            .context("data.test")?;
        let model = architecture.build(&weights, &device)?;
        let mut checkpoints = Vec::new();
        for checkpoint in config.method.checkpoints.iter().flatten() {
            let weights = Weights::read(&checkpoint.weights, precision)
                .and_then(|weights| {
                    Architecture::plan(&config.model.layers.0, &weights, &shape)?;
                    architecture.build(&weights, &device)
                })
                .context("method.checkpoints")?;
            checkpoints.push((checkpoint.learning_rate, weights));
        }
        Ok(Self {
            config,
            existing: Existing::Refuse,
            device,
            dim: architecture.layout().dim(),
            blocks,
            sample_shape: shape,
            model,
            checkpoints,
            train: Arc::new(Prefetch::new(train)?),
            test: Arc::new(Prefetch::new(test)?),
        })
    }

    /// What the output says about how it was made.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn attributes(&self) -> Result<Map<String, Value>> {
        let Config {
            seed,
            device,
            precision,
            model,
            data,
            method,
            ..
        } = &self.config;
        let mut attributes = Map::new();
        let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
        put("version", json!(env!("CARGO_PKG_VERSION")));
        put("method", json!(method.name));
        put("curvature", json!(method.curvature_name()));
        put("damping", json!(method.damping));
        put("blocks", json!(method.blocks));
        put("solver", json!(solver_settings(method)?));
        put("mode", json!(self.config.compute.mode));
        put("loss", json!(model.loss));
        put("precision", json!(precision));
        put("device", json!(device));
        put("seed", json!(seed));
        let digests = |files: &Files| -> Result<Value> {
            Ok(
                json!({ "inputs": digest::of_path(&files.inputs.path)?, "targets": digest::of_path(&files.targets.path)? }),
            )
        };
        let checkpoints = method.checkpoints.iter().flatten();
        let checkpoints = checkpoints.map(|checkpoint| digest::of_file(&checkpoint.weights));
        put(
            "digests",
            json!({
                "weights": digest::of_file(&model.weights)?,
                "checkpoints": checkpoints.collect::<Result<Vec<_>>>()?,
                "train": digests(&data.train)?,
                "test": digests(&data.test)?
            }),
        );
        Ok(attributes)
    }

    /// What is needed to compute chunks of the output again; another run may say it otherwise.
    ///
    /// # Errors
    /// None that can be met: TOML is JSON, but for dates, which no key takes.
    pub fn origin(&self) -> Result<Value> {
        Ok(serde_json::to_value(&self.config.origin)?)
    }

    /// The shape of the output.
    pub fn shape(&self) -> [usize; 2] {
        [self.test.len(), self.train.len()]
    }
}

/// Refuses a place that is taken, unless an output of this program is to be replaced or completed.
///
/// # Errors
/// When the place is taken or cannot be written to, or the folder that is to hold it does not exist.
pub fn check_output(path: &Path, existing: Existing) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    ensure!(
        is_url(path) || folder.is_dir(),
        "the folder {} does not exist",
        folder.display()
    );
    match location(path)?.check(&zarr_options(Map::new(), existing)) {
        Err(Error::Exists { path }) => {
            bail!(
                "{path} exists; go on with it by --resume, replace it by --overwrite, or choose another path"
            )
        }
        outcome => Ok(outcome?),
    }
}

fn open_device(name: &str, precision: Precision) -> Result<Device> {
    let device = device::open(name).context("device")?;
    let fits = precision == Precision::F32 || device.supports_dtype(DType::F64);
    ensure!(
        fits,
        "precision: the device {name} has no f64; use f32, or the device cpu"
    );
    Ok(device)
}

/// The settings of the solver that are given; what has a key of its own, and files, left out.
fn solver_settings(method: &Method) -> Result<Value> {
    const ELSEWHERE: [&str; 5] = ["name", "curvature", "damping", "blocks", "checkpoints"];
    let mut settings = serde_json::to_value(method)?;
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, value| !value.is_null() && !ELSEWHERE.contains(&key.as_str()));
        let checkpoints = method.checkpoints.iter().flatten();
        let rates: Vec<f64> = checkpoints
            .map(|checkpoint| checkpoint.learning_rate)
            .collect();
        if !rates.is_empty() {
            settings.insert("learning_rates".into(), json!(rates));
        }
    }
    Ok(settings)
}

/// Checks that blocks and dampings fit the parameters; gives the number of parameters in each block.
fn check_blocks(method: &Method, layout: &ParameterLayout) -> Result<Vec<usize>> {
    let key = match method.blocks {
        Some(Blocks::Custom(_)) => "method.blocks",
        _ => "model.layers",
    };
    let blocks = method.blocks().resolve(layout).context(key)?;
    let all: Vec<&Block> = blocks.iter().collect();
    let sweep = method.sweep.iter().flatten().map(DampingValue::structure);
    for damping in sweep.chain([method.damping()]) {
        damping.resolve(&all).context("method.damping")?;
    }
    Ok(blocks.iter().map(Block::dim).collect())
}

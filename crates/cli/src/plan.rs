//! A run, checked as a whole before anything is computed or written.

use std::{num::NonZero, sync::Arc};

use anyhow::{Context, Result, ensure};
use burn::tensor::{DType, Device};
use influence_backend_burn::device;
use influence_calculators::{Prefetch, share_threads};
use influence_core::{
    Dataset, Precision,
    block::{Block, ParameterLayout},
};
use influence_data::{ArrayPath, Files, Samples, Target, class_names};
use serde_json::{Map, Value, json};

use crate::{
    config::{Blocks, Config, Method},
    digest,
    output::Existing,
    progress::Progress,
    session::Session,
    subject::{Models, Subject},
};

/// Everything a run needs; whatever could be known to fail has been checked.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub config: Config,
    /// What becomes of an output that is already there.
    pub existing: Existing,
    /// The device that computes.
    pub device: Device,
    /// The model, with its weights and its loss.
    pub subject: Box<dyn Subject>,
    /// The checkpoints of its training, with their learning rates, if the method asks for them.
    pub checkpoints: Vec<(f64, Box<dyn Subject>)>,
    /// What targets are.
    pub target: Target,
    /// What classes are called, if they have names.
    pub classes: Option<Vec<String>>,
    /// The number of parameters.
    pub dim: usize,
    /// The number of parameters in each block of the curvature.
    pub blocks: Vec<usize>,
    /// The shape of one input.
    pub sample_shape: Vec<usize>,
    /// The training points, read ahead.
    pub train: Arc<Prefetch<Samples>>,
    /// Who watches the fit.
    pub observer: Option<Arc<Progress>>,
    /// The test points, read ahead; the training points where the configuration names no others.
    pub test: Arc<Prefetch<Samples>>,
    /// What whoever computes with it should know of the files, in sentences.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Claims the place of the output for the session, and checks a configuration against the files it names.
    ///
    /// # Errors
    /// The first thing that does not fit, with its key or file.
    pub fn new(
        config: Config,
        existing: Existing,
        models: &dyn Models,
        session: &Session,
    ) -> Result<Self> {
        let claimed = session.claim(&config.output.path, existing);
        claimed
            .context("output.path")
            .map_err(|error| config.places.located(error))?;
        let plan = Self::of_inputs(config, models)?;
        Ok(Self {
            existing,
            observer: Some(session.observer()),
            ..plan
        })
    }

    /// Checks a configuration but for its output.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_inputs(config: Config, models: &dyn Models) -> Result<Self> {
        let places = config.places.clone();
        Self::checked(config, models).map_err(|error| places.located(error))
    }

    fn checked(config: Config, models: &dyn Models) -> Result<Self> {
        let Ground {
            device,
            subject,
            shape,
            target,
            train,
            test,
            remarks,
        } = Ground::new(&config, |shape, device| {
            models.open(&config, &config.model.weights, shape, device)
        })?;
        let checkpoints = config.method.checkpoints.iter().flatten();
        let checkpoints = checkpoints.map(|checkpoint| {
            let subject = models.open(&config, &checkpoint.weights, &shape, &device);
            let subject = subject.context("method.checkpoints")?;
            Ok((checkpoint.learning_rate, subject))
        });
        Ok(Self {
            existing: Existing::Refuse,
            observer: None,
            blocks: check_blocks(&config.method, subject.layout())?,
            checkpoints: checkpoints.collect::<Result<_>>()?,
            classes: class_names(&config.data, target, &train)?,
            device,
            dim: subject.layout().dim(),
            sample_shape: shape,
            subject,
            target,
            train: Arc::new(Prefetch::new(train)?),
            test: Arc::new(Prefetch::new(test)?),
            remarks,
            config,
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
        put(
            "damping",
            match &method.sweep {
                Some(dampings) => json!(dampings),
                None => json!(method.damping),
            },
        );
        put("blocks", json!(method.blocks));
        put("solver", json!(solver_settings(method)?));
        put("mode", json!(self.config.compute.mode));
        put("loss", json!(model.loss));
        put("precision", json!(precision));
        put("device", json!(device));
        put("seed", json!(seed));
        if let Some(split) = data.split {
            put("split", json!(split));
        }
        if let Some(scale) = &data.scale {
            put("scale", json!(scale));
        }
        let checkpoints = method.checkpoints.iter().flatten();
        let checkpoints =
            checkpoints.map(|checkpoint| Ok(json!(digest::of_file(&checkpoint.weights)?)));
        let mut of_files = Map::new();
        of_files.insert("weights".into(), json!(digest::of_file(&model.weights)?));
        of_files.insert("checkpoints".into(), checkpoints.collect::<Result<_>>()?);
        let sets = [
            ("train", &data.train),
            ("test", &data.test),
            ("all", &data.all),
        ];
        for (name, files) in sets {
            if let Some(files) = files {
                of_files.insert(name.into(), digests(files)?.into());
            }
        }
        put("digests", of_files.into());
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

/// A model and the points on both sides, which fit each other.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) device: Device,
    pub(crate) subject: Box<dyn Subject>,
    pub(crate) shape: Vec<usize>,
    pub(crate) target: Target,
    pub(crate) train: Samples,
    pub(crate) test: Samples,
    pub(crate) remarks: Vec<String>,
}

impl Ground {
    /// With a model that is not trained.
    pub(crate) fn untrained(config: &Config, models: &dyn Models) -> Result<Self> {
        Self::new(config, |shape, device| {
            models.initial(config, shape, device)
        })
    }

    /// With a model made for inputs of a shape on a device.
    fn new(
        config: &Config,
        model: impl FnOnce(&[usize], &Device) -> Result<Box<dyn Subject>>,
    ) -> Result<Self> {
        if let Some(threads) = config.compute.threads.and_then(NonZero::new) {
            share_threads(threads);
        }
        let precision = config.precision.into();
        let device = open_device(&config.device, precision)?;
        let [train, test] = influence_data::open(&config.data)?;
        let mut remarks = [train.remarks(), test.remarks()].concat();
        remarks.dedup();
        let shape = train.sample_shape();
        let subject = model(&shape, &device)?;
        let forms = subject.forms();
        let [train_key, test_key] = config.data.keys();
        let train = train.in_form(&forms, precision).context(train_key)?;
        let test = test.in_form(&forms, precision).context(test_key)?;
        if let Some(entries) = subject.needs().entries {
            train.check_entries(entries).context(train_key)?;
            test.check_entries(entries).context(test_key)?;
        }
        let target = subject.target(&train.batch(0..1)?)?;
        train.check(target).context(train_key)?;
        test.check(target).context(test_key)?;
        Ok(Self {
            device,
            subject,
            shape,
            target,
            train,
            test,
            remarks,
        })
    }
}

/// The digests of the files of a data set.
fn digests(files: &Files) -> Result<Map<String, Value>> {
    let Files {
        inputs,
        targets,
        ids,
        subset,
    } = files;
    let named = [
        ("inputs", Some(inputs)),
        ("targets", Some(targets)),
        ("ids", ids.as_ref()),
        ("subset", subset.as_ref()),
    ];
    let given = named
        .into_iter()
        .filter_map(|(name, array)| Some((name, array?)));
    let digest = |(name, array): (&str, &ArrayPath)| {
        Ok((name.to_owned(), json!(digest::of_path(&array.path)?)))
    };
    given.map(digest).collect()
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
    let key = match method.damping_by_parameter {
        Some(_) => "method.damping_by_parameter",
        None => "method.damping",
    };
    let sweep = method.dampings().unwrap_or_default().into_iter();
    for damping in sweep.map(|(_, damping)| damping).chain([method.damping()]) {
        damping.resolve(&all).context(key)?;
    }
    Ok(blocks.iter().map(Block::dim).collect())
}

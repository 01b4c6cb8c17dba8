//! A run, checked as a whole before anything is computed or written.

mod attributes;

use std::sync::Arc;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use influence_backend_burn::FitObserver;
use influence_calculators::Prefetch;
use influence_core::{
    Dataset,
    block::{Block, BlockStructure, ParameterLayout},
};
use influence_data::{
    Samples, Target, class_names,
    key::{AtKey, KeyError, KeyPath},
};

use crate::{
    config::{Config, Method, Mode, Model},
    fit_settings::FitSettings,
    models::{Models, TaskModel},
    output::Existing,
    setup::Setup,
    watch::{Host, Watch},
};

/// Everything a run needs; whatever could be known to fail has been checked.
#[derive(Debug)]
pub struct Job {
    /// The configuration.
    pub config: Config,
    /// What happens to an existing output.
    pub existing: Existing,
    /// The device that computes.
    pub device: Device,
    /// The model, with its weights and its loss.
    pub model: Box<dyn TaskModel>,
    /// The checkpoints of its training, with their learning rates, if the method asks for them.
    pub checkpoints: Vec<(f64, Box<dyn TaskModel>)>,
    /// What targets are.
    pub target: Target,
    /// What classes are called, if they have names.
    pub classes: Option<Vec<String>>,
    /// The number of parameters.
    pub dim: usize,
    /// The number of parameters in each block of the curvature.
    pub blocks: Vec<usize>,
    /// The shape of one sample: that of its input, or how many numbers its inputs have together.
    pub sample_shape: Vec<usize>,
    /// The training points, read ahead.
    pub train: Arc<Prefetch<Samples>>,
    /// Who watches the fit.
    pub observer: Option<Arc<dyn Watch>>,
    /// The test points, read ahead; the training points where the configuration names no others.
    pub test: Arc<Prefetch<Samples>>,
    /// What whoever computes with it should know of the files, in sentences.
    pub remarks: Vec<String>,
}

impl Job {
    /// Claims the place of the output with the host, and checks a configuration against the files
    /// that it names.
    ///
    /// # Errors
    /// The first thing that does not fit, with its key or file.
    pub fn new(
        config: Config,
        existing: Existing,
        models: &dyn Models,
        host: &dyn Host,
    ) -> Result<Self> {
        let claimed = host.claim(&config.output.path, existing);
        claimed
            .at_key("output.path")
            .map_err(|error| config.places.located(error))?;
        let job = Self::of_inputs(config, models)?;
        Ok(Self { existing, ..job }.watched_by(host.watch()))
    }

    /// With fits that are watched.
    #[must_use]
    pub fn watched_by(self, watch: Arc<dyn Watch>) -> Self {
        Self {
            observer: Some(watch),
            ..self
        }
    }

    /// How influence models are fitted, with the memory that is available now.
    ///
    /// # Errors
    /// When the configuration has no method.
    pub fn fit_settings(&self) -> Result<FitSettings> {
        let observer = self.observer.clone();
        let observer = observer.map(|watch| watch as Arc<dyn FitObserver>);
        FitSettings::new(&self.config, &self.device, observer)
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
        let Setup {
            device,
            model,
            shape,
            inputs,
            target,
            train,
            test,
            remarks,
        } = Setup::new(&config, |inputs, device| {
            models.open(&config, config.model.weights.as_deref(), inputs, device)
        })?;
        ensure!(
            config.compute.mode != Mode::Perturbation || inputs.len() == 1,
            KeyError::new(
                "compute.mode",
                format_args!(
                    "the mode perturbation is for models with one input, the data have {}",
                    inputs.len()
                )
            )
        );
        let method = config.method()?;
        ensure!(
            config.compute.mode == Mode::Up || !method.leverage(),
            KeyError::new(
                "compute.mode",
                "with method.leverage influences are computed; use up"
            )
        );
        let checkpoints = method.checkpoints().iter();
        let checkpoints = checkpoints.enumerate().map(|(index, checkpoint)| {
            let model = models.open(&config, Some(&checkpoint.weights), &inputs, &device);
            let file = KeyPath::from(index).key("weights");
            let model = model.at_unsaid_key(file).at_key("method.checkpoints")?;
            Ok((checkpoint.learning_rate, model))
        });
        Ok(Self {
            existing: Existing::Refuse,
            observer: None,
            blocks: check_blocks(method, &config.model, model.layout())?,
            checkpoints: checkpoints.collect::<Result<_>>()?,
            classes: class_names(&config.data, target, &train)?,
            device,
            dim: model.layout().dim(),
            sample_shape: shape,
            model,
            target,
            train: Arc::new(Prefetch::new(train)?),
            test: Arc::new(Prefetch::new(test)?),
            remarks,
            config,
        })
    }

    /// The shape of the output.
    pub fn shape(&self) -> [usize; 2] {
        [self.test.len(), self.train.len()]
    }
}

/// Checks that blocks and dampings fit the parameters; gives the number of parameters in each
/// block.
fn check_blocks(method: &Method, model: &Model, layout: &ParameterLayout) -> Result<Vec<usize>> {
    let blocks = method.blocks();
    let key = match blocks {
        BlockStructure::Custom(_) => "method.blocks",
        _ if model.onnx.is_some() => "model.onnx",
        _ => "model.layers",
    };
    let blocks = blocks.resolve(layout).at_key(key)?;
    let all: Vec<&Block> = blocks.iter().collect();
    let key = match method.damping_by_parameter() {
        Some(_) => "method.damping_by_parameter",
        None => "method.damping",
    };
    for damping in method.dampings() {
        damping.resolve(&all).at_key(key)?;
    }
    Ok(blocks.iter().map(Block::dim).collect())
}

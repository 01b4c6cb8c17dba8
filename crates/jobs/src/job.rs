//! A run, checked as a whole before anything is computed or written.

mod attributes;
mod choice;

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail, ensure};
use burn::tensor::Device;
use influence_backend_burn::{Batch, FitObserver};
use influence_calculators::{Prefetch, SampleSource};
use influence_core::{
    Dataset,
    block::{Block, BlockStructure, ParameterLayout},
};
use influence_data::{
    Samples, Target, class_names,
    key::{AtKey, KeyError, KeyPath},
};
use ndarray::Array1;

use crate::{
    config::{Config, Method, Mode, Model, Optimiser},
    fit_settings::FitSettings,
    groups::{self, PointGroups},
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
    /// The model, with its weights and its loss; of an ensemble the first one.
    pub model: Box<dyn TaskModel>,
    /// The other models of an ensemble, if there is one.
    pub others: Vec<Box<dyn TaskModel>>,
    /// The models before their training, one for each, if the method follows the training.
    pub untrained: Vec<Box<dyn TaskModel>>,
    /// The checkpoints of its training, with their learning rates, if the method asks for them.
    pub checkpoints: Vec<(f64, Box<dyn TaskModel>)>,
    /// The second moments of its gradients in the training, if the method asks for them.
    pub second_moments: Option<Arc<Array1<f64>>>,
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
    /// Groups of the test points, each of which is a row, if there are some.
    pub test_groups: Option<PointGroups>,
    /// Groups of the training points, each of which is a column, if there are some.
    pub train_groups: Option<PointGroups>,
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
        let settings = FitSettings::new(&self.config, &self.device, observer)?;
        Ok(settings.with_second_moments(self.second_moments.clone()))
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
        check_unrolled(&config)?;
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
            models.open(&config, config.model.members()[0], inputs, device)
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
            config.compute.mode == Mode::Up || !(method.leverage() || method.relative().is_some()),
            KeyError::new(
                "compute.mode",
                "with method.leverage and method.relative influences are computed; use up"
            )
        );
        check_ensemble(&config)?;
        let untrained = if method.unrolls() {
            (0..config.model.members().len())
                .map(|place| models.initial(&config, config.member_seed(place), &inputs, &device))
                .collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        let others = config.model.members().into_iter().enumerate().skip(1);
        let others = others.map(|(place, weights)| {
            let other = models.open(&config, weights, &inputs, &device)?;
            check_same(model.layout(), other.layout())
                .at_key(KeyPath::from("model.weights").index(place))?;
            Ok(other)
        });
        let checkpoints = method.checkpoints().iter();
        let checkpoints = checkpoints.enumerate().map(|(index, checkpoint)| {
            let model = models.open(&config, Some(&checkpoint.weights), &inputs, &device);
            let file = KeyPath::from(index).key("weights");
            let model = model.at_unsaid_key(file).at_key("method.checkpoints")?;
            Ok((checkpoint.learning_rate, model))
        });
        let second_moments = method.second_moments().map(|file| {
            // The file of the weights may hold more, this one holds nothing else.
            let mut config = config.clone();
            config.model.state = None;
            let moments = models.open(&config, Some(file), &inputs, &device);
            let moments = moments.and_then(|moments| second_moments(&*model, &*moments));
            moments.at_key("method.second_moments")
        });
        let classes = class_names(&config.data, target, &train)?;
        let names = classes.as_deref();
        let [test_groups, train_groups] = PointGroups::of_sides(&config, [&test, &train], names)?;
        let outputs = match target {
            Target::Class { classes } => classes,
            _ => 0,
        };
        let sides = [test_groups.as_ref(), train_groups.as_ref()];
        let of_groups = groups::remark(&config, sides, outputs, names);
        let job = Self {
            existing: Existing::Refuse,
            observer: None,
            test_groups,
            train_groups,
            untrained,
            others: others.collect::<Result<_>>()?,
            blocks: Vec::new(),
            checkpoints: checkpoints.collect::<Result<_>>()?,
            second_moments: second_moments.transpose()?,
            classes,
            device,
            dim: model.layout().dim(),
            sample_shape: shape,
            model,
            target,
            train: Arc::new(Prefetch::new(train)?),
            test: Arc::new(Prefetch::new(test)?),
            remarks: remarks
                .into_iter()
                .chain(of_ensemble(&config))
                .chain(of_groups)
                .collect(),
            config,
        };
        job.with_chosen_method()?.with_blocks()
    }

    /// With the sizes of the blocks, which fit the parameters, and so do the dampings.
    fn with_blocks(mut self) -> Result<Self> {
        let (method, layout) = (self.config.method()?, self.model.layout());
        self.blocks = check_blocks(method, &self.config.model, layout)?;
        Ok(self)
    }

    /// How many models there are: several in an ensemble.
    pub fn members(&self) -> usize {
        1 + self.others.len()
    }

    /// One of the models, by its place in the list of weights.
    pub(crate) fn member(&self, place: usize) -> &dyn TaskModel {
        match place.checked_sub(1) {
            None => &*self.model,
            Some(other) => &*self.others[other],
        }
    }

    /// The shape of the output: test by training points, or groups of them.
    pub fn shape(&self) -> [usize; 2] {
        [self.test_source().len(), self.train_source().len()]
    }

    /// How many test and training points there are, in groups or not.
    pub fn points(&self) -> [usize; 2] {
        [self.test.len(), self.train.len()]
    }

    /// The rows of influences: test points, or groups of them.
    pub fn test_source(&self) -> SampleSource<'_, Batch> {
        groups::source(&self.test, self.test_groups.as_ref())
    }

    /// The columns of influences: training points, or groups of them.
    pub fn train_source(&self) -> SampleSource<'_, Batch> {
        groups::source(&self.train, self.train_groups.as_ref())
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

/// The second moments of the parameters of a model, read as if they were parameters themselves.
fn second_moments(model: &dyn TaskModel, moments: &dyn TaskModel) -> Result<Arc<Array1<f64>>> {
    check_same(model.layout(), moments.layout())?;
    let values = moments.parameters();
    let wrong = values
        .iter()
        .find(|value| !(value.is_finite() && **value >= 0.0));
    match wrong {
        None => Ok(Arc::new(values.into())),
        Some(value) => bail!(
            "holds {value:e}, and means of squares are finite and not negative; are these the weights themselves?"
        ),
    }
}

/// Refuses an ensemble for a method that has files of its own for one model.
fn check_ensemble(config: &Config) -> Result<()> {
    let method = config.method()?;
    let own = if !method.checkpoints().is_empty() {
        "method.checkpoints names models of its own"
    } else if method.second_moments().is_some() {
        "method.second_moments are those of one training"
    } else {
        return Ok(());
    };
    ensure!(
        config.model.members().len() == 1,
        KeyError::new(
            "model.weights",
            format_args!("is a list, and {own}; leave one of them out")
        )
    );
    Ok(())
}

/// Refuses a file whose parameters are not those of the model, or of the first of an ensemble.
fn check_same(first: &ParameterLayout, other: &ParameterLayout) -> Result<()> {
    let pairs = first.parameters().iter().zip(other.parameters());
    let differing = pairs.into_iter().find(|(own, other)| own != other);
    if let Some((own, other)) = differing {
        bail!(
            "parameter `{}` of shape {:?} stands where the first model has `{}` of shape {:?}; only its numbers may be others",
            other.name,
            other.shape,
            own.name,
            own.shape
        );
    }
    let [own, others] = [first, other].map(|layout| layout.parameters().len());
    ensure!(
        own == others,
        "has {others} parameters, the first model {own}"
    );
    Ok(())
}

/// What is said of an ensemble.
fn of_ensemble(config: &Config) -> Option<String> {
    let files = config
        .model
        .weights
        .as_ref()
        .filter(|files| files.is_ensemble())?;
    Some(format!(
        "influences are the mean of those of {} models; losses, predictions and accuracies are those of the first, {}",
        files.all().len(),
        files.first().display()
    ))
}

/// Refuses what cannot be computed of a training that is followed, and weights that are not there.
fn check_unrolled(config: &Config) -> Result<()> {
    let method = config.method()?;
    if !method.unrolls() {
        return Ok(());
    }
    let name = method.name().as_str();
    ensure!(
        config.compute.mode == Mode::Up,
        KeyError::new(
            "compute.mode",
            format_args!("{name} gives influences alone, without blocks and inputs; use up")
        )
    );
    ensure!(
        method.segments().is_none() || config.train.optimiser == Optimiser::Sgd,
        KeyError::new(
            "train.optimiser",
            format_args!(
                "{name} follows gradient descent, with or without momentum, and the training is by adam; take the method magic, which follows adam too, or train the model with \"sgd\""
            )
        )
    );
    for weights in config.model.members() {
        ensure!(
            weights.is_some_and(Path::exists),
            KeyError::new(
                "model.weights",
                format_args!(
                    "{}; {name} is about the model that [train] makes: run `influence train`, which writes it",
                    weights.map_or("missing".to_owned(), |path| format!(
                        "{} does not exist",
                        path.display()
                    ))
                )
            )
        );
    }
    Ok(())
}

//! Training the model of a configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, ensure};
use influence_core::Dataset;
use influence_data::{
    Samples,
    key::{AtKey, KeyError},
};

use crate::{
    assessment::{Assessment, Origin, PointSet},
    config::{Config, Training},
    models::{Course, Models, TaskModel},
    output::check_file,
    setup::Setup,
    watch::{Stage, Watch},
};

/// How the files of weights end.
const ENDING: &str = "safetensors";

/// A model that is to be trained, or those of an ensemble, and the points on both sides.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a Config,
    setup: Setup,
    /// The other models of an ensemble.
    others: Vec<Box<dyn TaskModel>>,
}

/// A training that has ended, its weights written.
#[derive(Debug)]
pub struct Trained {
    /// Where its weights are.
    pub weights: PathBuf,
    /// The number of parameters.
    pub parameters: usize,
    /// The mean training loss in the last epoch.
    pub loss: f64,
    /// How good the trained model is.
    pub assessment: Assessment,
}

impl<'a> Trainer<'a> {
    /// Checks that the weights of a configuration can be written, and opens its data; weights that
    /// are there are replaced if `overwrite` is set.
    ///
    /// # Errors
    /// When weights are in the way, or the configuration does not describe a model that can be
    /// trained.
    pub fn new(config: &'a Config, models: &dyn Models, overwrite: bool) -> Result<Self> {
        let located = |error| config.places.located(error);
        let weights = config.model.weights().map_err(Error::from);
        let weights = weights.map_err(located)?;
        for weights in weights.all() {
            check_places(weights, &config.train, overwrite)
                .at_key("model.weights")
                .map_err(located)?;
        }
        let setup = Setup::untrained(config, models).map_err(located)?;
        let others = (1..weights.all().len()).map(|place| {
            let seed = config.member_seed(place);
            models.initial(config, seed, &setup.inputs, &setup.device)
        });
        Ok(Self {
            others: others.collect::<Result<_>>().map_err(located)?,
            config,
            setup,
        })
    }

    /// What should be known of the files, in sentences.
    pub fn remarks(&self) -> &[String] {
        &self.setup.remarks
    }

    /// Trains the model, or the models of an ensemble one after another, each from a seed that
    /// follows that of the one before; writes weights and checkpoints, and assesses the models.
    ///
    /// # Errors
    /// When a batch is too small for the model, the training fails, or a file cannot be written.
    pub fn train(self, watch: &dyn Watch) -> Result<Vec<Trained>> {
        let Self {
            config,
            setup,
            others,
        } = self;
        let sides = [&setup.train, &setup.test];
        check_batches(config, setup.train.len(), setup.model.needs().batch)
            .map_err(|error| config.places.located(error))?;
        let models = std::iter::once(setup.model).chain(others);
        let files = config.model.weights()?.all().iter().enumerate();
        let trained = models.zip(files).map(|(model, (place, weights))| {
            watch.stage(Stage::Train);
            let seed = config.member_seed(place);
            trained(config, (&*model, seed), sides, weights, watch)
        });
        trained.collect()
    }
}

/// Trains a model on the training points, the first of the sides.
fn trained(
    config: &Config,
    (model, seed): (&dyn TaskModel, u64),
    [train, test]: [&Samples; 2],
    weights: &Path,
    watch: &dyn Watch,
) -> Result<Trained> {
    let settings = &config.train;
    let mut last = 0.0;
    let course = Course {
        settings,
        seed,
        points: train,
        weights: None,
    };
    let model = model.trained(&course, &mut |number, loss, save| {
        last = loss;
        watch.epoch(number, settings.epochs, loss);
        match settings.checkpoints {
            Some(every) if number.is_multiple_of(every) => save(&checkpoint(weights, number)),
            _ => Ok(()),
        }
    })?;
    model.save(weights)?;
    let sides = [(PointSet::Training, train), (PointSet::Test, test)];
    let assessment = Assessment::of((&*model, Origin::Trained), config, &sides)?;
    assessment.tell(watch);
    Ok(Trained {
        weights: weights.to_owned(),
        parameters: model.layout().dim(),
        loss: last,
        assessment,
    })
}

/// Refuses places for the weights and the checkpoints on the way to them.
fn check_places(weights: &Path, settings: &Training, overwrite: bool) -> Result<()> {
    check_place(weights, overwrite)?;
    let every = settings.checkpoints.unwrap_or(usize::MAX);
    let epochs = (1..=settings.epochs).filter(|epoch| epoch.is_multiple_of(every));
    for epoch in epochs {
        check_place(&checkpoint(weights, epoch), overwrite).context("checkpoints")?;
    }
    Ok(())
}

/// Refuses a place for weights that is taken, or whose name does not say what they are.
fn check_place(weights: &Path, overwrite: bool) -> Result<()> {
    let shown = weights.display();
    ensure!(
        weights.extension().is_some_and(|found| found == ENDING),
        "{shown}: trained weights are written as safetensors; name a file .{ENDING}"
    );
    ensure!(
        overwrite || !weights.exists(),
        "{shown} exists; replace it with --overwrite, or choose another path"
    );
    check_file(weights)
}

/// Refuses batches of too few points, of which the last is the smallest.
pub(crate) fn check_batches(config: &Config, points: usize, fewest: usize) -> Result<()> {
    let batch = config.train.batch;
    let smallest = [points % batch, batch.min(points)];
    let smallest = smallest.into_iter().find(|&size| size > 0).unwrap_or(0);
    ensure!(
        smallest >= fewest,
        KeyError::new(
            "train.batch",
            format_args!(
                "{points} points in batches of {batch} leave one of {smallest}, over which \
                 batch_norm has no variance; choose another size"
            )
        )
    );
    Ok(())
}

/// `net.safetensors` after five epochs: `net.epoch5.safetensors`.
fn checkpoint(weights: &Path, epoch: usize) -> PathBuf {
    weights.with_extension(format!("epoch{epoch}.{ENDING}"))
}

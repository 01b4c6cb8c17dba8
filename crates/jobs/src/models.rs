//! Models bound to their tasks, whatever their types, and where they come from.
//!
//! A [`TaskModel`] is split by what is done with it: [`Described`] says what it reads,
//! [`Fittable`] fits influence models on it, [`Evaluable`] gives losses and outputs, [`Trainable`]
//! trains it and [`Savable`] writes its weights. All of them are object-safe.

mod bound;
mod configured;
mod course;
mod custom;
mod descent;
mod host;
pub(crate) mod inputs;
mod network;
mod save;
mod sequential;
mod unrolling;

use std::{fmt::Debug, path::Path, sync::Arc};

use anyhow::Result;
use burn::tensor::Device;
use influence_backend_burn::{Batch, EvaluatedOutputs, Influence, SegmentedTraining, Unrolled};
use influence_calculators::Prefetch;
use influence_core::{Footprint, block::ParameterLayout};
use influence_data::{InputShape, SampleForm, Samples, Target};

use crate::{
    config::{Config, Training},
    fit_settings::FitSettings,
};

pub use configured::ConfiguredModels;
pub use course::Course;
pub use custom::OwnModel;
pub use descent::{Epoch, descend};
pub(crate) use unrolling::rule;

/// Where the models of configurations come from.
pub trait Models: Debug {
    /// Whether the configuration describes the model and its loss: it lists the layers, or names
    /// the file of a network.
    fn are_configured(&self) -> bool;

    /// Reads a model for data with these inputs, with weights in place of those that a network in a
    /// file holds itself.
    ///
    /// # Errors
    /// When the configuration lacks what such a model needs, or the weights do not fit it; contexts
    /// name the key.
    fn open(
        &self,
        config: &Config,
        weights: Option<&Path>,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>>;

    /// A model before its training: its weights are drawn from this seed, or those that the file of
    /// a network holds.
    ///
    /// A model of a program's own draws from the generator of the device, which all threads share:
    /// such models are made one after another.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn initial(
        &self,
        config: &Config,
        seed: u64,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>>;
}

/// A model bound to its task, of any type; it may move between threads.
pub trait TaskModel: Debug + Send + Described + Fittable + Evaluable + Trainable + Savable {}

impl<M: Debug + Send + Described + Fittable + Evaluable + Trainable + Savable> TaskModel for M {}

/// What a model reads, and what parameters it has.
pub trait Described {
    /// In what form it reads the fields of a batch.
    fn form(&self) -> SampleForm;

    /// What its inputs are called, in the order in which it reads them, if they have names.
    fn input_names(&self) -> Option<&[String]>;

    /// What the targets of samples must be; a batch shows what the outputs are like.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn target(&self, batch: &Batch) -> Result<Target>;

    /// What it needs of samples beyond their form.
    fn needs(&self) -> Needs;

    /// What whoever computes with it should know of it, in sentences.
    fn remarks(&self) -> &[String];

    /// Its trained parameters.
    fn layout(&self) -> &ParameterLayout;

    /// The values of these parameters side by side.
    fn parameters(&self) -> Vec<f64>;
}

/// A model on which influence models are fitted.
pub trait Fittable {
    /// Fits an influence model on the training points, or reads a fit that is kept.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn influence(
        &self,
        settings: &FitSettings,
        train: &Arc<Prefetch<Samples>>,
        source: FitSource<'_>,
    ) -> Result<Influence>;

    /// Goes through a training that begins at its weights, on the training points in the order that
    /// the seed gives, to differentiate it: the influence model of the method `magic`.
    ///
    /// # Errors
    /// When the model is trained otherwise than it is evaluated, by dropout or batch norm; whatever
    /// the backend reports.
    fn unrolled(
        &self,
        settings: &FitSettings,
        training: (&Training, u64),
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<Unrolled>;

    /// As [`unrolled`](Self::unrolled), in segments: the influence model of the method `source`,
    /// whose settings must be those of the fit.
    ///
    /// # Errors
    /// As [`unrolled`](Self::unrolled); when there are fewer steps than checkpoints.
    fn segmented(
        &self,
        settings: &FitSettings,
        training: (&Training, u64),
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<SegmentedTraining>;

    /// The memory and the cost per sample of an influence model; nothing is fitted.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(
        &self,
        settings: &FitSettings,
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<Footprint>;

    /// The bytes that a fit takes besides the gradients that it keeps, an estimate from above.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn fit_bytes(&self, settings: &FitSettings, train: &Arc<Prefetch<Samples>>) -> Result<usize>;
}

/// A model whose losses and outputs can be computed.
pub trait Evaluable {
    /// The training loss of each sample.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn losses(&self, batch: &Batch) -> Result<Vec<f64>>;

    /// The measurement of each sample, in the highest precision of the device: its loss, unless the
    /// task explains something else. Losses of samples that are learnt are far below what 32 bits
    /// can tell apart, and retrained models are compared by them.
    ///
    /// # Errors
    /// When the model cannot be evaluated or recorded.
    fn measurements(&self, batch: &Batch) -> Result<Vec<f64>>;

    /// The outputs of the samples and the loss that is taken of them, if the task declares them.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn outputs(&self, batch: &Batch) -> Result<Option<EvaluatedOutputs>>;
}

/// A model that can be trained.
pub trait Trainable {
    /// The model after a training that begins at its weights; the model itself stays as it is.
    /// `after` is called with each epoch that has ended.
    ///
    /// # Errors
    /// When the data cannot be read, the loss is no longer finite, or whatever `after` reports.
    fn trained(
        &self,
        course: &Course<'_>,
        after: &mut AfterEpoch<'_>,
    ) -> Result<Box<dyn TaskModel>>;

    /// Whether a training draws random numbers besides the order of its points, as with dropout:
    /// the losses of the same samples then differ from time to time.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn draws(&self, batch: &Batch) -> Result<bool>;

    /// The same model once more, for another thread.
    fn duplicate(&self) -> Box<dyn TaskModel>;
}

/// A model whose weights can be written.
pub trait Savable {
    /// Writes its weights as safetensors, with the names and layouts of PyTorch.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn save(&self, path: &Path) -> Result<()>;
}

/// What a model needs of samples beyond their form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Inputs that index the rows of an embedding, with the number of these.
    pub entries: Vec<(usize, usize)>,
    /// The fewest samples in a batch of a training.
    pub batch: usize,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            batch: 1,
        }
    }
}

/// What is done after an epoch: its number, counted from 1, the mean loss, and a function that
/// saves the weights of that moment.
pub type AfterEpoch<'a> = dyn FnMut(usize, f64, &dyn Fn(&Path) -> Result<()>) -> Result<()> + 'a;

/// Where a fitted influence model comes from.
#[derive(Debug, Clone, Copy)]
pub enum FitSource<'a> {
    /// It is fitted.
    Fit,
    /// It is fitted, and its expensive parts are kept in a file, or at a URL.
    FitAndSave(&'a Path),
    /// It is read from there.
    Load(&'a Path),
}

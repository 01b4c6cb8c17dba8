//! What a configuration is about: a model with its loss, whatever their types.

mod own;
mod sequential;

use std::{
    cell::OnceCell,
    fmt::{self, Debug},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result};
use burn::{module::Module, tensor::Device};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, bridge};
use influence_backend_burn::{
    Batch, Evaluator, FieldForm, Fit, Influence, Inputs, OutputLoss, Task, parameters,
};
use influence_core::{Footprint, block::ParameterLayout};
use influence_data::{Gather, Target};
use ndarray::Array2;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use safetensors::tensor::{Dtype, View, serialize};

use crate::{
    config::{Config, Training},
    output::write_whole,
    plan::Plan,
    train::{Epoch, descend},
};

pub use own::OwnModel;
pub use sequential::SequentialModels;

/// Where the models of configurations come from.
pub trait Models: Debug {
    /// Whether the configuration lists the layers of the model, and says its loss.
    fn are_listed(&self) -> bool;

    /// Reads a model; `sample` is the shape of an input.
    ///
    /// # Errors
    /// When the configuration lacks what such a model needs, or the weights do not fit it; contexts name the key.
    fn open(
        &self,
        config: &Config,
        weights: &Path,
        sample: &[usize],
        device: &Device,
    ) -> Result<Box<dyn Subject>>;

    /// A model that is not trained, its weights drawn from the seed of the configuration.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn initial(
        &self,
        config: &Config,
        sample: &[usize],
        device: &Device,
    ) -> Result<Box<dyn Subject>>;
}

/// A model that is there, with its loss.
pub trait Subject: Debug {
    /// In what form it reads the fields of a batch.
    fn forms(&self) -> Vec<FieldForm>;

    /// What the targets of samples must be; a batch shows what the outputs are like.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn target(&self, batch: &Batch) -> Result<Target>;

    /// What it needs of samples beyond their form.
    fn needs(&self) -> Needs;

    /// Its trained parameters.
    fn layout(&self) -> &ParameterLayout;

    /// Fits the influence model of a plan on it, or takes it from a file.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn influence(&self, plan: &Plan, source: FitSource<'_>) -> Result<Influence>;

    /// What the influence model of a plan will take per sample.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(&self, plan: &Plan) -> Result<Footprint>;

    /// The bytes that the fit of a plan takes beyond gradients that are kept, an estimate from above.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn fit_bytes(&self, plan: &Plan) -> Result<usize>;

    /// The training loss of each sample.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn losses(&self, batch: &Batch) -> Result<Vec<f64>>;

    /// The outputs of each sample and the loss that is taken of them, if the task declares them.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    fn outputs(&self, batch: &Batch) -> Result<Option<(Array2<f64>, OutputLoss)>>;

    /// Trains it; `after` every epoch is told its number, counted from 1, the mean loss, and how to save the weights of then.
    ///
    /// # Errors
    /// When the data cannot be read, the loss is no longer finite, or whatever `after` reports.
    fn train(
        &mut self,
        settings: &Training,
        seed: u64,
        points: &dyn Gather,
        after: &mut AfterEpoch<'_>,
    ) -> Result<()>;

    /// Writes its weights as safetensors, named and laid out as PyTorch has them.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn save(&self, path: &Path) -> Result<()>;
}

/// What a model needs of samples beyond their form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Inputs are rows of a table of so many, if they are looked up.
    pub entries: Option<usize>,
    /// The fewest samples in a batch of a training.
    pub batch: usize,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            entries: None,
            batch: 1,
        }
    }
}

/// What is done after an epoch: its number, counted from 1, the mean loss, and how to save the weights of then.
pub type AfterEpoch<'a> = dyn FnMut(usize, f64, &dyn Fn(&Path) -> Result<()>) -> Result<()> + 'a;

/// Where a fitted influence model comes from.
#[derive(Debug, Clone, Copy)]
pub enum FitSource<'a> {
    /// It is fitted.
    Fit,
    /// It is fitted, and what was expensive kept in a file.
    FitAndSave(&'a Path),
    /// It is taken from such a file.
    Load(&'a Path),
}

/// A module with a task.
struct Bound<T: Task> {
    task: Arc<T>,
    module: T::Module,
    layout: ParameterLayout,
    device: Device,
    /// Made when it is asked for: a run of influences evaluates nothing.
    evaluator: OnceCell<Evaluator<Arc<T>>>,
    target: Option<Target>,
    needs: Needs,
}

impl<T: Task> Debug for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl<T: Task> Bound<T> {
    /// Joins them; without a target the outputs tell what targets are.
    fn new(task: Arc<T>, module: T::Module, device: &Device, target: Option<Target>) -> Self {
        Self {
            layout: parameters(&module),
            device: device.clone(),
            task,
            module,
            evaluator: OnceCell::new(),
            target,
            needs: Needs::default(),
        }
    }

    /// With needs of its own.
    fn needing(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    fn evaluator(&self) -> &Evaluator<Arc<T>> {
        let make = || Evaluator::new(self.task.clone(), &self.module, &self.device);
        self.evaluator.get_or_init(make)
    }
}

impl<T: Task> Subject for Bound<T> {
    fn forms(&self) -> Vec<FieldForm> {
        T::Inputs::forms()
    }

    fn target(&self, batch: &Batch) -> Result<Target> {
        if let Some(target) = self.target {
            return Ok(target);
        }
        Ok(match self.outputs(batch)? {
            Some((outputs, OutputLoss::CrossEntropy)) => Target::Class {
                classes: outputs.ncols(),
            },
            Some((outputs, OutputLoss::MeanSquaredError)) => Target::Values {
                outputs: outputs.ncols(),
            },
            _ => Target::Any,
        })
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn influence(&self, plan: &Plan, source: FitSource<'_>) -> Result<Influence> {
        let fit = crate::fit::settings(plan, Fit::new(self.task.clone()))?;
        let (module, train) = (&self.module, plan.train.clone());
        match source {
            FitSource::Fit => fit
                .fit(module, train)
                .context("fitting the influence model"),
            FitSource::FitAndSave(path) => fit
                .fit_and_save(module, train, path)
                .context("fitting the influence model"),
            FitSource::Load(path) => fit.load(module, train, path).context("--fitted"),
        }
    }

    fn footprint(&self, plan: &Plan) -> Result<Footprint> {
        let fit = crate::fit::settings(plan, Fit::new(self.task.clone()))?;
        Ok(fit.footprint(&self.module, plan.train.clone())?)
    }

    fn fit_bytes(&self, plan: &Plan) -> Result<usize> {
        let fit = crate::fit::settings(plan, Fit::new(self.task.clone()))?;
        let dampings = plan.config.method.sweep.as_ref().map_or(1, Vec::len);
        Ok(fit.fit_bytes(&self.module, plan.train.clone(), dampings)?)
    }

    fn losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        Ok(self.evaluator().losses(batch)?)
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<(Array2<f64>, OutputLoss)>> {
        Ok(self.evaluator().outputs(batch)?)
    }

    fn train(
        &mut self,
        settings: &Training,
        seed: u64,
        points: &dyn Gather,
        after: &mut AfterEpoch<'_>,
    ) -> Result<()> {
        let begun = (&*self.task, self.module.clone());
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let after = &mut |epoch: Epoch<'_, T::Module>| {
            after(epoch.number, epoch.loss, &|path| save(epoch.module, path))
        };
        self.module = descend(begun, &self.device, settings, points, &mut random, after)?;
        self.evaluator = OnceCell::new();
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        save(&self.module, path)
    }
}

/// Writes the weights of a module as safetensors, named and laid out as PyTorch has them, whole or not at all.
fn save<M: Module>(module: &M, path: &Path) -> Result<()> {
    let shown = || path.display().to_string();
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let tensors = tensors.into_iter().map(|tensor| {
        let name = tensor.name.clone();
        let data = bridge::into_data(tensor).map_err(|error| anyhow::anyhow!("{error}"))?;
        let data = data.convert_dtype(burn::tensor::DType::F32);
        Ok((name, Stored(data)))
    });
    let tensors: Vec<(String, Stored)> = tensors.collect::<Result<_>>().with_context(shown)?;
    write_whole(path, &serialize(tensors, None).with_context(shown)?)
}

/// A tensor on its way into a file.
struct Stored(burn::tensor::TensorData);

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.as_bytes().into()
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, Tensor};
use influence_backend_burn::{Classification, Field, Regression};
use influence_data::{
    InputShape, Target,
    key::{AtKey, KeyError, KeyPath},
};
use influence_onnx::{LossKind, Measurement};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{Models, Needs, TaskModel, bound::Bound, network::measurement};
use crate::{
    config::{Config, Layer, Layers, Loss, Model, missing},
    sequential::{Architecture, SequentialModel, initial_weights},
    weights::Weights,
};

/// Sequential models, whose layers the configuration lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct SequentialModels;

impl Models for SequentialModels {
    fn are_configured(&self) -> bool {
        true
    }

    fn open(
        &self,
        config: &Config,
        weights: Option<&Path>,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        let (task, layers) = described(&config.model)?;
        let sample = only(inputs, config)?;
        let weights = weights.ok_or_else(|| missing("weights"))?;
        let key = config.model.state.as_deref();
        let weights = Weights::read(weights, key, config.precision).at_key("model.weights")?;
        let names = layers.0.iter().filter_map(Layer::name);
        weights.check_read(names).at_key("model.weights")?;
        let weights = weights.with_tables(layers.0.iter().filter_map(Layer::table));
        bound(task, layers, &weights, sample, device)
    }

    fn initial(
        &self,
        config: &Config,
        seed: u64,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        let (task, layers) = described(&config.model)?;
        config.model.check_trained()?;
        let sample = only(inputs, config)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let weights = initial_weights(&layers.0, sample, &mut random).at_key("model.layers")?;
        bound(task, layers, &weights, sample, device)
    }
}

/// The shape of one sample of the only input.
fn only<'a>(inputs: &'a [InputShape], config: &Config) -> Result<&'a [usize]> {
    let [only] = inputs else {
        let keys = inputs.iter().map(|input| input.key.to_string());
        let wrong = format!(
            "a model of layers reads one input, got {}: {}; name one array, or run a model of your own that reads them by influence_cli::run_with",
            inputs.len(),
            keys.collect::<Vec<_>>().join(", ")
        );
        let path = KeyPath::from(config.data.keys()[0]).key("inputs");
        bail!(KeyError::new(path, wrong));
    };
    Ok(&only.shape)
}

/// The functions of a sequential model.
#[derive(Debug, Clone, Copy)]
struct SequentialTask {
    loss: Loss,
    measurement: Measurement,
}

/// What a sequential model needs said.
fn described(model: &Model) -> Result<(SequentialTask, &Layers)> {
    let loss = model.loss.ok_or_else(|| missing("loss"))?;
    let layers = model.layers.as_ref();
    let layers = layers.ok_or_else(|| {
        KeyError::new(
            "model",
            "missing key `layers`, for a sequential model, or `onnx`, for a network in a file",
        )
    })?;
    let measurement = measurement(model);
    ensure!(
        measurement != Measurement::InFile,
        KeyError::new(
            "model.measurement",
            "a tensor by name is for networks in files (model.onnx); models of layers have loss, margin, logit and log-probability"
        )
    );
    Ok((SequentialTask { loss, measurement }, layers))
}

fn bound(
    task: SequentialTask,
    layers: &Layers,
    weights: &Weights,
    sample: &[usize],
    device: &Device,
) -> Result<Box<dyn TaskModel>> {
    let architecture = Architecture::plan(&layers.0, weights, sample).at_key("model.layers")?;
    let module = architecture.build(weights, device)?;
    Ok(if architecture.entries().is_some() {
        with_task(task, &architecture, module, device, SequentialModel::embed)?
    } else {
        with_task(
            task,
            &architecture,
            module,
            device,
            SequentialModel::forward,
        )?
    })
}

fn with_task<I: Field + 'static>(
    SequentialTask { loss, measurement }: SequentialTask,
    architecture: &Architecture,
    module: SequentialModel,
    device: &Device,
    forward: fn(&SequentialModel, I) -> Tensor<2>,
) -> Result<Box<dyn TaskModel>> {
    let outputs = architecture.outputs();
    let needs = Needs {
        entries: architecture
            .entries()
            .map(|entries| (0, entries))
            .into_iter()
            .collect(),
        batch: architecture.smallest_batch(),
    };
    let defined = |kind| {
        measurement
            .check_defined(kind, &[outputs])
            .at_key("model.measurement")
    };
    let is_loss = measurement == Measurement::Loss;
    Ok(match loss {
        Loss::CrossEntropy => {
            ensure!(
                outputs > 1,
                KeyError::new(
                    "model.loss",
                    format_args!("cross-entropy needs at least 2 outputs, the model has {outputs}")
                )
            );
            defined(LossKind::CrossEntropy)?;
            let mut task = Classification::new(forward);
            if !is_loss {
                task = task.with_measurement(move |outputs, classes| {
                    measurement.of_classes(outputs, classes)
                });
            }
            let target = Target::Class { classes: outputs };
            Box::new(Bound::new(Arc::new(task), module, device, Some(target)).needing(needs))
        }
        Loss::Mse => {
            defined(LossKind::MeanSquaredError)?;
            let mut task = Regression::new(forward);
            if !is_loss {
                task = task.with_measurement(move |outputs, targets| {
                    measurement.of_numbers(outputs, targets)
                });
            }
            let target = Target::Values { outputs };
            Box::new(Bound::new(Arc::new(task), module, device, Some(target)).needing(needs))
        }
        Loss::BinaryCrossEntropy | Loss::SequenceCrossEntropy | Loss::NextToken | Loss::Output => {
            bail!(KeyError::new(
                "model.loss",
                format_args!(
                    "`{}` is for networks in files (model.onnx); models of layers have cross-entropy and mse",
                    loss.as_str()
                )
            ))
        }
    })
}

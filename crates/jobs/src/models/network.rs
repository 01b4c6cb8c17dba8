//! Networks in files.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use burn::tensor::Device;
use influence_data::{
    InputShape, Target,
    key::{AtKey, KeyError, KeyPath},
};
use influence_onnx::{
    Error as NetworkError, LossKind, Measurement, NetworkFile as Network, NetworkLoss, NetworkTask,
    ReadSettings, TargetForm,
};

use super::{Models, Needs, TaskModel, bound::Bound, inputs::samples};
use crate::{
    config::{Config, Loss, MeasurementKey, Model, missing},
    weights::Weights,
};

/// Networks that files hold, with their parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct NetworkModels;

impl Models for NetworkModels {
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
        let state = config.model.state.as_deref();
        let read = |path| Weights::of_network(path, state);
        let weights = weights.map(read).transpose().at_key("model.weights")?;
        bound(config, weights, inputs, device)
    }

    fn initial(
        &self,
        config: &Config,
        _seed: u64,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        config.model.check_trained()?;
        bound(config, None, inputs, device)
    }
}

/// The network of a configuration, with weights in place of its own where there are some.
fn bound(
    config: &Config,
    weights: Option<Weights>,
    inputs: &[InputShape],
    device: &Device,
) -> Result<Box<dyn TaskModel>> {
    let model = &config.model;
    let loss = loss(model)?;
    let network = read(model, weights)?;
    let samples = samples(&network.inputs, inputs, config)?;
    let task = NetworkTask::new(&network, loss, measurement(model), &samples);
    let task = task.map_err(|error| of_task(error, config))?;
    let target = target(&task);
    let has_targets = *task.targets() != TargetForm::None;
    let names = network.inputs.iter().map(|input| input.name.clone());
    let needs = Needs {
        entries: network.entries(),
        ..Needs::default()
    };
    let remarks = [&network.remarks, task.remarks()].concat();
    let module = network.network(device);
    let bound = Bound::new(Arc::new(task), module, device, Some(target));
    let bound = bound.with_inputs(Some(names.collect()));
    let bound = bound.needing(needs).remarking(remarks);
    Ok(Box::new(if has_targets {
        bound
    } else {
        bound.without_targets()
    }))
}

fn read(model: &Model, weights: Option<Weights>) -> Result<Network> {
    let path = model.onnx.as_deref().ok_or_else(|| missing("onnx"))?;
    let source = weights.as_ref().map(|weights| weights.source().into());
    let settings = ReadSettings {
        output: model.output.clone(),
        measured: match &model.measurement {
            Some(MeasurementKey::Output(name)) => Some(name.clone()),
            _ => None,
        },
        frozen: model.frozen.clone().unwrap_or_default(),
        padding: model.padding.clone().unwrap_or_default(),
        weights: weights.map(Weights::into_tensors),
        weights_file: source.unwrap_or_default(),
    };
    let network = Network::read(path, &settings);
    network.map_err(|error| match &error {
        NetworkError::Setting(_) => KeyError::new("model", error).into(),
        _ => KeyError::new("model.onnx", error).into(),
    })
}

/// An error of a network that was tried, with the key that it is about.
fn of_task(error: NetworkError, config: &Config) -> KeyError {
    match &error {
        NetworkError::Setting(_) if config.model.measurement.is_some() => {
            KeyError::new("model", error)
        }
        NetworkError::Setting(_) => KeyError::new("model.loss", error),
        NetworkError::Input(_) => {
            let data = KeyPath::from(config.data.keys()[0]);
            KeyError::new(data.key("inputs"), error)
        }
        _ => KeyError::new("model.onnx", error),
    }
}

fn loss(model: &Model) -> Result<NetworkLoss> {
    let loss = model.loss.ok_or_else(|| {
        let known = LossKind::ALL.map(LossKind::as_str).join(", ");
        let missing = format!(
            "missing key `loss`: the file does not say how the network was trained; known: {known}"
        );
        KeyError::new("model", missing)
    })?;
    Ok(NetworkLoss {
        kind: match loss {
            Loss::CrossEntropy => LossKind::CrossEntropy,
            Loss::Mse => LossKind::MeanSquaredError,
            Loss::BinaryCrossEntropy => LossKind::BinaryCrossEntropy,
            Loss::SequenceCrossEntropy => LossKind::SequenceCrossEntropy,
            Loss::NextToken => LossKind::NextToken,
            Loss::Output => LossKind::InFile,
        },
        ignore: model.ignore,
        class_weights: model.class_weights.clone(),
        label_smoothing: model.label_smoothing.unwrap_or(0.0),
    })
}

pub(super) fn measurement(model: &Model) -> Measurement {
    match &model.measurement {
        None | Some(MeasurementKey::Loss) => Measurement::Loss,
        Some(MeasurementKey::Margin) => Measurement::Margin,
        Some(MeasurementKey::OwnLogit) => Measurement::Logit { class: None },
        Some(MeasurementKey::Logit(class)) => Measurement::Logit {
            class: Some(*class),
        },
        Some(MeasurementKey::LogProbability) => Measurement::LogProbability,
        Some(MeasurementKey::Output(_)) => Measurement::InFile,
    }
}

/// What targets must be.
fn target(task: &NetworkTask) -> Target {
    let loss = task.loss();
    match *task.targets() {
        TargetForm::None => Target::Any,
        TargetForm::Class { classes } => match loss.ignore {
            None => Target::Class { classes },
            ignore => Target::Positions {
                classes,
                positions: 1,
                ignore,
            },
        },
        TargetForm::ClassSequence { classes, positions } => Target::Positions {
            classes,
            positions,
            ignore: loss.ignore,
        },
        TargetForm::Numbers { ref shape } => {
            let outputs = shape.iter().product();
            match (loss.kind, loss.ignore) {
                (LossKind::BinaryCrossEntropy, None) => Target::Probabilities { outputs },
                _ => Target::Values { outputs },
            }
        }
    }
}

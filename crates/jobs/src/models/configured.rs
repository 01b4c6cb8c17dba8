use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use influence_data::InputShape;

use super::{Models, TaskModel, network::NetworkModels, sequential::SequentialModels};
use crate::config::{Config, Model};

/// Models that the configuration describes: sequential ones, whose layers it lists, and networks in
/// files.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfiguredModels;

impl Models for ConfiguredModels {
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
        of_kind(&config.model).open(config, weights, inputs, device)
    }

    fn initial(
        &self,
        config: &Config,
        seed: u64,
        inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        of_kind(&config.model).initial(config, seed, inputs, device)
    }
}

fn of_kind(model: &Model) -> &'static dyn Models {
    match model.onnx {
        Some(_) => &NetworkModels,
        None => &SequentialModels,
    }
}

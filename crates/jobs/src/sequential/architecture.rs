//! From configured layers and the shapes of weights to a checked plan of the model.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use influence_core::block::ParameterLayout;
use influence_data::key::{AtKey, KeyError};

use super::{
    BuiltLayer, SequentialModel, build,
    layer::{self, LayerKind},
    shape::{check_size, shown},
};
use crate::{config, weights::Weights};

/// A sequential model whose layers and weights are known to fit each other and the samples.
#[derive(Debug, Clone)]
pub struct Architecture {
    steps: Vec<PlannedLayer>,
    outputs: usize,
}

/// A layer that computes something, with the shape in which it takes a sample.
#[derive(Debug, Clone)]
struct PlannedLayer {
    name: String,
    input: Vec<usize>,
    kind: LayerKind,
}

impl Architecture {
    /// Follows the shape of a sample through the layers.
    ///
    /// # Errors
    /// When a layer does not fit its weights or what reaches it, weights are missing or left over,
    /// or the model does not end in a single axis; the message names the layer and the tensor.
    pub fn plan(layers: &[config::Layer], weights: &Weights, input: &[usize]) -> Result<Self> {
        ensure!(!layers.is_empty(), "model.layers is empty");
        check_names(layers)?;
        let (mut shape, mut steps) = (input.to_vec(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            let first = steps.is_empty();
            let step = || {
                let (kind, output) = layer::check(layer, weights, &shape)?;
                check_size(&output)?;
                ensure!(
                    first || !matches!(kind, Some(LayerKind::Embedding { .. })),
                    "it takes the integers of the inputs, so nothing that computes may come before it"
                );
                Ok((kind, output))
            };
            let (kind, output) = in_layer(index, layer, step())?;
            let name = layer
                .name()
                .map_or_else(|| index.to_string(), ToOwned::to_owned);
            steps.extend(kind.map(|kind| PlannedLayer {
                name,
                input: shape,
                kind,
            }));
            shape = output;
        }
        let &[outputs] = shape.as_slice() else {
            bail!(
                "the model gives each sample the shape {}; end it with a flatten",
                shown(&shape)
            );
        };
        let plan = Self { steps, outputs };
        plan.check_all_used(weights)?;
        Ok(plan)
    }

    /// The number of outputs per sample.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of rows of the embedding that the inputs index, if the model begins with one.
    pub fn entries(&self) -> Option<usize> {
        match &self.steps.first()?.kind {
            LayerKind::Embedding { weight, .. } => Some(weight[0]),
            _ => None,
        }
    }

    /// The fewest samples that a batch of a training may have: batch norm of single numbers has no
    /// variance over one.
    pub fn smallest_batch(&self) -> usize {
        let of_single_numbers = |step: &PlannedLayer| {
            let positions: usize = step.input.iter().skip(1).product();
            matches!(step.kind, LayerKind::BatchNorm { .. }) && positions == 1
        };
        1 + usize::from(self.steps.iter().any(of_single_numbers))
    }

    /// The parameters in the order of the module that [`build`](Self::build) makes.
    pub fn layout(&self) -> ParameterLayout {
        ParameterLayout::new(
            self.steps
                .iter()
                .flat_map(|step| step.kind.parameters(&step.name))
                .collect(),
        )
    }

    /// The module with these weights, in their precision, on a device.
    ///
    /// # Errors
    /// When a tensor is not in the weights.
    pub fn build(&self, weights: &Weights, device: &Device) -> Result<SequentialModel> {
        let layers = self.steps.iter().map(|step| {
            let operation = build::operation(&step.kind, &step.name, weights, device)?;
            Ok(BuiltLayer {
                name: step.name.clone(),
                input: step.input.clone(),
                operation,
            })
        });
        Ok(SequentialModel {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    fn check_all_used(&self, weights: &Weights) -> Result<()> {
        let used: Vec<String> = self
            .steps
            .iter()
            .flat_map(|step| {
                step.kind
                    .tensors()
                    .map(|tensor| format!("{}.{tensor}", step.name))
            })
            .collect();
        let unused: Vec<&str> = weights
            .names()
            .filter(|name| !used.iter().any(|used| used == name))
            .collect();
        ensure!(
            unused.is_empty(),
            "{} holds tensors that no layer uses: {}",
            weights.source(),
            unused.join(", ")
        );
        Ok(())
    }
}

/// An outcome with the layer that it is of, in its message and in the path of its key.
pub(super) fn in_layer<T>(index: usize, layer: &config::Layer, outcome: Result<T>) -> Result<T> {
    outcome.at_unsaid_key(index).with_context(|| {
        let name = layer
            .name()
            .map_or_else(String::new, |name| format!(" `{name}`"));
        format!("layer {} ({}{name})", index + 1, layer.kind())
    })
}

fn check_names(layers: &[config::Layer]) -> Result<()> {
    for (index, layer) in layers.iter().enumerate() {
        let Some(name) = layer.name() else { continue };
        ensure!(
            !name.is_empty(),
            KeyError::worded(index, format!("layer {} has an empty name", index + 1))
        );
        if let Some(first) = layers[..index]
            .iter()
            .position(|earlier| earlier.name() == Some(name))
        {
            bail!(
                "layers {} and {} are both named `{name}`; shared weights are not supported",
                first + 1,
                index + 1
            );
        }
    }
    Ok(())
}

//! The layers that a configuration begins with.

use anyhow::Result;
use toml::Table;

use super::{
    activation::Activation,
    groups::groups,
    lines::Lines,
    order::{OutputCount, is_said, orders},
};
use crate::{choice::multiplications_of, config::CONFIRM, weights::Weights};

/// The width of the layer that is proposed where there are no weights.
const HIDDEN: usize = 64;

/// The layers of a small network to be trained.
pub(super) fn to_train(sample: &[usize], outputs: usize, activation: Activation) -> ProposedLayers {
    let flatten = (sample.len() > 1).then(|| "{ kind = \"flatten\" }".to_owned());
    let linear = |name: &str, outputs: usize| {
        format!("{{ kind = \"linear\", name = \"{name}\", outputs = {outputs} }}")
    };
    let between = format!("{{ kind = \"{}\" }}", activation.as_str());
    let layers = [linear("fc1", HIDDEN), between, linear("fc2", outputs)];
    ProposedLayers {
        lines: flatten.into_iter().chain(layers).collect(),
        order: "A small network to begin with; the last layer has an output for each class or number.",
        doubted: false,
    }
}

/// How many parameters those layers have.
pub(super) fn parameters_to_train(sample: &[usize], outputs: usize) -> usize {
    let inputs: usize = sample.iter().product();
    (inputs + 1) * HIDDEN + (HIDDEN + 1) * outputs
}

/// What is proposed for weights that are there.
#[derive(Debug)]
pub(super) struct ProposedLayers {
    pub(super) lines: Vec<String>,
    /// How sure their order is.
    pub(super) order: &'static str,
    /// Whether lines are marked to be confirmed.
    pub(super) doubted: bool,
}

/// The layers that weights are of, and what they cannot tell in between.
///
/// # Errors
/// When a tensor belongs to no layer of a kind that is known.
pub(super) fn of_weights(
    weights: &Weights,
    sample: &[usize],
    outputs: OutputCount,
    activation: Activation,
) -> Result<ProposedLayers> {
    let (groups, in_order) = groups(weights)?;
    let orders = orders(&groups, in_order, sample, outputs);
    let said = is_said(&groups, in_order);
    let order = match orders.found.len() {
        _ if in_order => {
            "From the weights, in the order of the file. They do not tell activations, pooling or padding: compare with your model."
        }
        _ if said => {
            "From the weights, in the order of the numbers in their names. They do not tell activations, pooling or padding: compare with your model."
        }
        0 => {
            "From the weights. The file does not say their order, and none fits the data: this is that of their names."
        }
        1 if orders.complete => {
            "From the weights, in the only order that fits. They do not tell activations, pooling or padding: compare with your model."
        }
        _ => {
            "From the weights. The file does not say their order, and more than one fits; nor do they tell activations, pooling or padding: compare with your model."
        }
    };
    let lines = Lines {
        groups: &groups,
        orders: &orders,
        said,
        activation,
    };
    let lines = lines
        .of(sample)
        .map_err(|error| error.context(weights.source().to_owned()))?;
    let doubted = lines.iter().any(|line| line.contains(CONFIRM));
    Ok(ProposedLayers {
        lines,
        order,
        doubted,
    })
}

/// The layers of a proposal that have weights: their kinds and names.
fn with_weights(layers: &[String]) -> Vec<(String, String)> {
    let read = |layer: &String| -> Option<(String, String)> {
        let table: Table = format!("layer = {layer}").parse().ok()?;
        let text = |key: &str| Some(table["layer"].get(key)?.as_str()?.to_owned());
        Some((text("kind")?, text("name")?))
    };
    layers.iter().filter_map(read).collect()
}

/// Whether all weights are those of one linear layer, so that the loss is convex in them.
pub(super) fn is_one_linear_layer(layers: &[String]) -> bool {
    matches!(&with_weights(layers)[..], [(kind, _)] if kind == "linear")
}

/// The outputs of the last layer, if it is linear.
pub(super) fn outputs(layers: &[String], weights: &Weights) -> Option<usize> {
    let (kind, name) = with_weights(layers).pop()?;
    let shape = weights.shape(&format!("{name}.weight"))?;
    (kind == "linear").then(|| shape[0])
}

/// How often weights are multiplied with for one sample: those of convolutions at every pixel, as
/// if none were pooled away.
pub(super) fn multiplications(weights: &Weights, sample: &[usize]) -> usize {
    let shapes = weights.names().filter_map(|name| weights.shape(name));
    multiplications_of(shapes, sample)
}

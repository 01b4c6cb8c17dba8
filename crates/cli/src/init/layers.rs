use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use toml::{Table, Value};

use crate::{args::Activation, weights::Weights};

/// The width of the layer that is proposed where there are no weights.
const HIDDEN: usize = 64;

/// The layers of a small network to be trained.
pub(super) fn to_train(sample: &[usize], outputs: usize, activation: Activation) -> Vec<String> {
    let flatten = (sample.len() > 1).then(|| "{ kind = \"flatten\" }".to_owned());
    let linear = |name: &str, outputs: usize| {
        format!("{{ kind = \"linear\", name = \"{name}\", outputs = {outputs} }}")
    };
    let between = format!("{{ kind = \"{}\" }}", activation.as_str());
    let layers = [linear("fc1", HIDDEN), between, linear("fc2", outputs)];
    flatten.into_iter().chain(layers).collect()
}

/// How many parameters those layers have.
pub(super) fn parameters_to_train(sample: &[usize], outputs: usize) -> usize {
    let inputs: usize = sample.iter().product();
    (inputs + 1) * HIDDEN + (HIDDEN + 1) * outputs
}

/// The layers that weights are of, in the order of their names with numbers as numbers, and what they cannot tell in between.
pub(super) fn of_weights(
    weights: &Weights,
    sample: &[usize],
    activation: Activation,
) -> Result<Vec<String>> {
    let mut named: BTreeMap<Vec<Part>, (String, usize)> = BTreeMap::new();
    for tensor in weights.names() {
        let layer = match tensor.rsplit_once('.') {
            Some((layer, "weight")) => layer,
            Some((_, "bias")) => continue,
            _ => bail!(
                "{}: `{tensor}` is neither NAME.weight nor NAME.bias: the model is more than a sequence of layers; write a program for it with this library",
                weights.source()
            ),
        };
        let axes = weights.shape(tensor).map_or(0, <[usize]>::len);
        named.insert(parts(layer), (layer.to_owned(), axes));
    }
    ensure!(
        !named.is_empty(),
        "{} has no tensor NAME.weight",
        weights.source()
    );
    let mut layers = Vec::new();
    let mut flat = sample.len() == 1;
    let last = named.len() - 1;
    for (index, (name, axes)) in named.into_values().enumerate() {
        let name = Value::from(name);
        match axes {
            2 => {
                if !flat {
                    layers.push("{ kind = \"flatten\" }".to_owned());
                    flat = true;
                }
                layers.push(format!("{{ kind = \"linear\", name = {name} }}"));
            }
            4 => layers.push(format!("{{ kind = \"conv2d\", name = {name} }}")),
            1 => {
                layers.push(format!("{{ kind = \"layer_norm\", name = {name} }}"));
                continue;
            }
            axes => bail!(
                "{}: the weight of `{name}` has {axes} axes; known are linear (2), conv2d (4) and layer_norm (1)",
                weights.source()
            ),
        }
        if index < last {
            layers.push(format!("{{ kind = \"{}\" }}", activation.as_str()));
        }
    }
    Ok(layers)
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

/// How often weights are multiplied with for one sample: those of convolutions at every pixel, as if none were pooled away.
pub(super) fn multiplications(weights: &Weights, sample: &[usize]) -> usize {
    let pixels: usize = sample.iter().rev().take(2).product();
    let each = |shape: &[usize]| {
        let size: usize = shape.iter().product();
        let uses = if shape.len() == 4 { pixels } else { 1 };
        size.saturating_mul(uses)
    };
    let shapes = weights.names().filter_map(|name| weights.shape(name));
    shapes.map(each).fold(0, usize::saturating_add)
}

/// A piece of a name: numbers are ordered as numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for piece in name.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        if let Ok(number) = digits.parse() {
            parts.push(Part::Number(number));
        }
        let rest = &piece[digits.len()..];
        match (parts.last_mut(), rest) {
            (_, "") => {}
            (Some(Part::Text(text)), rest) => text.push_str(rest),
            (_, rest) => parts.push(Part::Text(rest.to_owned())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = [
            "fc10", "10", "fc2", "2.weight", "a.2", "a.10", "10.a", "conv1", "fc",
        ];
        names.sort_by_key(|name| parts(name));
        assert_eq!(
            names,
            [
                "2.weight", "10", "10.a", "a.2", "a.10", "conv1", "fc", "fc2", "fc10"
            ]
        );
    }
}

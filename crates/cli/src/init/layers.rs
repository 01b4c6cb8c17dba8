use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use toml::Value;

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

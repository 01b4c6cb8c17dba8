//! Tensors by the layer that they belong to.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};

use super::names::parts;
use crate::weights::{Weights, rewritten};

/// The tensors of one layer.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) name: String,
    /// The class of the module, if it was saved with its tensors.
    pub(super) class: Option<String>,
    pub(super) weight: Option<Vec<usize>>,
    pub(super) bias: Option<Vec<usize>>,
    /// Whether it has a running mean or variance.
    pub(super) statistics: Option<Vec<usize>>,
}

/// The layers that weights are of, in the order of the file, and whether that is the order of the
/// model.
///
/// # Errors
/// When a tensor is one that no layer has; the message says what it is, where that is known.
pub(super) fn groups(weights: &Weights) -> Result<(Vec<Group>, bool)> {
    let (names, in_order) = weights.in_order();
    let mut unread = weights.unread().iter();
    if let Some((_, reason)) = unread.find(|(name, _)| name.ends_with(".weight")) {
        bail!("{}: {reason}", weights.source());
    }
    let (mut groups, mut places) = (Vec::<Group>::new(), HashMap::new());
    for name in &names {
        let Some((layer, tensor)) = name.rsplit_once('.') else {
            bail!(not_of_a_layer(weights, &names, name));
        };
        let shape = weights.shape(name).map(ToOwned::to_owned);
        let at = *places.entry(layer).or_insert_with(|| {
            groups.push(Group::new(layer, weights));
            groups.len() - 1
        });
        match tensor {
            "weight" => groups[at].weight = shape,
            "bias" => groups[at].bias = shape,
            "running_mean" | "running_var" => groups[at].statistics = shape,
            _ => bail!(not_of_a_layer(weights, &names, name)),
        }
    }
    ensure!(
        !groups.is_empty(),
        "{} has no tensor NAME.weight",
        weights.source()
    );
    for group in &groups {
        group.check(weights)?;
    }
    if !in_order {
        groups.sort_by_cached_key(|group| parts(&group.name));
    }
    Ok((groups, in_order))
}

impl Group {
    fn new(name: &str, weights: &Weights) -> Self {
        let class = weights.class(name);
        let class = class.and_then(|class| class.rsplit('.').next());
        Self {
            name: name.to_owned(),
            class: class.map(ToOwned::to_owned),
            weight: None,
            bias: None,
            statistics: None,
        }
    }

    fn check(&self, weights: &Weights) -> Result<()> {
        let (source, name) = (weights.source(), &self.name);
        weights.check_read([name.as_str()])?;
        let known = self.weight.is_some() || self.statistics.is_some();
        ensure!(
            known,
            "{source}: `{name}.bias` has no weight beside it: of tied weights, files of safetensors keep one name alone; layers with shared weights are not supported, write a program for the model with this library"
        );
        let axes = self.weight.as_ref().map_or(1, Vec::len);
        ensure!(
            (1..=4).contains(&axes),
            "{source}: the weight of `{name}` has {axes} axes; known are those of linear and embedding (2), conv1d (3), conv2d (4) and normalisations (1)"
        );
        Ok(())
    }

    /// Its name for configurations.
    pub(super) fn quoted(&self) -> String {
        toml::Value::from(self.name.as_str()).to_string()
    }
}

/// Why a tensor belongs to no layer of a sequence.
fn not_of_a_layer(weights: &Weights, names: &[&str], name: &str) -> String {
    let source = weights.source();
    if let Some(hint) = rewritten(names) {
        return format!("{source}: {hint}");
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let what = if matches!(name, "weight" | "bias") {
        "belongs to a layer without a name; save it within a model: torch.save(torch.nn.Sequential(layer).state_dict(), FILE)"
    } else if ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        .iter()
        .any(|start| last.starts_with(start))
    {
        "belongs to a recurrent layer, which is not supported here; write a program for the model with this library"
    } else if last.starts_with("in_proj_") {
        "belongs to an attention, which is more than a sequence of layers; write a program for the model with this library"
    } else if [
        "exp_avg",
        "exp_avg_sq",
        "momentum_buffer",
        "square_avg",
        "step",
    ]
    .contains(&last)
    {
        "is the state of an optimizer and not a weight; use `--state` to say under which key of the file the model is"
    } else {
        "is neither the weight nor the bias of a layer, nor a running mean or variance; if it is not part of the model, save the model alone: torch.save(model.state_dict(), FILE); if it is a parameter, the model is more than a sequence of layers: write a program for it with this library"
    };
    format!("{source}: `{name}` {what}")
}

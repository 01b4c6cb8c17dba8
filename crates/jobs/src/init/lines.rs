//! Layers as lines of a configuration, those that are guesses marked.

use anyhow::{Result, bail};

use super::{
    activation::Activation,
    flow::{Flow, Kind, Passed},
    groups::Group,
    norms::normalisation,
    order::{Orders, Placed},
};
use crate::config::CONFIRM;

/// What is needed to write layers down.
pub(super) struct Lines<'a> {
    pub(super) groups: &'a [Group],
    pub(super) orders: &'a Orders,
    /// Whether their order is known whatever their shapes.
    pub(super) said: bool,
    pub(super) activation: Activation,
}

impl Lines<'_> {
    /// The lines for samples of this shape.
    ///
    /// # Errors
    /// When there is no kind for a layer.
    pub(super) fn of(&self, sample: &[usize]) -> Result<Vec<String>> {
        let first = self.orders.found.first();
        let placed = first.cloned().unwrap_or_else(|| self.by_name(sample));
        let mut lines = Vec::new();
        for (place, layer) in placed.iter().enumerate() {
            lines.extend(layer.passed.before.clone());
            lines.push(self.line(place, layer)?);
            if Self::is_activated(&placed, place) {
                lines.push(format!("{{ kind = \"{}\" }}", self.activation.as_str()));
            }
        }
        Ok(lines)
    }

    /// The order of the names, where none fits the data: what does not fit is reported when the
    /// configuration is checked.
    fn by_name(&self, sample: &[usize]) -> Vec<Placed> {
        let mut flat = sample.len() == 1;
        let place = |(layer, group): (usize, &Group)| {
            let kind = Kind::of(group).first().copied()?;
            let flatten = !flat && matches!(kind, Kind::Linear { .. });
            flat |= flatten;
            let features = group.weight.as_ref().map_or(0, |weight| weight[0]);
            Some(Placed {
                layer,
                kind,
                reached: Flow::Flat(features),
                passed: Passed {
                    flow: Flow::Flat(features),
                    before: flatten.then(|| "{ kind = \"flatten\" }".to_owned()),
                    groups: 1,
                },
            })
        };
        self.groups.iter().enumerate().filter_map(place).collect()
    }

    /// Whether an activation follows: behind each layer but the last, or behind the normalisation
    /// of what it gives.
    fn is_activated(placed: &[Placed], place: usize) -> bool {
        let is_norm = |at: usize| {
            matches!(
                placed.get(at),
                Some(Placed {
                    kind: Kind::Norm { .. },
                    ..
                })
            )
        };
        let is_table = matches!(placed[place].kind, Kind::Embedding { .. });
        let begins = place == 0 && is_norm(place);
        place + 1 < placed.len() && !is_norm(place + 1) && !is_table && !begins
    }

    fn line(&self, place: usize, placed: &Placed) -> Result<String> {
        let group = &self.groups[placed.layer];
        let (kind, keys, mut doubts) = described(group, placed)?;
        doubts.extend(self.other_kinds(place, placed));
        doubts.extend(self.other_layers(place, placed));
        let name = group.quoted();
        let mut line = format!("{{ kind = \"{kind}\", name = {name}{keys}");
        if !doubts.is_empty() {
            let doubts = toml::Value::from(doubts.join("; "));
            line = [&line, ", ", CONFIRM, " = ", &doubts.to_string()].concat();
        }
        Ok(line + " }")
    }

    /// The kinds that the layer has in other orders that fit.
    fn other_kinds(&self, place: usize, placed: &Placed) -> Option<String> {
        let here = self
            .orders
            .found
            .iter()
            .filter_map(|order| order.get(place));
        let here = here
            .filter(|other| other.layer == placed.layer)
            .map(|other| other.kind);
        let nothing_fits = self.orders.found.is_empty();
        let alike = Kind::of(&self.groups[placed.layer]).into_iter();
        let alike = alike.filter(|kind| match kind.pass(&placed.reached) {
            // A table of rows stands at the beginning alone.
            _ if nothing_fits => place == 0 || !matches!(kind, Kind::Embedding { .. }),
            Some(passed) => passed.flow == placed.passed.flow,
            None => false,
        });
        let others = here.chain(alike).filter(|kind| *kind != placed.kind);
        let mut names: Vec<&str> = others.map(kind_name).collect();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| format!("or {}: its shape fits both", names.join(", ")))
    }

    /// The layers that are in its place in other orders that fit.
    fn other_layers(&self, place: usize, placed: &Placed) -> Option<String> {
        if self.said {
            return None;
        }
        if self.orders.found.is_empty() && self.groups.len() > 1 {
            return (place == 0).then(|| {
                "no order of these layers fits the data, put them in that of the model".to_owned()
            });
        }
        let here = self
            .orders
            .found
            .iter()
            .filter_map(|order| order.get(place));
        let mut names: Vec<&str> = here
            .map(|other| self.groups[other.layer].name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name != self.groups[placed.layer].name);
        if names.is_empty() {
            return (place == 0 && !self.orders.complete)
                .then(|| "there are more orders that fit than could be tried".to_owned());
        }
        Some(format!(
            "or here {}: the shapes fit either order",
            names.join(", ")
        ))
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Linear { .. } => "linear",
        Kind::Embedding { .. } => "embedding",
        Kind::Convolution { axes: 1, .. } => "conv1d",
        Kind::Convolution { .. } => "conv2d",
        Kind::Transposed { axes: 1, .. } => "a transposed conv1d, of which there is no kind",
        Kind::Transposed { .. } => "conv_transpose2d",
        Kind::Norm { .. } => "a normalisation",
    }
}

/// The kind of a layer, its keys, and what else it could be.
fn described(group: &Group, placed: &Placed) -> Result<(&'static str, String, Vec<String>)> {
    let keys = match placed.kind {
        Kind::Norm { .. } => return normalisation(group, &placed.reached),
        Kind::Transposed { axes: 1, .. } => bail!(
            "`{}` is a transposed convolution of one axis, which is not supported here; write a program for the model with this library",
            group.name
        ),
        Kind::Transposed { outputs, .. } => {
            let per_group = group.weight.as_ref().map_or(1, |weight| weight[1]);
            groups(outputs / per_group.max(1))
        }
        _ => groups(placed.passed.groups),
    };
    Ok((kind_name(placed.kind), keys, Vec::new()))
}

fn groups(count: usize) -> String {
    if count > 1 {
        format!(", groups = {count}")
    } else {
        String::new()
    }
}

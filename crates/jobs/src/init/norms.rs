//! Which normalisation a layer is, as far as its tensors tell.

use anyhow::{Result, bail};

use super::{flow::Flow, groups::Group};

/// What a layer with one axis can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Norm {
    Layer,
    Group,
    Rms,
    Batch,
    Prelu,
}

impl Norm {
    fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer_norm",
            Self::Group => "group_norm",
            Self::Rms => "rms_norm",
            Self::Batch => "batch_norm",
            Self::Prelu => "prelu",
        }
    }

    fn of_class(class: &str) -> Option<Self> {
        match class {
            "LayerNorm" => Some(Self::Layer),
            "GroupNorm" => Some(Self::Group),
            "RMSNorm" => Some(Self::Rms),
            "PReLU" => Some(Self::Prelu),
            class if class.starts_with("BatchNorm") => Some(Self::Batch),
            _ => None,
        }
    }

    /// What a name speaks for; no more than a hint.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if has(&["prelu"]) {
            Some(Self::Prelu)
        } else if has(&["bn", "batch"]) {
            Some(Self::Batch)
        } else if has(&["gn", "group"]) {
            Some(Self::Group)
        } else if has(&["rms"]) {
            Some(Self::Rms)
        } else {
            has(&["ln", "layer_norm", "layernorm"]).then_some(Self::Layer)
        }
    }
}

/// The kind of a normalisation, its keys, and what else it could be.
///
/// # Errors
/// When it is of a kind that is not known here.
pub(super) fn normalisation(
    group: &Group,
    reached: &Flow,
) -> Result<(&'static str, String, Vec<String>)> {
    if group.statistics.is_some() {
        let keys = if group.weight.is_none() {
            ", affine = false"
        } else {
            ""
        };
        return Ok((Norm::Batch.name(), keys.to_owned(), Vec::new()));
    }
    let class = group.class.as_deref();
    let possible = match class.and_then(Norm::of_class) {
        Some(known) => vec![known],
        None => possible(group, reached),
    };
    let hinted = Norm::of_name(&group.name).filter(|hinted| possible.contains(hinted));
    let best = hinted.or(possible.first().copied()).unwrap_or(Norm::Layer);
    let [others, doubts] = [doubts(best, &possible), count_of_groups(best)];
    if best == Norm::Prelu {
        let also = others.map_or_else(String::new, |others| format!(" ({others})"));
        bail!(
            "`{}` is a PReLU{also}, which is not supported here; write a program for the model with this library",
            group.name
        );
    }
    let keys = match best {
        Norm::Group => ", num_groups = 1",
        Norm::Batch => ", track_running_stats = false",
        _ => "",
    };
    let doubts = others.into_iter().chain(doubts).collect();
    Ok((best.name(), keys.to_owned(), doubts))
}

/// What the tensors and the samples that reach them leave open, the most usual first.
fn possible(group: &Group, reached: &Flow) -> Vec<Norm> {
    let single = group.weight.as_deref() == Some(&[1]);
    let biased = group.bias.is_some();
    let images = match reached {
        Flow::Channels { .. } => true,
        Flow::Sample(shape) => shape.len() > 1,
        _ => false,
    };
    match (biased, images) {
        (false, _) if single => vec![Norm::Prelu],
        (false, _) => vec![Norm::Rms, Norm::Layer, Norm::Prelu],
        (true, true) => vec![Norm::Group, Norm::Batch, Norm::Layer],
        (true, false) => vec![Norm::Layer, Norm::Group, Norm::Batch],
    }
}

fn doubts(best: Norm, possible: &[Norm]) -> Option<String> {
    let others = possible.iter().filter(|other| **other != best);
    let others: Vec<&str> = others
        .map(|other| match other {
            Norm::Batch => "batch_norm without running statistics",
            Norm::Group => "group_norm (instance norm: as many groups as channels)",
            other => other.name(),
        })
        .collect();
    (!others.is_empty()).then(|| format!("or {}: its tensors do not tell", others.join(", ")))
}

fn count_of_groups(best: Norm) -> Option<String> {
    (best == Norm::Group).then(|| "how many groups, its tensors do not tell".to_owned())
}

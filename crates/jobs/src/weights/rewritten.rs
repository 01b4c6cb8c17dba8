//! Weights that were rewritten for training, by the names of their tensors.

/// The transformation by which weights of these names were rewritten, and how to undo it, if any.
pub(crate) fn rewritten(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let (layer, tensor) = split(name);
        let beside = |other: &str| names.iter().any(|name| split(name) == (layer, other));
        let (what, how) = match tensor {
            "weight_g" => ("weight norm", "torch.nn.utils.remove_weight_norm"),
            "weight_orig" if beside("weight_mask") => ("pruning", "torch.nn.utils.prune.remove"),
            "weight_orig" => ("spectral norm", "torch.nn.utils.remove_spectral_norm"),
            "parametrizations.weight.original0" => ("weight norm", PARAMETRIZED),
            "parametrizations.weight.original" => ("a parametrization, as spectral norm is", PARAMETRIZED),
            _ => return None,
        };
        let more = match what {
            "weight norm" | "spectral norm" if how != PARAMETRIZED => "",
            _ => ", \"weight\"",
        };
        Some(format!(
            "`{name}` is of {what}: before saving, fold it into the weight: {how}(model.{layer}{more}), and likewise for each such layer"
        ))
    })
}

const PARAMETRIZED: &str = "torch.nn.utils.parametrize.remove_parametrizations";

/// The layer, and what it calls the tensor.
fn split(name: &str) -> (&str, &str) {
    if let Some(at) = name.find(".parametrizations.") {
        return (&name[..at], &name[at + 1..]);
    }
    name.rsplit_once('.').unwrap_or(("", name))
}

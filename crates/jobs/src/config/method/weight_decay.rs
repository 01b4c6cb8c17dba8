//! `damping = "weight-decay"`: the λ that the training section says.

use influence_data::key::{KeyError, KeyPath};
use toml::{Table, Value};

/// What stands for the weight decay of the training.
const WEIGHT_DECAY: &str = "weight-decay";

/// The table of a configuration with `train.weight_decay` in place of each damping that says so, so
/// that the configuration kept beside an output does not need the training section.
///
/// `influence train` adds `ρ/2 ‖θ‖²` over all parameters to the mean loss, of which the second
/// derivative is `ρ I`: λ is ρ.
///
/// # Errors
/// When the training section has no weight decay.
pub(crate) fn with_weight_decay(mut table: Table) -> anyhow::Result<Table> {
    let decay = table
        .get("train")
        .and_then(|train| train.get("weight_decay"));
    let decay = decay.cloned();
    let Some(method) = table.get_mut("method").and_then(Value::as_table_mut) else {
        return Ok(table);
    };
    if let Some(damping) = method.get_mut("damping") {
        replace(damping, "method.damping".into(), decay.as_ref())?;
    }
    let sweep = method.get_mut("sweep").and_then(Value::as_array_mut);
    for (index, damping) in sweep.into_iter().flatten().enumerate() {
        let path = KeyPath::from("method.sweep").index(index);
        replace(damping, path, decay.as_ref())?;
    }
    Ok(table)
}

fn replace(damping: &mut Value, path: KeyPath, decay: Option<&Value>) -> Result<(), KeyError> {
    if damping.as_str() != Some(WEIGHT_DECAY) {
        return Ok(());
    }
    let is_zero = |decay: &Value| decay.as_float() == Some(0.0) || decay.as_integer() == Some(0);
    let wrong = match decay {
        Some(decay) if !is_zero(decay) => {
            *damping = decay.clone();
            return Ok(());
        }
        Some(_) => "which is 0; give a number here",
        None => "which is not given; give it, or a number here",
    };
    let wrong = format!("= \"{WEIGHT_DECAY}\" takes train.weight_decay, {wrong}");
    Err(KeyError::sentence(path, wrong))
}

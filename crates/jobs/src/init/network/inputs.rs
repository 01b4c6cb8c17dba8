//! Which array is which input.

use std::path::Path;

use anyhow::{Result, bail};
use influence_core::FieldKind;
use influence_data::{InputKey, InputShape};
use influence_onnx::{InputForm, NetworkFile};

use crate::models::inputs::{misfit, placed, sample, shown};

/// For each input of a network the place of its array, and the shape in which it reads a sample: by
/// name, in the order given, or in the only order in which shapes and kinds fit.
///
/// # Errors
/// When there is no such order, or there are several.
pub(super) fn ordered(
    network: &[InputForm],
    data: &[InputShape],
    integers: &[bool],
) -> Result<Vec<(usize, Vec<usize>)>> {
    let fits = |input: &InputForm, place: usize| {
        let kind = integers[place] || input.kind == FieldKind::Float;
        sample(input, &data[place]).filter(|_| kind)
    };
    let Some(places) = placed(network, data) else {
        bail!(misfit(network, data));
    };
    let in_order = |places: &[usize]| -> Option<Vec<(usize, Vec<usize>)>> {
        let each = network.iter().zip(places);
        each.map(|(input, &place)| Some((place, fits(input, place)?)))
            .collect()
    };
    if let Some(order) = in_order(&places) {
        return Ok(order);
    }
    let by_name = data
        .iter()
        .any(|input| matches!(input.key, InputKey::Name(_)));
    let mut orders = Vec::new();
    if !by_name {
        let mut chosen = Vec::new();
        permute(network.len(), &mut chosen, &mut orders, &|input, place| {
            fits(&network[input], place).is_some()
        });
    }
    match orders.as_slice() {
        [only] => in_order(only).ok_or_else(|| anyhow::anyhow!(misfit(network, data))),
        _ => bail!(unfit(network, data, integers)),
    }
}

/// The most orders that are looked for: two are one too many.
const ENOUGH: usize = 2;

/// Appends the orders in which every array fits its input.
fn permute(
    count: usize,
    chosen: &mut Vec<usize>,
    orders: &mut Vec<Vec<usize>>,
    fits: &dyn Fn(usize, usize) -> bool,
) {
    if orders.len() == ENOUGH {
        return;
    }
    if chosen.len() == count {
        orders.push(chosen.clone());
        return;
    }
    for place in 0..count {
        if !chosen.contains(&place) && fits(chosen.len(), place) {
            chosen.push(place);
            permute(count, chosen, orders, fits);
            chosen.pop();
        }
    }
}

fn unfit(network: &[InputForm], data: &[InputShape], integers: &[bool]) -> String {
    let wanted: Vec<String> = network.iter().map(shown).collect();
    let given = data.iter().zip(integers).map(|(input, &integers)| {
        let kind = if integers { "integers" } else { "floats" };
        let sides = input.shape.iter().map(|side| format!(", {side}"));
        format!("{} (n{}) of {kind}", input.key, sides.collect::<String>())
    });
    format!(
        "the network reads {}; the data have {}: name the arrays, as in NAME=FILE,NAME=FILE",
        wanted.join(", "),
        given.collect::<Vec<_>>().join(", ")
    )
}

/// A network in sentences.
pub(super) fn found(network: &NetworkFile, file: &Path) -> Vec<String> {
    let file = file.display();
    let inputs: Vec<String> = network.inputs.iter().map(shown).collect();
    let trained = network
        .parameters
        .iter()
        .filter(|parameter| parameter.trained);
    let outputs = network.outputs.first().map_or("", String::as_str);
    let first = format!(
        "{file}: reads {}; {} trained parameters by name; the loss is of `{outputs}`",
        inputs.join(", "),
        trained.count()
    );
    let remarks = network.remarks.iter();
    let remarks = remarks.map(|remark| format!("{file}: {remark}"));
    [first].into_iter().chain(remarks).collect()
}

//! Recurrent layers as ONNX arranges them: directions, layouts, initial states.

use burn::backend::{
    Dispatch,
    ops::{ActivationOps, FloatTensorOps},
};

use super::{CellKind, LayerDirection, RecurrentState};
use crate::{
    Error, Result,
    operators::{Call, Slot},
    value::Value,
};

/// The sizes of a layer.
struct LayerSizes {
    directions: usize,
    steps: usize,
    samples: usize,
    inputs: usize,
    hidden: usize,
}

pub(super) fn run(call: &mut Call<'_>, kind: CellKind) -> Result<Vec<Slot>> {
    refuse(call)?;
    let samples_first = call.node.attributes.flag("layout")?;
    let operands = call.gathered([0, 1, 2, 3, 5, 6, 7])?;
    let [
        Some(x),
        Some(input),
        Some(recurrent),
        shifts,
        hidden,
        cell,
        peepholes,
    ] = operands
    else {
        return Err(Error::operator("the input or a weight is missing"));
    };
    let x = if samples_first {
        x
    } else {
        x.permute(&[1, 0, 2])?
    };
    let backwards = directions(call)?;
    let sizes = sizes(call, &x, backwards.len())?;
    check_lengths(call, sizes.steps)?;
    let rows = kind.gates() * sizes.hidden;
    let all = sizes.directions;
    shaped("W", &input, &[all, rows, sizes.inputs])?;
    shaped("R", &recurrent, &[all, rows, sizes.hidden])?;
    let part = |value: &Value, at: usize| {
        let dims = value.dims();
        value.clone().slice(0, at, at + 1, 1).reshape(&dims[1..])
    };
    let mut outputs = Vec::new();
    for (at, &backwards) in backwards.iter().enumerate() {
        let shifts = shifts.as_ref().map(|shifts| {
            shaped("B", shifts, &[all, 2 * rows])?;
            let both = part(shifts, at)?;
            Ok([
                both.clone().slice(0, 0, rows, 1),
                both.slice(0, rows, 2 * rows, 1),
            ])
        });
        let peepholes = peepholes.as_ref().map(|peepholes| {
            shaped("P", peepholes, &[all, 3 * sizes.hidden])?;
            let all = part(peepholes, at)?;
            let third = |gate: usize| {
                all.clone()
                    .slice(0, gate * sizes.hidden, (gate + 1) * sizes.hidden, 1)
            };
            Ok([third(0), third(1), third(2)])
        });
        let direction = LayerDirection {
            kind,
            order: [0, 1, 2, 3],
            functions: functions(call, kind, at)?,
            input: part(&input, at)?,
            recurrent: part(&recurrent, at)?,
            shifts: shifts.transpose()?,
            peepholes: peepholes.transpose()?,
            backwards,
        };
        let start = |given: Option<&Value>| start(call, given, at, samples_first, &sizes, x.known);
        let state = RecurrentState {
            hidden: start(hidden.as_ref())?,
            cell: match kind {
                CellKind::Lstm => Some(start(cell.as_ref())?),
                _ => None,
            },
        };
        outputs.push(direction.unroll(x.clone(), state, call.devices)?);
    }
    arranged(outputs, samples_first, &sizes)
}

/// What is not computed, by name.
fn refuse(call: &Call<'_>) -> Result<()> {
    for attribute in ["clip", "activation_alpha", "activation_beta"] {
        if call.node.attributes.0.contains_key(attribute) {
            return Err(Error::Operator(format!(
                "attribute `{attribute}` of recurrent layers is not computed"
            )));
        }
    }
    if call.node.attributes.flag("input_forget")? {
        return Err(Error::operator(
            "attribute `input_forget` of recurrent layers is not computed",
        ));
    }
    Ok(())
}

/// For each direction whether it runs backwards.
fn directions(call: &Call<'_>) -> Result<Vec<bool>> {
    match call.text("direction", "forward")? {
        "forward" => Ok(vec![false]),
        "reverse" => Ok(vec![true]),
        "bidirectional" => Ok(vec![false, true]),
        other => Err(Error::Operator(format!("the direction `{other}`"))),
    }
}

fn sizes(call: &Call<'_>, x: &Value, directions: usize) -> Result<LayerSizes> {
    let dims: Option<[usize; 3]> = x.dims().try_into().ok();
    let hidden = usize::try_from(call.int("hidden_size", 0)?).ok();
    let hidden = hidden.filter(|hidden| (1..=1 << 24).contains(hidden));
    match (dims, hidden) {
        (Some([samples, steps, inputs]), Some(hidden)) if samples * steps * inputs > 0 => {
            Ok(LayerSizes {
                directions,
                steps,
                samples,
                inputs,
                hidden,
            })
        }
        _ => Err(Error::Operator(format!(
            "an input of shape {:?} and a hidden size of {}, expected 3 axes, none of them empty",
            x.dims(),
            call.int("hidden_size", 0)?
        ))),
    }
}

/// Checks that all sequences are as long as the tensor.
fn check_lengths(call: &mut Call<'_>, steps: usize) -> Result<()> {
    let Some(lengths) = call.optional(4)? else {
        return Ok(());
    };
    let whole = lengths.ints().is_ok_and(|lengths| {
        lengths
            .iter()
            .all(|&length| usize::try_from(length) == Ok(steps))
    });
    if whole {
        return Ok(());
    }
    Err(Error::operator(
        "sequences of different lengths (sequence_lens) are not computed; export the network without packed sequences",
    ))
}

fn shaped(what: &str, value: &Value, expected: &[usize]) -> Result<()> {
    value.clone().float()?;
    if value.dims() == expected {
        return Ok(());
    }
    Err(Error::Operator(format!(
        "{what} has shape {:?}, expected {expected:?}",
        value.dims()
    )))
}

/// An activation function by its name.
fn function(name: &str) -> Result<super::Function> {
    match name.to_ascii_lowercase().as_str() {
        "sigmoid" => Ok(Dispatch::sigmoid),
        "tanh" => Ok(Dispatch::float_tanh),
        "relu" => Ok(Dispatch::relu),
        _ => Err(Error::Operator(format!(
            "the activation function {name} in a recurrent layer, expected Sigmoid, Tanh or Relu"
        ))),
    }
}

/// The activation functions of a direction.
fn functions(call: &Call<'_>, kind: CellKind, direction: usize) -> Result<Vec<super::Function>> {
    let usual = kind.activations();
    let Some(names) = call.node.attributes.texts("activations")? else {
        return usual.iter().map(|name| function(name)).collect();
    };
    let from = direction * usual.len();
    let names = names.get(from..from + usual.len());
    let names = names.ok_or_else(|| Error::operator("attribute `activations` is too short"))?;
    names.iter().map(|name| function(name)).collect()
}

/// The state `(n, hidden)` at the beginning: one that is given, or zero.
fn start(
    call: &Call<'_>,
    given: Option<&Value>,
    direction: usize,
    samples_first: bool,
    sizes: &LayerSizes,
    known: bool,
) -> Result<Value> {
    let state = [sizes.samples, sizes.hidden];
    let Some(given) = given else {
        let zeros = Value::full(0.0, &state, call.devices)?;
        return if known {
            Ok(zeros)
        } else {
            zeros.away(call.devices)
        };
    };
    let [samples, hidden, directions] = [sizes.samples, sizes.hidden, sizes.directions];
    let (axis, expected) = if samples_first {
        (1, [samples, directions, hidden])
    } else {
        (0, [directions, samples, hidden])
    };
    shaped("an initial state", given, &expected)?;
    given
        .clone()
        .slice(axis, direction, direction + 1, 1)
        .reshape(&state)
}

/// All hidden states and those at the end, as ONNX orders their axes.
fn arranged(
    outputs: Vec<(Vec<Value>, RecurrentState)>,
    samples_first: bool,
    sizes: &LayerSizes,
) -> Result<Vec<Slot>> {
    let (n, hidden) = (sizes.samples, sizes.hidden);
    let (step, end, time, direction) = if samples_first {
        (vec![n, 1, 1, hidden], vec![n, 1, hidden], 1, (2, 1))
    } else {
        (vec![1, 1, n, hidden], vec![1, n, hidden], 0, (1, 0))
    };
    let (mut all, mut last, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for (steps, state) in outputs {
        let steps = steps.into_iter().map(|value| value.reshape(&step));
        all.push(Value::concatenated(steps.collect::<Result<_>>()?, time)?);
        last.push(state.hidden.reshape(&end)?);
        if let Some(cell) = state.cell {
            cells.push(cell.reshape(&end)?);
        }
    }
    let mut slots = vec![
        Value::concatenated(all, direction.0)?.into(),
        Value::concatenated(last, direction.1)?.into(),
    ];
    if !cells.is_empty() {
        slots.push(Value::concatenated(cells, direction.1)?.into());
    }
    Ok(slots)
}

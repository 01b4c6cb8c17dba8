//! Recurrent layers, as PyTorch lays out their weights.

use burn::backend::{
    Dispatch, DispatchTensor,
    ops::{ActivationOps, FloatTensorOps},
};
use influence_core::FieldKind::Float;

use super::{Run, arguments::wrong};
use crate::{
    Result,
    operators::{
        Call, Slot,
        recurrent::{CellKind, LayerDirection, RecurrentState},
    },
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "lstm" => |call| run(call, CellKind::Lstm, [0, 3, 1, 2]),
        "gru" => |call| run(call, CellKind::Gru { reset_after: true }, [1, 0, 2, 0]),
        "rnn_tanh" | "rnn_relu" => |call| run(call, CellKind::Rnn, [0; 4]),
        _ => return None,
    })
}

/// The layers of a call, each with as many directions.
struct RecurrentLayers {
    kind: CellKind,
    /// Which rows of the weights belong to each gate.
    order: [usize; 4],
    functions: Vec<fn(DispatchTensor) -> DispatchTensor>,
    directions: usize,
    /// The weights of each direction of each layer, with biases.
    weights: Vec<Vec<Value>>,
    /// The states at the beginning, `(layers · directions, n, hidden)`.
    hidden: Value,
    cells: Option<Value>,
}

fn run(call: &mut Call<'_>, kind: CellKind, order: [usize; 4]) -> Result<Vec<Slot>> {
    if call.has("batch_sizes") {
        return Err(wrong(
            "sequences of different lengths (packed) are not computed; export the network without them",
        ));
    }
    let x = call.operand("input", Float)?;
    let states = call.tensors("hx")?;
    let samples_first = call.is_set("batch_first")?;
    let count = states.len();
    let params = call.tensors("params")?;
    let all = std::iter::once(x).chain(states).chain(params).collect();
    let mut all = Value::all_together(all, call.devices)?.into_iter();
    let x = all.next().filter(|x| x.rank() == 3);
    let x =
        x.ok_or_else(|| wrong("expected an input with three axes: samples, steps and features"))?;
    let mut states = all.by_ref().take(count).collect::<Vec<_>>().into_iter();
    let hidden = states
        .next()
        .ok_or_else(|| wrong("there is no initial state"))?;
    let layers = RecurrentLayers {
        kind,
        order,
        functions: functions(call, kind),
        directions: if call.is_set("bidirectional")? { 2 } else { 1 },
        weights: weights(call, &all.collect::<Vec<_>>())?,
        hidden,
        cells: states.next(),
    };
    let x = if samples_first {
        x
    } else {
        x.permute(&[1, 0, 2])?
    };
    let (x, hidden, cells) = layers.run(x, call)?;
    let x = if samples_first {
        x
    } else {
        x.permute(&[1, 0, 2])?
    };
    let mut results = vec![x.into(), Value::concatenated(hidden, 0)?.into()];
    if !cells.is_empty() {
        results.push(Value::concatenated(cells, 0)?.into());
    }
    Ok(results)
}

fn functions(call: &Call<'_>, kind: CellKind) -> Vec<fn(DispatchTensor) -> DispatchTensor> {
    match kind {
        CellKind::Rnn if call.base() == "rnn_relu" => vec![Dispatch::relu],
        CellKind::Rnn => vec![Dispatch::float_tanh],
        CellKind::Gru { .. } => vec![Dispatch::sigmoid, Dispatch::float_tanh],
        CellKind::Lstm => vec![
            Dispatch::sigmoid,
            Dispatch::float_tanh,
            Dispatch::float_tanh,
        ],
    }
}

/// The weights of each direction of each layer.
fn weights(call: &mut Call<'_>, params: &[Value]) -> Result<Vec<Vec<Value>>> {
    let layers = call
        .whole("num_layers")?
        .and_then(|layers| usize::try_from(layers).ok());
    let directions = if call.is_set("bidirectional")? { 2 } else { 1 };
    let each = if call.is_set("has_biases")? { 4 } else { 2 };
    let expected = layers.and_then(|layers| layers.checked_mul(directions * each));
    if expected != Some(params.len()) || params.is_empty() {
        return Err(wrong(format_args!(
            "{} weights in a recurrent layer; projections (proj_size) are not computed",
            params.len()
        )));
    }
    Ok(params.chunks(each).map(<[Value]>::to_vec).collect())
}

impl RecurrentLayers {
    /// The hidden states of the last layer `(n, steps, directions · hidden)`, and the states of all
    /// at the end.
    fn run(&self, mut x: Value, call: &Call<'_>) -> Result<(Value, Vec<Value>, Vec<Value>)> {
        let (mut ends, mut cells) = (Vec::new(), Vec::new());
        for (layer, weights) in self.weights.chunks(self.directions).enumerate() {
            let mut sides = Vec::with_capacity(self.directions);
            for (side, weights) in weights.iter().enumerate() {
                let at = layer * self.directions + side;
                let state = RecurrentState {
                    hidden: part(&self.hidden, at)?,
                    cell: self
                        .cells
                        .as_ref()
                        .map(|cells| part(cells, at))
                        .transpose()?,
                };
                let direction = self.direction(weights, side == 1)?;
                let (steps, end) = direction.unroll(x.clone(), state, call.devices)?;
                let steps = steps.into_iter().map(|step| lifted(step, 1));
                sides.push(Value::concatenated(steps.collect::<Result<_>>()?, 1)?);
                ends.push(lifted(end.hidden, 0)?);
                if let Some(cell) = end.cell {
                    cells.push(lifted(cell, 0)?);
                }
            }
            x = Value::concatenated(sides, 2)?;
        }
        Ok((x, ends, cells))
    }

    fn direction(&self, weights: &[Value], backwards: bool) -> Result<LayerDirection> {
        let [input, recurrent, shifts @ ..] = weights else {
            return Err(wrong("a recurrent layer without weights"));
        };
        Ok(LayerDirection {
            kind: self.kind,
            order: self.order,
            functions: self.functions.clone(),
            input: input.clone(),
            recurrent: recurrent.clone(),
            shifts: match shifts {
                [input, recurrent] => Some([input.clone(), recurrent.clone()]),
                _ => None,
            },
            peepholes: None,
            backwards,
        })
    }
}

/// With an axis of length 1 at this place.
fn lifted(value: Value, axis: usize) -> Result<Value> {
    let mut dims = value.dims();
    dims.insert(axis, 1);
    value.reshape(&dims)
}

/// The state of one direction of one layer.
fn part(states: &Value, at: usize) -> Result<Value> {
    let dims = states.dims();
    if dims.len() != 3 || at >= dims[0] {
        return Err(wrong(format_args!("an initial state of shape {dims:?}")));
    }
    states.clone().slice(0, at, at + 1, 1).reshape(&dims[1..])
}

//! Recurrent layers: RNN, LSTM and GRU, unrolled over time.
//!
//! For a step `t` with input `x_t` and hidden state `h_{t−1}`, each gate `k` has
//!
//! ```text
//! a_k = W_k x_t + b_k,      r_k = R_k h_{t−1} + d_k
//! ```
//!
//! with the rows of all gates in one matrix `W` and one matrix `R`. Then
//!
//! ```text
//! RNN    h_t = f(a + r)
//! LSTM   i, o, f = σ(a_k + r_k)            c_t = f ∘ c_{t−1} + i ∘ tanh(a_c + r_c)
//!                                          h_t = o ∘ tanh(c_t)
//! GRU    z, u = σ(a_k + r_k)               h_t = (1 − z) ∘ g + z ∘ h_{t−1}
//!        g = tanh(a_g + R_g (u ∘ h_{t−1}) + d_g), or
//!        g = tanh(a_g + u ∘ r_g)           where the reset comes after the product
//! ```
//!
//! Peepholes add `p_i ∘ c_{t−1}`, `p_f ∘ c_{t−1}` and `p_o ∘ c_t` to three gates of an LSTM. `W` is
//! applied to all steps at once, samples first, `R` once a step: both are products with a matrix on
//! the right, as those of any linear layer. A layer that runs backwards takes the steps in the
//! other order. Layouts and directions of ONNX are arranged around this in [`layer`].

mod layer;

use burn::backend::DispatchTensor;

use super::{Operator, linear::product};
use crate::{
    Error, Result,
    value::{Devices, Value},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::through(
        match name {
            "RNN" => |call| layer::run(call, CellKind::Rnn),
            "LSTM" => |call| layer::run(call, CellKind::Lstm),
            "GRU" => |call| {
                let reset_after = call.node.attributes.flag("linear_before_reset")?;
                layer::run(call, CellKind::Gru { reset_after })
            },
            _ => return None,
        },
        &[0, 1, 2, 3, 5, 6, 7],
    ))
}

/// What a step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    Rnn,
    Lstm,
    Gru {
        /// Whether the reset gate acts on `R h`, and not on `h`.
        reset_after: bool,
    },
}

impl CellKind {
    /// How many gates have rows in the matrices.
    pub(super) fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::Gru { .. } => 3,
        }
    }

    /// The activation functions of a step, by the names that ONNX has for them.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
        }
    }
}

type Function = fn(DispatchTensor) -> DispatchTensor;

/// One direction of a layer.
pub(super) struct LayerDirection {
    pub(super) kind: CellKind,
    /// Which rows of the matrices belong to each gate: of an LSTM `i, o, f, c`, of a GRU `z, u, g`.
    pub(super) order: [usize; 4],
    /// The functions in the order of ONNX.
    pub(super) functions: Vec<Function>,
    /// `W (gates · hidden, inputs)` and `R (gates · hidden, hidden)`.
    pub(super) input: Value,
    pub(super) recurrent: Value,
    /// `b` and `d`, `(gates · hidden)`.
    pub(super) shifts: Option<[Value; 2]>,
    /// `p_i`, `p_o` and `p_f`, `(hidden)`.
    pub(super) peepholes: Option<[Value; 3]>,
    /// From the last step to the first.
    pub(super) backwards: bool,
}

/// The state of the samples, each part `(n, hidden)`.
#[derive(Clone)]
pub(super) struct RecurrentState {
    pub(super) hidden: Value,
    /// Of an LSTM.
    pub(super) cell: Option<Value>,
}

impl LayerDirection {
    /// The hidden states `(n, hidden)` of all steps of `x (n, steps, inputs)`, and the state at the
    /// end.
    pub(super) fn unroll(
        &self,
        x: Value,
        mut state: RecurrentState,
        devices: &Devices,
    ) -> Result<(Vec<Value>, RecurrentState)> {
        let (samples, steps) = (x.dims()[0], x.dims()[1]);
        let mut gates = product(x, self.input.clone().transposed()?, devices)?;
        if let Some([shift, _]) = &self.shifts {
            gates = gates.plus(shift.clone())?;
        }
        let width = gates.dims()[2];
        let recurrent = self.recurrent.clone().transposed()?;
        let mut hidden = Vec::with_capacity(steps);
        for index in 0..steps {
            let step = if self.backwards {
                steps - 1 - index
            } else {
                index
            };
            let now = gates.clone().slice(1, step, step + 1, 1);
            let now = now.reshape(&[samples, width])?;
            state = self.step(now, state, &recurrent, devices)?;
            hidden.push(state.hidden.clone());
        }
        if self.backwards {
            hidden.reverse();
        }
        Ok((hidden, state))
    }

    /// The columns of a gate.
    fn gate(&self, gates: &Value, gate: usize) -> Value {
        let width = gates.dims()[1] / self.kind.gates();
        let from = self.order[gate] * width;
        gates.clone().slice(1, from, from + width, 1)
    }

    fn apply(&self, function: usize, value: Value) -> Value {
        value.map(self.functions[function])
    }

    fn step(
        &self,
        now: Value,
        state: RecurrentState,
        recurrent: &Value,
        devices: &Devices,
    ) -> Result<RecurrentState> {
        let reset_before = self.kind == CellKind::Gru { reset_after: false };
        if reset_before {
            return self.gru_before(&now, state.hidden, recurrent, devices);
        }
        let mut before = product(state.hidden.clone(), recurrent.clone(), devices)?;
        if let Some([_, shift]) = &self.shifts {
            before = before.plus(shift.clone())?;
        }
        match self.kind {
            CellKind::Rnn => Ok(RecurrentState {
                hidden: self.apply(0, now.plus(before)?),
                cell: None,
            }),
            CellKind::Lstm => self.lstm(&now.plus(before)?, state),
            CellKind::Gru { .. } => self.gru_after(&now, &before, state.hidden),
        }
    }

    fn lstm(&self, gates: &Value, state: RecurrentState) -> Result<RecurrentState> {
        let cell = state
            .cell
            .ok_or_else(|| Error::operator("an LSTM without a cell"))?;
        let peep = |gate: Value, peephole: usize, cell: &Value| match &self.peepholes {
            Some(peepholes) => gate.plus(peepholes[peephole].clone().times(cell.clone())?),
            None => Ok(gate),
        };
        let enter = self.apply(0, peep(self.gate(gates, 0), 0, &cell)?);
        let forget = self.apply(0, peep(self.gate(gates, 2), 2, &cell)?);
        let fresh = self.apply(1, self.gate(gates, 3));
        let cell = forget.times(cell)?.plus(enter.times(fresh)?)?;
        let leave = self.apply(0, peep(self.gate(gates, 1), 1, &cell)?);
        Ok(RecurrentState {
            hidden: leave.times(self.apply(2, cell.clone()))?,
            cell: Some(cell),
        })
    }

    /// `g + z ∘ (h − g)`.
    fn blend(update: Value, fresh: Value, hidden: Value) -> Result<RecurrentState> {
        let change = update.times(hidden.minus(fresh.clone())?)?;
        Ok(RecurrentState {
            hidden: fresh.plus(change)?,
            cell: None,
        })
    }

    fn gru_after(&self, now: &Value, before: &Value, hidden: Value) -> Result<RecurrentState> {
        let gate = |gate| self.gate(now, gate).plus(self.gate(before, gate));
        let (update, reset) = (self.apply(0, gate(0)?), self.apply(0, gate(1)?));
        let fresh = self.gate(now, 2).plus(reset.times(self.gate(before, 2))?)?;
        Self::blend(update, self.apply(1, fresh), hidden)
    }

    /// The reset gate enters the product, which is therefore taken in two parts.
    fn gru_before(
        &self,
        now: &Value,
        hidden: Value,
        recurrent: &Value,
        devices: &Devices,
    ) -> Result<RecurrentState> {
        let part = |state: Value, gate: usize| {
            let before = product(state, self.gate(recurrent, gate), devices)?;
            let sum = self.gate(now, gate).plus(before)?;
            match &self.shifts {
                Some([_, shift]) => {
                    let row = shift.clone().reshape(&[1, shift.dims()[0]])?;
                    sum.plus(self.gate(&row, gate))
                }
                None => Ok(sum),
            }
        };
        let update = self.apply(0, part(hidden.clone(), 0)?);
        let reset = self.apply(0, part(hidden.clone(), 1)?);
        let fresh = self.apply(1, part(reset.times(hidden.clone())?, 2)?);
        Self::blend(update, fresh, hidden)
    }
}

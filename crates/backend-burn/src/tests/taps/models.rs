//! Models of sequences `(n, 5, 4)` with outputs `(n, 2)`, written as exporters write them.

use std::ops::Range;

use burn::{
    module::{Module, Param},
    nn::{
        Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        gru::{self, GruConfig},
        lstm::{self, LstmConfig},
    },
    tensor::{
        Device, Int, Tensor,
        activation::{sigmoid, softmax},
    },
};

fn parameter<const D: usize>(shape: [usize; D]) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::ones(shape, &Device::flex()))
}

fn linear(from: usize, to: usize) -> Linear {
    LinearConfig::new(from, to).init(&Device::flex())
}

/// One class token expanded and one repeated over the samples, before the positions, and a shift
/// that is expanded before it is added.
#[derive(Module, Debug)]
pub(super) struct ClassTokens {
    class: Param<Tensor<3>>,
    teacher: Param<Tensor<2>>,
    shift: Param<Tensor<1>>,
    mask: Param<Tensor<1>>,
    mix: Linear,
    last: Linear,
}

impl ClassTokens {
    pub(super) fn new() -> Self {
        Self {
            class: parameter([1, 1, 4]),
            teacher: parameter([1, 4]),
            shift: parameter([4]),
            mask: parameter([4]),
            mix: linear(4, 4),
            last: linear(8, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [n, t, d] = x.dims();
        let hidden = x.clone().greater_elem(0.8);
        let mask = self.mask.val().reshape([1, 1, 4]).expand([n, t, d]);
        let x = x.mask_where(hidden, mask);
        let class = self.class.val().expand([n, 1, d]);
        let teacher = self.teacher.val().unsqueeze_dim::<3>(1).repeat_dim(0, n);
        let x = Tensor::cat(vec![class, teacher, x], 1);
        let shift = self.shift.val().expand([n, t + 2, d]);
        let x = self.mix.forward(x + shift).tanh();
        let x = x.clone() * x.mean_dim(1);
        let tokens = x.slice([0..n, 0..2]).reshape([n, 2 * d]);
        self.last.forward(tokens)
    }
}

/// Tables of positions and features, read through constant indices.
#[derive(Module, Debug)]
pub(super) struct Places {
    rows: Param<Tensor<2>>,
    columns: Param<Tensor<2>>,
    last: Linear,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            rows: parameter([7, 4]),
            columns: parameter([5, 6]),
            last: linear(4, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let device = x.device();
        let indices = |indices: [i64; 5]| Tensor::<1, Int>::from_ints(indices, &device);
        // Some places occur twice, some never.
        let places = self.rows.val().select(0, indices([3, 0, 3, 6, 1]));
        let columns = self.columns.val().swap_dims(0, 1);
        let columns = columns.select(0, indices([5, 1, 2, 2, 0]).slice(0..4));
        let x = (x + places.unsqueeze()) * columns.swap_dims(0, 1).unsqueeze();
        self.last.forward(x.tanh().mean_dim(1).squeeze_dim::<2>(1))
    }
}

/// A table whose rows are chosen by constants, one index for each sample and position.
#[derive(Module, Debug)]
pub(super) struct Kinds {
    kinds: Embedding,
    last: Linear,
}

impl Kinds {
    pub(super) fn new() -> Self {
        Self {
            kinds: EmbeddingConfig::new(3, 4).init(&Device::flex()),
            last: linear(4, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let n = x.dims()[0];
        let kinds = Tensor::<2, Int>::from_ints([[0, 2, 0, 0, 1]], &x.device());
        let x = (x + self.kinds.forward(kinds.repeat_dim(0, n))).tanh();
        self.last.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    }
}

/// Every kind of layer on `(t, n, features)` and on `(t · n, features)`.
#[derive(Module, Debug)]
pub(super) struct TimeFirst {
    places: Param<Tensor<3>>,
    first: Linear,
    norm: LayerNorm,
    second: Linear,
    last: Linear,
}

impl TimeFirst {
    pub(super) fn new() -> Self {
        Self {
            places: parameter([5, 1, 4]),
            first: linear(4, 6),
            norm: LayerNormConfig::new(6).init(&Device::flex()),
            second: linear(6, 4),
            last: linear(4, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let x = x.swap_dims(0, 1);
        let [t, n, _] = x.dims();
        let x = self.first.forward(x + self.places.val()).tanh();
        let x = self.norm.forward(x).reshape([t * n, 6]);
        let x = self.second.forward(x).tanh().reshape([t, n, 4]);
        let weights = softmax(x.clone(), 0);
        self.last
            .forward((x * weights).sum_dim(0).squeeze_dim::<2>(0))
    }
}

/// Attention of two heads as torch computes it: positions first, one matrix for queries, keys and
/// values, heads beside the samples.
#[derive(Module, Debug)]
pub(super) struct Attention {
    in_projection: Param<Tensor<2>>,
    in_bias: Param<Tensor<1>>,
    out_projection: Param<Tensor<2>>,
    out_bias: Param<Tensor<1>>,
    last: Linear,
}

impl Attention {
    pub(super) fn new(width: usize) -> Self {
        Self {
            in_projection: parameter([3 * width, width]),
            in_bias: parameter([3 * width]),
            out_projection: parameter([width, width]),
            out_bias: parameter([width]),
            last: linear(width, 2),
        }
    }

    /// One product for queries, keys and values.
    pub(super) fn packed(&self, x: Tensor<3>) -> Tensor<2> {
        let x = x.swap_dims(0, 1);
        let [t, n, d] = x.dims();
        let weight: Tensor<3> = self.in_projection.val().swap_dims(0, 1).unsqueeze();
        let all = x.matmul(weight) + self.in_bias.val().unsqueeze();
        let all = all.reshape([t, n, 3, d]).unsqueeze::<5>().swap_dims(0, 3);
        let all = all.reshape([3, t, n, d]);
        let part = |index: usize| all.clone().slice(index..index + 1).reshape([t, n, d]);
        self.attended(part(0), part(1), part(2))
    }

    /// One product for each, with slices of the matrix.
    pub(super) fn in_slices(&self, x: Tensor<3>) -> Tensor<2> {
        let x = x.swap_dims(0, 1);
        let d = x.dims()[2];
        let part = |index: usize| {
            let rows = index * d..(index + 1) * d;
            let weight = self.in_projection.val().slice([rows.clone(), 0..d]);
            let bias = self.in_bias.val().slice([rows]);
            x.clone().matmul(weight.transpose().unsqueeze()) + bias.unsqueeze()
        };
        self.attended(part(0), part(1), part(2))
    }

    fn attended(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<2> {
        let [t, n, d] = q.dims();
        let heads = |x: Tensor<3>| x.reshape([t, 2 * n, d / 2]).swap_dims(0, 1);
        let (q, k, v) = (heads(q), heads(k), heads(v));
        let attention = softmax(q.matmul(k.swap_dims(1, 2)), 2);
        let x = attention.matmul(v).swap_dims(0, 1).reshape([t * n, d]);
        let x = x.matmul(self.out_projection.val().transpose()) + self.out_bias.val().unsqueeze();
        let x = x.reshape([t, n, d]).swap_dims(0, 1).tanh();
        self.last.forward(x.mean_dim(1).squeeze_dim::<2>(1))
    }
}

/// A recurrent layer with parameters in torch's order of gates, put into that of ONNX, unrolled.
#[derive(Module, Debug)]
pub(super) struct Lstm {
    input: Param<Tensor<2>>,
    recurrent: Param<Tensor<2>>,
    input_bias: Param<Tensor<1>>,
    recurrent_bias: Param<Tensor<1>>,
    last: Linear,
    hidden: usize,
}

impl Lstm {
    pub(super) fn new(width: usize, hidden: usize) -> Self {
        Self {
            input: parameter([4 * hidden, width]),
            recurrent: parameter([4 * hidden, hidden]),
            input_bias: parameter([4 * hidden]),
            recurrent_bias: parameter([4 * hidden]),
            last: linear(hidden, 2),
            hidden,
        }
    }

    /// Gates `i, f, g, o` as `i, o, f, g`.
    fn reordered<const D: usize>(&self, parameter: &Param<Tensor<D>>) -> Tensor<D> {
        let h = self.hidden;
        let gate = |index: usize| parameter.val().slice(index * h..(index + 1) * h);
        Tensor::cat(vec![gate(0), gate(3), gate(1), gate(2)], 0)
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let ([n, t, _], h) = (x.dims(), self.hidden);
        let matrix = |parameter: &Param<Tensor<2>>| {
            let direction: Tensor<3> = self.reordered(parameter).unsqueeze();
            direction.slice(0..1).squeeze_dim::<2>(0).transpose()
        };
        let (input, recurrent) = (matrix(&self.input), matrix(&self.recurrent));
        let [own, back] = [&self.input_bias, &self.recurrent_bias].map(|bias| self.reordered(bias));
        let bias: Tensor<2> = Tensor::cat(vec![own, back], 0).unsqueeze();
        let bias = bias.slice(0..1).squeeze_dim::<1>(0);
        let own = bias.clone().slice(0..4 * h).unsqueeze();
        let back: Tensor<3> = bias.slice(4 * h..8 * h).unsqueeze();
        let gates = x.matmul(input.unsqueeze()) + own;
        // Of one layer: a constant with the samples on its second axis.
        let mut state = Tensor::<3>::zeros([1, n, h], (&gates.device(), gates.dtype()));
        let mut cell = state.clone();
        for step in 0..t {
            let gates = gates
                .clone()
                .slice([0..n, step..step + 1])
                .squeeze_dim::<2>(1);
            let recurrence = state.matmul(recurrent.clone().unsqueeze()) + back.clone();
            let gates = gates.unsqueeze::<3>() + recurrence;
            let gate = |index: usize| gates.clone().narrow(2, index * h, h);
            let kept = sigmoid(gate(2)) * cell;
            cell = kept + sigmoid(gate(0)) * gate(3).tanh();
            state = sigmoid(gate(1)) * cell.clone().tanh();
        }
        self.last.forward(state.squeeze_dim::<2>(0))
    }
}

/// Recurrent layers as burn has them: a matrix for each gate, and a constant to start from.
#[derive(Module, Debug)]
pub(super) struct Recurrent {
    lstm: lstm::Lstm,
    gru: gru::Gru,
    last: Linear,
}

impl Recurrent {
    pub(super) fn new() -> Self {
        let device = Device::flex();
        Self {
            lstm: LstmConfig::new(4, 3, true).init(&device),
            gru: GruConfig::new(3, 3, true).init(&device),
            last: linear(3, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let (states, _) = self.lstm.forward(x, None);
        let states = self.gru.forward(states, None);
        self.last.forward(states.mean_dim(1).squeeze_dim::<2>(1))
    }
}

/// A recurrent layer with one matrix `(features + hidden, 2 · hidden)`, of which blocks are used at
/// every step.
#[derive(Module, Debug)]
pub(super) struct Gru {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<2>>,
    last: Linear,
}

impl Gru {
    pub(super) fn new() -> Self {
        Self {
            weight: parameter([7, 6]),
            bias: parameter([3, 2]),
            last: linear(3, 2),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "as tasks call it")]
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [n, t, d] = x.dims();
        let block = |rows: &Range<usize>, columns: &Range<usize>| {
            self.weight.val().slice([rows.clone(), columns.clone()])
        };
        let bias = |gate| self.bias.val().slice([0..3, gate..gate + 1]).transpose();
        let mut state = Tensor::<2>::zeros([n, 3], (&x.device(), x.dtype()));
        for step in 0..t {
            let x = x.clone().slice([0..n, step..step + 1]).squeeze_dim::<2>(1);
            let both = Tensor::cat(vec![x.clone(), state.clone()], 1);
            let update = sigmoid(both.matmul(block(&(0..7), &(0..3))) + bias(0));
            let own = x.matmul(block(&(0..d), &(3..6)));
            let candidate = (own + state.clone().matmul(block(&(d..7), &(3..6))) + bias(1)).tanh();
            state = candidate.clone() + update * (state - candidate);
        }
        self.last.forward(state)
    }
}

/// A matrix, all of it at one place, rows of it at another, and rows that overlap at a third.
#[derive(Module, Debug)]
pub(super) struct Overlap {
    weight: Param<Tensor<2>>,
    last: Linear,
}

impl Overlap {
    pub(super) fn new() -> Self {
        Self {
            weight: parameter([4, 4]),
            last: linear(4, 2),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let n = x.dims()[0];
        let x = x.mean_dim(1).squeeze_dim::<2>(1);
        let rows = |rows| self.weight.val().slice([rows, 0..4]);
        let columns = |columns| x.clone().slice([0..n, columns]);
        let sum = x.clone().matmul(self.weight.val())
            + columns(0..3).matmul(rows(0..3)).tanh()
            + columns(1..4).matmul(rows(1..4));
        self.last.forward(sum.tanh())
    }
}

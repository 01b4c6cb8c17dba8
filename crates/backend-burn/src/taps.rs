//! Taps: the operations of a graph where parameters meet the data, and per-sample gradients from
//! one backward pass.
//!
//! The problem. An ordinary backward pass of `Σ_i ℓ_i` gives the *sum* over samples of the
//! gradients. One backward pass for each sample gives them one by one, but costs `n` passes of
//! kernels that are too small for the machine.
//!
//! The idea. Take an operation `s = x W` on activations `x (n, t, in)`, with one row for each
//! sample and position. Leave a *probe* at its output, which keeps the gradient that comes by in
//! the backward pass of the sum:
//!
//! ```text
//! δ = ∂(Σ_i ℓ_i)/∂s        (n, t, out)
//! ```
//!
//! These are the output gradients of all samples. Samples do not interact, hence row `i` of `δ` is
//! `∂ℓ_i/∂s_i` of sample `i` alone, and
//!
//! ```text
//! ∂ℓ_i/∂W = Σ_t x_it ⊗ δ_it
//! ```
//!
//! follows from what the forward pass has seen and what the probe has kept. It remains as the
//! two thin factors `x_i` and `δ_i`, of `t (in + out)` numbers in place of `in · out`.
//!
//! Each kind of operation has its own rule (`engine/probe` applies them):
//!
//! | operation | gradient of its parameter for sample `i` |
//! |---|---|
//! | `x W` | `Σ_t x_it ⊗ δ_it`, the factors swapped where `Wᵀ` is stored |
//! | convolution | the same, with unfolded patches for `x` |
//! | transposed convolution | the same, with unfolded patches of `δ` |
//! | `γ ∘ z + β` after a normalisation | `Σ_t z_it ∘ δ_it` and `Σ_t δ_it` |
//! | rows of an embedding table | `δ_it` added into the row of token `i, t` |
//! | `x + b`, `x ∘ b`, `[x, b]`, … with the same `b` for all samples | that of a copy of `b` for each |
//!
//! The last rule needs no formula: each sample gets its own copy of the operand, and the gradient
//! of the copy is that of the sample. The operand is broadcast over the samples, or was expanded
//! over them before, as class tokens are.
//!
//! How parameters arrive. The tensor that meets the data is often a *view*: a parameter in another
//! shape, transposed, a slice of it, several of them joined, copied along an axis, or rows of it by
//! constant indices. The steps are written down (`view`), and undone for the gradients:
//!
//! | step | undone for a gradient |
//! |---|---|
//! | reshape, permutation | the inverse; of an outer product, its factors swapped |
//! | slice | put into its place among zeros |
//! | one part of several joined | cut out; of an outer product, out of one factor |
//! | copies along an axis | summed |
//! | entries by constant indices | added into their places |
//!
//! A slice of entries that follow one another, such as a gate of a recurrent layer or the keys of a
//! packed attention, needs no zeros: its gradient is that of these entries alone. A matrix that is
//! used at every step of a recurrent layer has a tap at each; the outer products of its parts are
//! collected along the positions.
//!
//! Where the samples are. Reading row `i` of a probe needs the axis of the samples. It is the first
//! in the fields of a batch, and is followed from there through each operation (`samples`): a
//! permutation moves it, a reshape keeps the number of entries before it, so that it may be joined
//! with others (`n · t` rows, or `t · n`), and most operations leave it where it is. Where that
//! gives no answer, it is taken to be the first if its length allows it. The state that a recurrent
//! layer starts from may be a constant: there it is the first axis that has room for the samples.
//!
//! A parameter that is used in any other way has no tap; its gradients come from batches of one.
//! That a tap is right is not believed either: `source/check` compares all of them with batches of
//! one when a model is fitted.
//!
//! Goodfellow, *Efficient per-example gradient computations*, 2015; Rochette, Manoel and Tramel,
//! *Efficient per-example gradient computations in convolutional neural networks*, 2019.

mod changes;
mod samples;
mod search;
mod view;

use std::collections::{BTreeSet, HashMap};

use burn::backend::ir::TensorIr;

pub(crate) use samples::SampleAxis;
pub(crate) use view::{ParameterView, ViewStep, swaps_matrix, without_leading_ones};

/// How one operation uses parameters; numbers of parameters are their indices. The samples of a
/// tensor lie in it as `(before, samples, after)`.
#[derive(Debug, Clone)]
pub(crate) enum Tap {
    /// `x · W` with a matrix made of parameters.
    Linear {
        weight: Vec<ParameterView>,
        before: usize,
    },
    /// A convolution over one or two axes, plain or transposed.
    Convolution {
        weight: Option<usize>,
        bias: Option<usize>,
    },
    /// A normalisation followed by `γ ∘ x + β`.
    Normalisation {
        scale: Option<usize>,
        shift: Option<usize>,
        before: usize,
    },
    /// Rows of an embedding table, by indices that are data.
    Embedding { table: usize, before: usize },
    /// An operation on operands that are the same for all samples; every sample gets a copy of
    /// them. The axis is that of the result.
    Copies {
        operands: Vec<CopiedOperand>,
        axis: SampleAxis,
    },
    /// No tap but a step to a view, which is undone with the help of the constant indices that the
    /// operation reads: positions for example.
    ConstantIndices,
}

/// An operand that is made of parameters.
#[derive(Debug, Clone)]
pub(crate) struct CopiedOperand {
    pub(crate) tensor: TensorIr,
    pub(crate) views: Vec<ParameterView>,
}

/// The taps of a graph.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    by_operation: HashMap<usize, Tap>,
    untapped: BTreeSet<usize>,
}

impl Taps {
    pub(crate) fn at(&self, operation: usize) -> Option<&Tap> {
        self.by_operation.get(&operation)
    }

    /// Parameters that are used in a way that no tap covers.
    pub(crate) fn untapped(&self) -> &BTreeSet<usize> {
        &self.untapped
    }
}

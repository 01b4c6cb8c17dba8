//! Taps: the operations of a graph where parameters meet the data, and per-sample gradients from
//! one backward pass.
//!
//! The problem. An ordinary backward pass of `Σ_i ℓ_i` gives the *sum* over samples of the
//! gradients. One backward pass for each sample gives them one by one, but costs `n` passes of
//! kernels that are too small for the machine.
//!
//! The idea. Take an operation `s = x W` on activations `x (n, t, in)`, with one row for each
//! sample and position. Replace its output by `s + p`, where `p` is a tensor of zeros shaped as
//! `s`: a *probe*. Nothing changes in the forward pass, and the backward pass of the sum gives
//!
//! ```text
//! δ = ∂(Σ_i ℓ_i)/∂p        (n, t, out)
//! ```
//!
//! the output gradients of all samples. Samples do not interact, hence row `i` of `δ` is
//! `∂ℓ_i/∂s_i` of sample `i` alone, and
//!
//! ```text
//! ∂ℓ_i/∂W = Σ_t x_it ⊗ δ_it
//! ```
//!
//! follows from what the forward pass has seen and what the probe has received. It is kept as the
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
//! | `x + b`, `x ∘ b`, … broadcast over samples | that of a copy of `b` for each sample |
//!
//! The last rule needs no formula: each sample gets its own copy of the operand, and the gradient
//! of the copy is that of the sample.
//!
//! Where a parameter passes through reshapes and transpositions first, the tensor that arrives is a
//! *view* of it. The steps are written down, and undone for the gradients. A parameter that is used
//! in any other way has no tap; its gradients come from batches of one. That a tap is right is not
//! believed either: `source/check` compares all of them with batches of one when a model is fitted.
//!
//! Which axis is that of the samples cannot be seen in a graph recorded at one size of batch. The
//! rule is that it is the first, perhaps joined with others (`n · t` rows), of every tensor that
//! depends on the data; the comparison finds models for which that is false.
//!
//! Goodfellow, *Efficient per-example gradient computations*, 2015; Rochette, Manoel and Tramel,
//! *Efficient per-example gradient computations in convolutional neural networks*, 2019.

mod search;

use std::collections::{BTreeSet, HashMap};

use burn::backend::ir::TensorIr;

/// How one operation uses parameters; each number is the index of a parameter.
#[derive(Debug, Clone)]
pub(crate) enum Tap {
    /// `x · W`, or `x · Wᵀ` where the parameter is stored transposed.
    Linear { weight: usize, transposed: bool },
    /// A convolution over one or two axes, plain or transposed.
    Convolution {
        weight: Option<usize>,
        bias: Option<usize>,
    },
    /// A normalisation followed by `γ ∘ x + β`.
    Normalisation {
        scale: Option<usize>,
        shift: Option<usize>,
    },
    /// Rows of an embedding table, by indices that are data.
    Embedding { table: usize },
    /// A broadcasting elementwise operation; every sample gets a copy of the operand.
    Elementwise {
        operand: TensorIr,
        view: ParameterView,
    },
    /// Rows of an embedding table by constant indices, positions for example: no tap but a view,
    /// which is undone with the help of the indices.
    ConstantEmbedding,
}

/// A tensor made of one parameter by changes of shape alone.
#[derive(Debug, Clone)]
pub(crate) struct ParameterView {
    pub(crate) parameter: usize,
    pub(crate) steps: Vec<ViewStep>,
    /// Whether the matrix in its last two axes is the transpose of the parameter; `None` where it
    /// is another matrix.
    transposed: Option<bool>,
}

impl ParameterView {
    /// Whether it holds the values of the parameter in their order.
    pub(crate) fn keeps_order(&self) -> bool {
        let reshaped = |step: &ViewStep| matches!(step, ViewStep::Reshape { .. });
        self.steps.iter().all(reshaped)
    }
}

/// One change of shape, with what is needed to undo it.
#[derive(Debug, Clone)]
pub(crate) enum ViewStep {
    Reshape {
        from: Vec<usize>,
    },
    Permute {
        axes: Vec<usize>,
    },
    /// Rows of a table `(entries, width)`, by the indices that the operation of this number reads.
    Embedding {
        operation: usize,
        entries: usize,
        width: usize,
    },
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

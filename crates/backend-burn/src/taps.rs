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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BinaryOpIr, FloatOperationIr, MatmulOpIr,
    ModuleOperationIr, NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use crate::graph::Convolution;

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
    Elementwise { operand: TensorIr, view: View },
    /// Rows of an embedding table by constant indices, positions for example: no tap but a view,
    /// which is undone with the help of the indices.
    ConstantEmbedding,
}

/// A tensor made of one parameter by changes of shape alone.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) parameter: usize,
    pub(crate) steps: Vec<ViewStep>,
    /// Whether the matrix in its last two axes is the transpose of the parameter; `None` where it
    /// is another matrix.
    transposed: Option<bool>,
}

impl View {
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
    /// Follows the trained parameters through a graph recorded on a batch of `samples`.
    pub(crate) fn find(
        operations: &[OperationIr],
        parameters: &BTreeMap<TensorId, usize>,
        inputs: &[TensorId],
        samples: usize,
    ) -> Self {
        let views = parameters
            .iter()
            .map(|(&id, &parameter)| {
                (
                    id,
                    View {
                        parameter,
                        steps: Vec::new(),
                        transposed: Some(false),
                    },
                )
            })
            .collect();
        let mut search = TapSearch {
            views,
            data: inputs.iter().copied().collect(),
            samples,
            taps: Self::default(),
        };
        for (index, operation) in operations.iter().enumerate() {
            search.visit(index, operation);
        }
        search.taps
    }

    pub(crate) fn at(&self, operation: usize) -> Option<&Tap> {
        self.by_operation.get(&operation)
    }

    /// Parameters that are used in a way that no tap covers.
    pub(crate) fn untapped(&self) -> &BTreeSet<usize> {
        &self.untapped
    }
}

/// Follows parameters and data through the operations.
struct TapSearch {
    /// The parameters, and what changes of shape make of them.
    views: HashMap<TensorId, View>,
    /// Tensors that depend on the batch.
    data: HashSet<TensorId>,
    samples: usize,
    taps: Taps,
}

/// What an operation does to the parameters it reads.
enum Meaning {
    View(TensorId, View),
    Tap(Tap),
    Untapped,
}

impl TapSearch {
    fn visit(&mut self, index: usize, operation: &OperationIr) {
        if matches!(operation, OperationIr::Init(_)) {
            return;
        }
        let reads: Vec<&TensorIr> = operation.inputs().collect();
        if reads.iter().any(|tensor| self.data.contains(&tensor.id)) {
            self.data
                .extend(operation.outputs().map(|tensor| tensor.id));
        }
        let read: Vec<usize> = reads
            .iter()
            .filter_map(|tensor| self.views.get(&tensor.id))
            .map(|view| view.parameter)
            .collect();
        if read.is_empty() {
            return;
        }
        match self.meaning(index, operation) {
            Meaning::View(id, view) => {
                if matches!(view.steps.last(), Some(ViewStep::Embedding { .. })) {
                    self.taps.by_operation.insert(index, Tap::ConstantEmbedding);
                }
                self.views.insert(id, view);
            }
            Meaning::Tap(tap) => {
                self.taps.by_operation.insert(index, tap);
            }
            Meaning::Untapped => self.taps.untapped.extend(read),
        }
    }

    fn meaning(&self, index: usize, operation: &OperationIr) -> Meaning {
        let found = match operation {
            OperationIr::BaseFloat(operation) => self.shape_change(operation),
            OperationIr::Float(_, FloatOperationIr::Matmul(matmul)) => self.linear(matmul),
            OperationIr::Module(operation) => self.module(index, operation),
            OperationIr::NumericFloat(
                _,
                NumericOperationIr::Add(binary)
                | NumericOperationIr::Sub(binary)
                | NumericOperationIr::Mul(binary)
                | NumericOperationIr::Div(binary),
            )
            | OperationIr::Float(_, FloatOperationIr::Powf(binary))
            | OperationIr::Activation(ActivationOperationIr::PRelu(binary)) => {
                self.elementwise(binary)
            }
            _ => None,
        };
        found.unwrap_or(Meaning::Untapped)
    }

    /// A view stays a view through changes of shape.
    fn shape_change(&self, operation: &BaseOperationIr) -> Option<Meaning> {
        let (input, out, step) = match operation {
            BaseOperationIr::Reshape(op) => (
                &op.input,
                &op.out,
                ViewStep::Reshape {
                    from: op.input.shape.to_vec(),
                },
            ),
            BaseOperationIr::SwapDims(op) => {
                let mut axes: Vec<usize> = (0..op.input.shape.rank()).collect();
                axes.swap(op.dim1, op.dim2);
                (&op.input, &op.out, ViewStep::Permute { axes })
            }
            BaseOperationIr::Permute(op) => (
                &op.input,
                &op.out,
                ViewStep::Permute {
                    axes: op.axes.clone(),
                },
            ),
            _ => return None,
        };
        self.extended(input, step, out)
            .map(|view| Meaning::View(out.id, view))
    }

    /// The view after one more step.
    fn extended(&self, input: &TensorIr, step: ViewStep, out: &TensorIr) -> Option<View> {
        let mut view = self.views.get(&input.id)?.clone();
        // A reshape keeps the matrix only if it adds or drops leading axes of length 1.
        view.transposed = view.transposed.and_then(|transposed| match &step {
            ViewStep::Reshape { from } => (without_leading_ones(from)
                == without_leading_ones(&out.shape))
            .then_some(transposed),
            ViewStep::Permute { axes } => swaps_matrix(axes).map(|swaps| transposed ^ swaps),
            ViewStep::Embedding { .. } => None,
        });
        view.steps.push(step);
        Some(view)
    }

    /// Products with a matrix from the right; the same matrix for all samples, so that leading axes
    /// of the parameter have length 1.
    fn linear(&self, matmul: &MatmulOpIr) -> Option<Meaning> {
        let view = self.views.get(&matmul.rhs.id)?;
        let transposed = view.transposed?;
        let matrix = without_leading_ones(&matmul.rhs.shape).len() <= 2;
        let fits = matrix && self.leads_with_samples(&matmul.lhs);
        fits.then_some(Meaning::Tap(Tap::Linear {
            weight: view.parameter,
            transposed,
        }))
    }

    /// Whether a tensor depends on the data and has the samples along its first axis, perhaps
    /// joined with another.
    fn leads_with_samples(&self, tensor: &TensorIr) -> bool {
        self.data.contains(&tensor.id)
            && tensor.shape.rank() > 0
            && tensor.shape[0].is_multiple_of(self.samples)
    }

    /// The same as [`leads_with_samples`](Self::leads_with_samples), with nothing joined to the
    /// samples.
    fn one_row_per_sample(&self, tensor: &TensorIr) -> bool {
        self.leads_with_samples(tensor) && tensor.shape[0] == self.samples
    }

    fn module(&self, index: usize, operation: &ModuleOperationIr) -> Option<Meaning> {
        let tap = match operation {
            ModuleOperationIr::Conv1d(_)
            | ModuleOperationIr::Conv2d(_)
            | ModuleOperationIr::ConvTranspose1d(_)
            | ModuleOperationIr::ConvTranspose2d(_) => {
                let convolution = Convolution::of(operation).ok()?;
                if !self.one_row_per_sample(convolution.input()) {
                    return None;
                }
                Tap::Convolution {
                    weight: self.plain(convolution.weight())?,
                    bias: self.plain_option(convolution.bias())?,
                }
            }
            ModuleOperationIr::LayerNorm(op) if self.leads_with_samples(&op.input) => {
                Tap::Normalisation {
                    scale: self.plain(&op.gamma)?,
                    shift: self.plain_option(op.beta.as_ref())?,
                }
            }
            ModuleOperationIr::BatchNorm(op) if self.one_row_per_sample(&op.x) => {
                // In inference mode statistics are buffers; trained ones would need taps too.
                let statistics_trained = self.views.contains_key(&op.mean.id)
                    || self.views.contains_key(&op.variance.id);
                if statistics_trained {
                    return None;
                }
                Tap::Normalisation {
                    scale: self.plain(&op.gamma)?,
                    shift: self.plain(&op.beta)?,
                }
            }
            ModuleOperationIr::Embedding(op) => {
                return self.embedding(index, &op.weights, &op.indices, &op.out);
            }
            _ => return None,
        };
        Some(Meaning::Tap(tap))
    }

    fn embedding(
        &self,
        operation: usize,
        table: &TensorIr,
        indices: &TensorIr,
        out: &TensorIr,
    ) -> Option<Meaning> {
        // Token ids are data. Positions are the same for all samples, hence constant; what they
        // select is a view that a later operation broadcasts.
        if self.leads_with_samples(indices) {
            return self
                .plain(table)?
                .map(|table| Meaning::Tap(Tap::Embedding { table }));
        }
        let step = ViewStep::Embedding {
            operation,
            entries: table.shape[0],
            width: table.shape[1],
        };
        let constant = !self.data.contains(&indices.id);
        self.extended(table, step, out)
            .filter(|_| constant)
            .map(|view| Meaning::View(out.id, view))
    }

    /// `Some(Some(p))` for the parameter `p` itself, `Some(None)` for a tensor that no parameter
    /// enters, `None` for a view of one and for data.
    #[expect(clippy::option_option, reason = "a parameter, none, or no answer")]
    fn plain(&self, tensor: &TensorIr) -> Option<Option<usize>> {
        match self.views.get(&tensor.id) {
            None if self.data.contains(&tensor.id) => None,
            None => Some(None),
            Some(view) => view.steps.is_empty().then_some(Some(view.parameter)),
        }
    }

    #[expect(clippy::option_option, reason = "a parameter, none, or no answer")]
    fn plain_option(&self, tensor: Option<&TensorIr>) -> Option<Option<usize>> {
        tensor.map_or(Some(None), |tensor| self.plain(tensor))
    }

    fn elementwise(&self, binary: &BinaryOpIr) -> Option<Meaning> {
        let (operand, other) = if self.views.contains_key(&binary.lhs.id) {
            (&binary.lhs, &binary.rhs)
        } else {
            (&binary.rhs, &binary.lhs)
        };
        let view = self.views.get(&operand.id)?.clone();
        // Only what is broadcast over the samples can be copied for each of them.
        let shared = operand.shape.rank() > 0 && operand.shape[0] == 1;
        let fits = shared && !self.views.contains_key(&other.id) && self.leads_with_samples(other);
        fits.then(|| {
            Meaning::Tap(Tap::Elementwise {
                operand: operand.clone(),
                view,
            })
        })
    }
}

fn without_leading_ones(shape: &[usize]) -> &[usize] {
    let leading = shape.iter().take_while(|&&side| side == 1).count();
    &shape[leading.min(shape.len().saturating_sub(2))..]
}

/// Whether a permutation swaps the last two axes; `None` when it moves others.
fn swaps_matrix(axes: &[usize]) -> Option<bool> {
    let last = axes.len().checked_sub(1)?;
    let kept = |count: usize| {
        axes[..count]
            .iter()
            .enumerate()
            .all(|(axis, &from)| axis == from)
    };
    if kept(axes.len()) {
        Some(false)
    } else {
        kept(last.saturating_sub(1)).then_some(true)
    }
}

//! Taps: the places of a graph where a parameter meets the data.
//!
//! Adding a tensor of zeros (a *probe*) to the output of such an operation makes one ordinary backward pass yield the signal
//! of every sample, from which the per-sample gradient of the parameter follows without any further differentiation.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BinaryOpIr, FloatOperationIr, MatmulOpIr,
    ModuleOperationIr, NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use crate::graph::Convolution;

/// How one operation consumes parameters; each number is the index of a parameter.
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
    /// Rows of a table looked up by the data.
    Embedding { table: usize },
    /// A broadcasting elementwise operation; every sample gets a copy of the operand.
    Elementwise { operand: TensorIr, view: View },
    /// Rows of a table looked up by constants: no tap, but the indices are needed later to undo the view.
    ConstantLookup,
}

/// A tensor made of one parameter by changes of shape alone.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) parameter: usize,
    pub(crate) steps: Vec<Step>,
    /// Whether the matrix in its last two axes is the parameter's transposed; `None` where it is another matrix.
    transposed: Option<bool>,
}

impl View {
    /// Whether it holds the numbers of the parameter in their order.
    pub(crate) fn keeps_order(&self) -> bool {
        let reshaped = |step: &Step| matches!(step, Step::Reshape { .. });
        self.steps.iter().all(reshaped)
    }
}

/// One change of shape, with what is needed to undo it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Reshape {
        from: Vec<usize>,
    },
    Permute {
        axes: Vec<usize>,
    },
    /// Rows of a table `(entries, width)`, by the indices that the operation of this number reads.
    Lookup {
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
        let mut search = Search {
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

    /// Parameters that are consumed in a way that no tap covers.
    pub(crate) fn untapped(&self) -> &BTreeSet<usize> {
        &self.untapped
    }
}

struct Search {
    views: HashMap<TensorId, View>,
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

impl Search {
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
                if matches!(view.steps.last(), Some(Step::Lookup { .. })) {
                    self.taps.by_operation.insert(index, Tap::ConstantLookup);
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

    fn shape_change(&self, operation: &BaseOperationIr) -> Option<Meaning> {
        let (input, out, step) = match operation {
            BaseOperationIr::Reshape(op) => (
                &op.input,
                &op.out,
                Step::Reshape {
                    from: op.input.shape.to_vec(),
                },
            ),
            BaseOperationIr::SwapDims(op) => {
                let mut axes: Vec<usize> = (0..op.input.shape.rank()).collect();
                axes.swap(op.dim1, op.dim2);
                (&op.input, &op.out, Step::Permute { axes })
            }
            BaseOperationIr::Permute(op) => (
                &op.input,
                &op.out,
                Step::Permute {
                    axes: op.axes.clone(),
                },
            ),
            _ => return None,
        };
        self.extended(input, step, out)
            .map(|view| Meaning::View(out.id, view))
    }

    fn extended(&self, input: &TensorIr, step: Step, out: &TensorIr) -> Option<View> {
        let mut view = self.views.get(&input.id)?.clone();
        view.transposed = view.transposed.and_then(|transposed| match &step {
            Step::Reshape { from } => (without_leading_ones(from)
                == without_leading_ones(&out.shape))
            .then_some(transposed),
            Step::Permute { axes } => swaps_matrix(axes).map(|swaps| transposed ^ swaps),
            Step::Lookup { .. } => None,
        });
        view.steps.push(step);
        Some(view)
    }

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

    /// Whether a tensor depends on the data and has the samples along its first axis, perhaps joined with another.
    fn leads_with_samples(&self, tensor: &TensorIr) -> bool {
        self.data.contains(&tensor.id)
            && tensor.shape.rank() > 0
            && tensor.shape[0].is_multiple_of(self.samples)
    }

    /// As [`leads_with_samples`](Self::leads_with_samples), with nothing joined to the samples.
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
        if self.leads_with_samples(indices) {
            return self
                .plain(table)?
                .map(|table| Meaning::Tap(Tap::Embedding { table }));
        }
        let step = Step::Lookup {
            operation,
            entries: table.shape[0],
            width: table.shape[1],
        };
        let constant = !self.data.contains(&indices.id);
        self.extended(table, step, out)
            .filter(|_| constant)
            .map(|view| Meaning::View(out.id, view))
    }

    /// `Some(Some(p))` for the parameter `p` itself, `Some(None)` for what is no parameter, `None` for a view of one.
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

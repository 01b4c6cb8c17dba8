//! The search for taps: one walk through the operations of a graph.

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BinaryOpIr, FloatOperationIr, MatmulOpIr,
    ModuleOperationIr, NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use super::{ParameterView, Tap, Taps, ViewStep};
use crate::graph::RecordedConvolution;

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
                    ParameterView {
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
}

/// Follows parameters and data through the operations.
struct TapSearch {
    /// The parameters, and what changes of shape make of them.
    views: HashMap<TensorId, ParameterView>,
    /// Tensors that depend on the batch.
    data: HashSet<TensorId>,
    samples: usize,
    taps: Taps,
}

/// What an operation does to the parameters it reads.
enum ParameterUse {
    View(TensorId, ParameterView),
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
        match self.parameter_use(index, operation) {
            ParameterUse::View(id, view) => {
                if matches!(view.steps.last(), Some(ViewStep::Embedding { .. })) {
                    self.taps.by_operation.insert(index, Tap::ConstantEmbedding);
                }
                self.views.insert(id, view);
            }
            ParameterUse::Tap(tap) => {
                self.taps.by_operation.insert(index, tap);
            }
            ParameterUse::Untapped => self.taps.untapped.extend(read),
        }
    }

    fn parameter_use(&self, index: usize, operation: &OperationIr) -> ParameterUse {
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
        found.unwrap_or(ParameterUse::Untapped)
    }

    /// A view stays a view through changes of shape.
    fn shape_change(&self, operation: &BaseOperationIr) -> Option<ParameterUse> {
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
            .map(|view| ParameterUse::View(out.id, view))
    }

    /// The view after one more step.
    fn extended(&self, input: &TensorIr, step: ViewStep, out: &TensorIr) -> Option<ParameterView> {
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
    fn linear(&self, matmul: &MatmulOpIr) -> Option<ParameterUse> {
        let view = self.views.get(&matmul.rhs.id)?;
        let transposed = view.transposed?;
        let matrix = without_leading_ones(&matmul.rhs.shape).len() <= 2;
        let fits = matrix && self.leads_with_samples(&matmul.lhs);
        fits.then_some(ParameterUse::Tap(Tap::Linear {
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

    fn module(&self, index: usize, operation: &ModuleOperationIr) -> Option<ParameterUse> {
        let tap = match operation {
            ModuleOperationIr::Conv1d(_)
            | ModuleOperationIr::Conv2d(_)
            | ModuleOperationIr::ConvTranspose1d(_)
            | ModuleOperationIr::ConvTranspose2d(_) => {
                let convolution = RecordedConvolution::of(operation).ok()?;
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
        Some(ParameterUse::Tap(tap))
    }

    fn embedding(
        &self,
        operation: usize,
        table: &TensorIr,
        indices: &TensorIr,
        out: &TensorIr,
    ) -> Option<ParameterUse> {
        // Token ids are data. Positions are the same for all samples, hence constant; the rows they
        // select are a view, which a later operation broadcasts.
        if self.leads_with_samples(indices) {
            return self
                .plain(table)?
                .map(|table| ParameterUse::Tap(Tap::Embedding { table }));
        }
        let step = ViewStep::Embedding {
            operation,
            entries: table.shape[0],
            width: table.shape[1],
        };
        let constant = !self.data.contains(&indices.id);
        self.extended(table, step, out)
            .filter(|_| constant)
            .map(|view| ParameterUse::View(out.id, view))
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

    fn elementwise(&self, binary: &BinaryOpIr) -> Option<ParameterUse> {
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
            ParameterUse::Tap(Tap::Elementwise {
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

//! The search for taps: one walk through the operations of a graph.

use std::collections::{BTreeMap, HashMap};

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, FloatOperationIr, MatmulOpIr, ModuleOperationIr,
    NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use super::{
    CopiedOperand, Tap, Taps,
    changes::ViewChange,
    samples::FollowedSamples,
    view::{ParameterView, without_leading_ones},
};
use crate::graph::RecordedConvolution;

impl Taps {
    /// Follows the trained parameters through a graph recorded on a batch of `samples`.
    pub(crate) fn find(
        operations: &[OperationIr],
        parameters: &BTreeMap<TensorId, usize>,
        inputs: &[TensorId],
        samples: usize,
    ) -> Self {
        let whole = |(&id, &parameter)| (id, vec![ParameterView::whole(parameter)]);
        let mut search = TapSearch {
            views: parameters.iter().map(whole).collect(),
            samples: FollowedSamples::new(inputs, samples),
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
    /// What parameters give to the tensors that do not depend on the data.
    views: HashMap<TensorId, Vec<ParameterView>>,
    samples: FollowedSamples,
    taps: Taps,
}

impl TapSearch {
    fn visit(&mut self, index: usize, operation: &OperationIr) {
        if matches!(operation, OperationIr::Init(_)) {
            return;
        }
        self.samples.pass(operation);
        let read = operation
            .inputs()
            .filter_map(|read| self.views.get(&read.id));
        let read: Vec<usize> = read.flatten().map(|view| view.parameter).collect();
        if read.is_empty() {
            return;
        }
        if !operation.inputs().any(|read| self.samples.reach(read)) {
            if let Some(change) = ViewChange::of(index, operation, &self.views) {
                self.change(index, change);
                return;
            }
            self.first_state(operation);
        }
        match self.tap(operation) {
            Some(tap) => {
                self.taps.by_operation.insert(index, tap);
            }
            None => self.taps.untapped.extend(read),
        }
    }

    /// The state that a recurrent layer starts from may be a constant, with a place for each
    /// sample.
    fn first_state(&mut self, operation: &OperationIr) {
        if let OperationIr::Float(_, FloatOperationIr::Matmul(matmul)) = operation
            && !self.views.contains_key(&matmul.lhs.id)
        {
            self.samples.start(&matmul.lhs);
            self.samples.pass(operation);
        }
    }

    fn change(&mut self, index: usize, change: ViewChange) {
        if change.reads_indices {
            self.taps.by_operation.insert(index, Tap::ConstantIndices);
        }
        if !change.views.is_empty() {
            self.views.insert(change.out, change.views);
        }
    }

    /// The tap at an operation on the data.
    fn tap(&self, operation: &OperationIr) -> Option<Tap> {
        match operation {
            OperationIr::Float(_, FloatOperationIr::Matmul(matmul)) => self.linear(matmul),
            OperationIr::Module(operation) => self.module(operation),
            OperationIr::NumericFloat(
                _,
                NumericOperationIr::Add(_)
                | NumericOperationIr::Sub(_)
                | NumericOperationIr::Mul(_)
                | NumericOperationIr::Div(_),
            )
            | OperationIr::Float(_, FloatOperationIr::Powf(_))
            | OperationIr::Activation(ActivationOperationIr::PRelu(_))
            | OperationIr::BaseFloat(BaseOperationIr::Cat(_) | BaseOperationIr::MaskWhere(_)) => {
                self.copies(operation)
            }
            _ => None,
        }
    }

    /// Products with a matrix from the right; the same matrix for all samples, so that its leading
    /// axes have length 1.
    fn linear(&self, matmul: &MatmulOpIr) -> Option<Tap> {
        let weight = self.views.get(&matmul.rhs.id)?;
        let axis = self.samples.axis(&matmul.lhs)?;
        let fits = without_leading_ones(&matmul.rhs.shape).len() <= 2
            && axis.axis + 1 < matmul.lhs.shape.rank();
        fits.then(|| Tap::Linear {
            weight: weight.clone(),
            before: axis.before(&matmul.lhs.shape),
        })
    }

    fn module(&self, operation: &ModuleOperationIr) -> Option<Tap> {
        Some(match operation {
            ModuleOperationIr::Conv1d(_)
            | ModuleOperationIr::Conv2d(_)
            | ModuleOperationIr::ConvTranspose1d(_)
            | ModuleOperationIr::ConvTranspose2d(_) => {
                let convolution = RecordedConvolution::of(operation).ok()?;
                if !self.samples.are_rows_of(convolution.input()) {
                    return None;
                }
                Tap::Convolution {
                    weight: self.plain(convolution.weight())?,
                    bias: self.plain_option(convolution.bias())?,
                }
            }
            ModuleOperationIr::LayerNorm(op) => {
                let axis = self.samples.axis(&op.input)?;
                if axis.axis + 1 == op.input.shape.rank() {
                    return None;
                }
                Tap::Normalisation {
                    scale: self.plain(&op.gamma)?,
                    shift: self.plain_option(op.beta.as_ref())?,
                    before: axis.before(&op.input.shape),
                }
            }
            ModuleOperationIr::BatchNorm(op) if self.samples.are_rows_of(&op.x) => {
                // In inference mode statistics are buffers; trained ones would need taps too.
                let statistics_trained = self.views.contains_key(&op.mean.id)
                    || self.views.contains_key(&op.variance.id);
                if statistics_trained {
                    return None;
                }
                Tap::Normalisation {
                    scale: self.plain(&op.gamma)?,
                    shift: self.plain(&op.beta)?,
                    before: 1,
                }
            }
            // Token ids are data; positions, the same for all samples, make a view of the table.
            ModuleOperationIr::Embedding(op) => Tap::Embedding {
                table: self.plain(&op.weights)??,
                before: self.samples.axis(&op.indices)?.before(&op.indices.shape),
            },
            _ => return None,
        })
    }

    /// `Some(Some(p))` for the parameter `p` itself, `Some(None)` for a tensor that no parameter
    /// enters, `None` for a view of one and for data.
    #[expect(clippy::option_option, reason = "a parameter, none, or no answer")]
    fn plain(&self, tensor: &TensorIr) -> Option<Option<usize>> {
        match self.views.get(&tensor.id).map(Vec::as_slice) {
            None if self.samples.reach(tensor) => None,
            None => Some(None),
            Some([view]) => view.keeps_order().then_some(Some(view.parameter)),
            Some(_) => None,
        }
    }

    #[expect(clippy::option_option, reason = "a parameter, none, or no answer")]
    fn plain_option(&self, tensor: Option<&TensorIr>) -> Option<Option<usize>> {
        tensor.map_or(Some(None), |tensor| self.plain(tensor))
    }

    /// An operation whose operands keep their axes: those made of parameters can be copied for each
    /// sample if they are the same for all.
    fn copies(&self, operation: &OperationIr) -> Option<Tap> {
        let out = operation.outputs().next()?;
        let axis = self.samples.axis(out)?;
        let lookups = self.samples.fill(axis, out);
        let mut operands: Vec<CopiedOperand> = Vec::new();
        for tensor in operation.inputs() {
            let Some(views) = self.views.get(&tensor.id) else {
                continue;
            };
            if tensor.shape.rank() != out.shape.rank() {
                return None;
            }
            let apart = |view: &ParameterView| view.is_apart_along(axis.axis, lookups);
            if tensor.shape[axis.axis] > 1 && !views.iter().all(apart) {
                return None;
            }
            if operands.iter().all(|other| other.tensor.id != tensor.id) {
                operands.push(CopiedOperand {
                    tensor: tensor.clone(),
                    views: views.clone(),
                });
            }
        }
        Some(Tap::Copies { operands, axis })
    }
}

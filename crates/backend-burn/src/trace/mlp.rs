//! Multilayer perceptrons, found in recorded graphs.
//!
//! Products with the Hessian of such a network can be written out as matrix products
//! (`curvature/linearised`), which is many times faster than differentiating twice for each vector.
//! A task may compute anything, so the network is recognised by what was recorded, not by the types
//! of its modules. What must be found is a sequence of dense layers
//!
//! ```text
//! x ─▶ x W_0 + b_0 ─▶ f_0 ─▶ · W_1 + b_1 ─▶ f_1 ─▶ … ─▶ · W_last + b_last ─▶ anything ─▶ loss
//! ```
//!
//! such that the result depends on the trained parameters through these layers alone: one row for
//! each sample, each weight and bias used once, and between two layers elementwise functions only.
//! What follows the last layer, the loss for example, may be anything without trained parameters;
//! it is differentiated, not written out.
//!
//! The search goes through the operations once, in order, and keeps three sets of tensors:
//!
//! - `views`: the parameters, and what changes of shape make of them. An operation that mixes a
//!   view with anything else, and is no tap of a layer, ends the search without a result.
//! - `inside`: what depends on the output of the layer found last. A product of it with a weight
//!   begins the next layer; an addition of a bias to the very output of the layer belongs to it.
//! - `past`: what depended on layers before that. Reading any of it again would be a connection
//!   that skips a layer (a residual network), for which the formulas do not hold.
//!
//! An operation on `inside` that is not elementwise, or that changes the shape, is no obstacle by
//! itself: it may be the beginning of the loss. Only a further layer after it is (`ended`).
//!
//! The answer is `None` at the first doubt; the general way is always right.

use std::collections::HashSet;

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BoolOperationIr, FloatOperationIr, MatmulOpIr,
    NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use super::graph::Graph;
use crate::taps::{CopiedOperand, Tap};

/// One dense layer `x W + b`, by the indices of its parameters and of its operations.
#[derive(Debug, Clone)]
pub(crate) struct DenseLayer {
    pub(crate) weight: usize,
    /// Whether the weight is stored as `(out, in)`.
    pub(crate) transposed: bool,
    pub(crate) bias: Option<usize>,
    pub(crate) input: TensorIr,
    pub(crate) output: TensorIr,
    /// The operation that multiplies.
    pub(crate) product: usize,
    /// The operation that gives the output.
    pub(crate) last: usize,
}

impl Graph {
    /// The dense layers of a multilayer perceptron recorded on this number of samples, the first
    /// `trained` of whose parameters are trained; `None` for any other network.
    pub(crate) fn dense_layers(&self, trained: usize, samples: usize) -> Option<Vec<DenseLayer>> {
        if !self.taps.untapped().is_empty() {
            return None;
        }
        let of_trained = self.parameters.iter().filter(|(_, index)| *index < trained);
        let mut search = MlpSearch {
            graph: self,
            samples,
            views: of_trained.map(|(id, _)| *id).collect(),
            inside: HashSet::new(),
            past: HashSet::new(),
            ended: false,
            layers: Vec::new(),
        };
        for (index, operation) in self.operations.iter().enumerate() {
            if !matches!(operation, OperationIr::Init(_) | OperationIr::Drop(_)) {
                search.visit(index, operation)?;
            }
        }
        (!search.layers.is_empty()).then_some(search.layers)
    }
}

struct MlpSearch<'a> {
    graph: &'a Graph,
    samples: usize,
    /// The parameters, and what changes of shape make of them.
    views: HashSet<TensorId>,
    /// What depends on the layer found last.
    inside: HashSet<TensorId>,
    /// What depends on layers before it, and must not be read again.
    past: HashSet<TensorId>,
    /// Whether anything but an elementwise function has followed since.
    ended: bool,
    layers: Vec<DenseLayer>,
}

impl MlpSearch<'_> {
    /// `None` if the network cannot be a multilayer perceptron.
    fn visit(&mut self, index: usize, operation: &OperationIr) -> Option<()> {
        let reads = |set: &HashSet<TensorId>| operation.inputs().any(|read| set.contains(&read.id));
        if reads(&self.past) {
            return None;
        }
        match (self.graph.tap(index), operation) {
            (
                Some(Tap::Linear { weight, .. }),
                OperationIr::Float(_, FloatOperationIr::Matmul(matmul)),
            ) => {
                let view = alone(weight)?;
                self.begin(index, matmul, (view.parameter, view.transposed()?))
            }
            (
                Some(Tap::Copies { operands, .. }),
                OperationIr::NumericFloat(_, NumericOperationIr::Add(add)),
            ) => {
                let CopiedOperand {
                    tensor: operand,
                    views,
                } = alone(operands)?;
                let view = alone(views)?;
                let other = if add.lhs.id == operand.id {
                    &add.rhs
                } else {
                    &add.lhs
                };
                // A bias of one value for each output, and not a learned constant of another shape.
                let whole = view.keeps_order() && operand.shape.num_elements() == add.out.shape[1];
                self.complete(index, whole.then_some(view.parameter)?, other, &add.out)
            }
            (Some(_), _) => None,
            (None, _) if reads(&self.views) => {
                let outputs = operation.outputs().map(|output| output.id);
                let alone = operation.inputs().all(|read| self.views.contains(&read.id));
                self.views.extend(outputs.filter(|_| alone));
                alone.then_some(())
            }
            (None, _) => {
                if reads(&self.inside) {
                    self.ended |= !self.stays_elementwise(operation);
                    self.inside.extend(operation.outputs().map(|out| out.id));
                }
                Some(())
            }
        }
    }

    /// A product with a weight begins a layer.
    fn begin(
        &mut self,
        index: usize,
        matmul: &MatmulOpIr,
        (weight, transposed): (usize, bool),
    ) -> Option<()> {
        // The first layer reads the data, every other one the layer before it.
        let follows = self.layers.is_empty() != self.inside.contains(&matmul.lhs.id);
        let rows = matmul.lhs.shape.rank() == 2 && matmul.lhs.shape[0] == self.samples;
        let again = self.layers.iter().any(|layer| layer.weight == weight);
        if !follows || !rows || again || self.ended {
            return None;
        }
        self.layers.push(DenseLayer {
            weight,
            transposed,
            bias: None,
            input: matmul.lhs.clone(),
            output: matmul.out.clone(),
            product: index,
            last: index,
        });
        self.continue_from(matmul.out.id);
        Some(())
    }

    /// The addition of a bias completes it.
    fn complete(
        &mut self,
        index: usize,
        bias: usize,
        shifted: &TensorIr,
        out: &TensorIr,
    ) -> Option<()> {
        let again = self.layers.iter().any(|layer| layer.bias == Some(bias));
        let layer = self.layers.last_mut()?;
        let own = layer.output.id == shifted.id && layer.output.shape == out.shape;
        if !own || again || layer.bias.is_some() {
            return None;
        }
        (layer.bias, layer.last) = (Some(bias), index);
        layer.output = out.clone();
        self.continue_from(out.id);
        Some(())
    }

    /// From here on everything depends on the parameters through this tensor.
    fn continue_from(&mut self, output: TensorId) {
        self.past.extend(self.inside.drain());
        self.inside.insert(output);
    }

    /// Whether each entry of the result depends on the entry at the same place alone.
    fn stays_elementwise(&self, operation: &OperationIr) -> bool {
        let shape = self.layers.last().map(|layer| &layer.output.shape);
        let keeps_shape = |tensor: &TensorIr| Some(&tensor.shape) == shape;
        let mut inside = operation
            .inputs()
            .filter(|read| self.inside.contains(&read.id));
        is_elementwise(operation) && inside.all(keeps_shape) && operation.outputs().all(keeps_shape)
    }
}

/// The only one.
fn alone<T>(of: &[T]) -> Option<&T> {
    match of {
        [one] => Some(one),
        _ => None,
    }
}

/// Operations that act entry by entry, with a second operand or without.
fn is_elementwise(operation: &OperationIr) -> bool {
    use ActivationOperationIr as A;
    use FloatOperationIr as F;
    use NumericOperationIr as N;
    match operation {
        OperationIr::NumericFloat(_, operation) => matches!(
            operation,
            N::Add(_)
                | N::AddScalar(_)
                | N::Sub(_)
                | N::SubScalar(_)
                | N::Mul(_)
                | N::MulScalar(_)
                | N::Div(_)
                | N::DivScalar(_)
                | N::Neg(_)
                | N::Abs(_)
                | N::Clamp(_)
                | N::LowerElem(_)
                | N::LowerEqualElem(_)
                | N::GreaterElem(_)
                | N::GreaterEqualElem(_)
        ),
        OperationIr::BaseFloat(operation) => matches!(
            operation,
            BaseOperationIr::MaskWhere(_) | BaseOperationIr::MaskFill(_)
        ),
        OperationIr::Bool(operation) => matches!(operation, BoolOperationIr::Not(_)),
        OperationIr::Float(_, operation) => matches!(
            operation,
            F::Exp(_)
                | F::Log(_)
                | F::Log1p(_)
                | F::Erf(_)
                | F::PowfScalar(_)
                | F::Sqrt(_)
                | F::Cos(_)
                | F::Sin(_)
                | F::Tanh(_)
                | F::Recip(_)
        ),
        OperationIr::Activation(operation) => matches!(
            operation,
            A::Relu(_)
                | A::Gelu(_)
                | A::Sigmoid(_)
                | A::LogSigmoid(_)
                | A::LeakyRelu(_)
                | A::HardSigmoid(_)
        ),
        _ => false,
    }
}

//! Networks that are a chain of linear maps with elementwise functions between them, as recorded graphs show them.

use std::collections::HashSet;

use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BoolOperationIr, FloatOperationIr, MatmulOpIr,
    NumericOperationIr, OperationIr, TensorId, TensorIr,
};

use super::Graph;
use crate::taps::Tap;

/// One linear map of a chain, `x · W + b`, by the numbers of its parameters and of its operations.
#[derive(Debug, Clone)]
pub(crate) struct Link {
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
    /// The linear maps through which alone the output depends on the first so many parameters, the trained ones, on so many samples: each on one row
    /// per sample, applied to the one before through elementwise functions only. What follows the last of them is not looked at. `None` for any
    /// other network.
    pub(crate) fn chain(&self, trained: usize, samples: usize) -> Option<Vec<Link>> {
        if !self.taps.untapped().is_empty() {
            return None;
        }
        let of_trained = self.parameters.iter().filter(|(_, index)| *index < trained);
        let mut search = Search {
            graph: self,
            samples,
            views: of_trained.map(|(id, _)| *id).collect(),
            inside: HashSet::new(),
            past: HashSet::new(),
            ended: false,
            links: Vec::new(),
        };
        for (index, operation) in self.operations.iter().enumerate() {
            if !matches!(operation, OperationIr::Init(_) | OperationIr::Drop(_)) {
                search.visit(index, operation)?;
            }
        }
        (!search.links.is_empty()).then_some(search.links)
    }
}

struct Search<'a> {
    graph: &'a Graph,
    samples: usize,
    /// The parameters, and what changes of shape make of them.
    views: HashSet<TensorId>,
    /// What depends on the last map found.
    inside: HashSet<TensorId>,
    /// What depends on maps before it, and must not be read again.
    past: HashSet<TensorId>,
    /// Whether something else than an elementwise function has been met since.
    ended: bool,
    links: Vec<Link>,
}

impl Search<'_> {
    fn visit(&mut self, index: usize, operation: &OperationIr) -> Option<()> {
        let reads = |set: &HashSet<TensorId>| operation.inputs().any(|read| set.contains(&read.id));
        if reads(&self.past) {
            return None;
        }
        match (self.graph.tap(index), operation) {
            (
                Some(Tap::Linear { weight, transposed }),
                OperationIr::Float(_, FloatOperationIr::Matmul(matmul)),
            ) => self.begin(index, matmul, (*weight, *transposed)),
            (
                Some(Tap::Elementwise { operand, view }),
                OperationIr::NumericFloat(_, NumericOperationIr::Add(add)),
            ) => {
                let other = if add.lhs.id == operand.id {
                    &add.rhs
                } else {
                    &add.lhs
                };
                let whole = view.keeps_order() && operand.shape.num_elements() == add.out.shape[1];
                self.shift(index, whole.then_some(view.parameter)?, other, &add.out)
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

    /// A product with a weight begins a map.
    fn begin(
        &mut self,
        index: usize,
        matmul: &MatmulOpIr,
        (weight, transposed): (usize, bool),
    ) -> Option<()> {
        let follows = self.links.is_empty() != self.inside.contains(&matmul.lhs.id);
        let rows = matmul.lhs.shape.rank() == 2 && matmul.lhs.shape[0] == self.samples;
        let again = self.links.iter().any(|link| link.weight == weight);
        if !follows || !rows || again || self.ended {
            return None;
        }
        self.links.push(Link {
            weight,
            transposed,
            bias: None,
            input: matmul.lhs.clone(),
            output: matmul.out.clone(),
            product: index,
            last: index,
        });
        self.goes_on(matmul.out.id);
        Some(())
    }

    /// The addition of a bias ends it.
    fn shift(
        &mut self,
        index: usize,
        bias: usize,
        shifted: &TensorIr,
        out: &TensorIr,
    ) -> Option<()> {
        let again = self.links.iter().any(|link| link.bias == Some(bias));
        let link = self.links.last_mut()?;
        let own = link.output.id == shifted.id && link.output.shape == out.shape;
        if !own || again || link.bias.is_some() {
            return None;
        }
        (link.bias, link.last) = (Some(bias), index);
        link.output = out.clone();
        self.goes_on(out.id);
        Some(())
    }

    /// From here on everything depends on the parameters through this tensor.
    fn goes_on(&mut self, output: TensorId) {
        self.past.extend(self.inside.drain());
        self.inside.insert(output);
    }

    /// Whether each number that an operation gives depends on the one at its place alone.
    fn stays_elementwise(&self, operation: &OperationIr) -> bool {
        let shape = self.links.last().map(|link| &link.output.shape);
        let keeps_shape = |tensor: &TensorIr| Some(&tensor.shape) == shape;
        let mut inside = operation
            .inputs()
            .filter(|read| self.inside.contains(&read.id));
        is_elementwise(operation) && inside.all(keeps_shape) && operation.outputs().all(keeps_shape)
    }
}

/// Operations on single numbers, with a second operand or without.
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

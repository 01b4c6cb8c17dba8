//! The head of a loss: what it makes of the outputs.
//!
//! Gauss-Newton and Fisher matrices need `∂²ℓ/∂o²`, the second derivative of the loss by the
//! outputs. It is taken from the recorded loss and not believed, for which the loss must be cut
//! where it reads the outputs. But the loss and the outputs of a task are two functions, recorded
//! apart: ids of tensors in one recording mean nothing in the other.
//!
//! *Value numbering*, as compilers do it to find common expressions, brings them together. Every
//! tensor gets a number such that two tensors have the same number exactly if the same operations
//! make them of the same parameters, fields of the batch and constants:
//!
//! ```text
//! number(parameter p) = number(field f) = number(constant c) = one each
//! number(result r of an operation) = number of (operation with the numbers of its operands, r)
//! ```
//!
//! Numbers are handed out in one table for both recordings. The outputs are then found in the loss
//! as the tensors with their number. Often the loss works on another shape: a sequence model
//! declares outputs `(n, positions · classes)` and its loss reads `(n · positions, classes)`.
//! Therefore, where the outputs are not found, the change of shape that made them is taken off and
//! written down ([`Head::steps`]), and what came before is looked for.
//!
//! The operations between the outputs and the losses are the *head*, a function of the outputs and
//! the targets alone. It is small, and can be evaluated and differentiated at any outputs. If a
//! trained parameter reaches the loss beside the outputs, a penalty on weights for example, then
//! `Jᵀ (∂²ℓ/∂o²) J` would leave something out, and that is an error.
//!
//! In a recording every last reading of a tensor takes it out of the environment. The head is
//! evaluated in another order and its first part once for several outputs, so that marks of last
//! readings are removed.
//!
//! Alpern, Wegman and Zadeck, *Detecting equality of variables in programs*, 1988.

use std::collections::{HashMap, HashSet};

use burn::{
    backend::{
        capture::TensorId,
        ir::{BaseOperationIr, IrVisitorMut, OperationIr, TensorIr, TensorStatus},
    },
    tensor::DType,
};
use influence_core::block::ParameterLayout;

use super::graph::Graph;
use crate::{
    Error, Result,
    taps::{Taps, ViewStep},
};

/// The part of a loss that follows the outputs.
#[derive(Debug)]
pub(crate) struct Head {
    /// What leads to the losses `(n)`: first the operations that do not depend on the outputs, then
    /// those that do. No reading takes a tensor out of the environment.
    pub(crate) graph: Graph,
    /// How many operations do not depend on the outputs.
    pub(crate) before: usize,
    /// The tensors of the graph in whose place outputs are put.
    pub(crate) cut: Vec<TensorId>,
    /// The changes of shape that make the outputs of them, the last first.
    pub(crate) steps: Vec<ViewStep>,
}

impl Head {
    /// Finds the outputs in the loss.
    ///
    /// # Errors
    /// [`Error::OutputsOutsideLoss`] when they are not there, [`Error::LossBesideOutputs`] when a
    /// trained parameter reaches the loss by another way.
    pub(crate) fn find(loss: &Graph, outputs: &Graph, layout: &ParameterLayout) -> Result<Self> {
        let mut numbers = ValueNumbering::default();
        let in_loss = numbers.of_graph(loss);
        let in_outputs = numbers.of_graph(outputs);
        let mut tensor = outputs.output.id;
        let mut steps = Vec::new();
        // A tensor may be in the loss while a parameter still leads past it: then an earlier one is
        // tried, and the parameter is reported if none will do.
        let mut beside = None;
        loop {
            let number = in_outputs.get(&tensor);
            let same = in_loss.iter().filter(|(_, other)| Some(*other) == number);
            let cut: Vec<TensorId> = same.map(|(id, _)| *id).collect();
            if !cut.is_empty() {
                let graph = after(loss, &cut);
                match trained(&graph, layout) {
                    None => return Ok(Self::new(graph, cut, steps)),
                    Some(parameter) => beside = beside.or(Some(parameter)),
                }
            }
            let Some((before, step)) = reshaped(outputs, tensor) else {
                break;
            };
            steps.push(step);
            tensor = before;
        }
        Err(match beside {
            Some(parameter) => Error::LossBesideOutputs { parameter },
            None => Error::OutputsOutsideLoss,
        })
    }

    fn new(mut graph: Graph, cut: Vec<TensorId>, steps: Vec<ViewStep>) -> Self {
        let mut dependent: HashSet<TensorId> = cut.iter().copied().collect();
        let depends = |operation: &OperationIr| {
            let reads = operation.inputs().any(|read| dependent.contains(&read.id));
            if reads {
                dependent.extend(operation.outputs().map(|output| output.id));
            }
            reads
        };
        let operations = std::mem::take(&mut graph.operations);
        let (after, before): (Vec<_>, Vec<_>) = operations.into_iter().partition(depends);
        let count = before.len();
        graph.operations = before.into_iter().chain(after).collect();
        graph
            .operations
            .iter_mut()
            .for_each(|operation| operation.visit_mut(&mut KeepTensors));
        Self {
            graph,
            before: count,
            cut,
            steps,
        }
    }
}

/// Whether two recordings make their outputs in the same way, so that one function computes both.
pub(crate) fn same_function(left: &Graph, right: &Graph) -> bool {
    let mut numbers = ValueNumbering::default();
    let of_left = numbers.of_graph(left).get(&left.output.id).copied();
    let of_right = numbers.of_graph(right).get(&right.output.id).copied();
    of_left.is_some() && of_left == of_right
}

/// What a loss needs if some of its tensors are given.
fn after(loss: &Graph, given: &[TensorId]) -> Graph {
    let mut needed = HashSet::from([loss.output.id]);
    let mut operations = Vec::new();
    for operation in loss.operations.iter().rev() {
        let mut made = operation.outputs().map(|output| &output.id);
        let used = made.any(|id| needed.contains(id));
        let known = operation.outputs().any(|output| given.contains(&output.id));
        if used && !known && !matches!(operation, OperationIr::Init(_)) {
            needed.extend(operation.inputs().map(|read| read.id));
            operations.push(operation.clone());
        }
    }
    operations.reverse();
    let wanted = |id: &TensorId| needed.contains(id) && !given.contains(id);
    let parameters = loss.parameters.iter().filter(|(id, _)| wanted(id));
    let constants = loss.constants.iter().filter(|(id, _)| wanted(id));
    Graph {
        operations,
        constants: constants.cloned().collect(),
        parameters: parameters.copied().collect(),
        inputs: loss.inputs.clone(),
        output: loss.output.clone(),
        declared: None,
        taps: Taps::default(),
    }
}

/// A trained parameter that a graph reads.
fn trained(graph: &Graph, layout: &ParameterLayout) -> Option<String> {
    let mut parameters = graph.parameters.iter();
    parameters.find_map(|(_, index)| Some(layout.parameters().get(*index)?.name.clone()))
}

/// The tensor of which another is made by a change of shape, and that change.
fn reshaped(graph: &Graph, tensor: TensorId) -> Option<(TensorId, ViewStep)> {
    let mut operations = graph.operations.iter();
    let made = operations.find(|operation| operation.outputs().any(|out| out.id == tensor))?;
    let OperationIr::BaseFloat(operation) = made else {
        return None;
    };
    Some(match operation {
        BaseOperationIr::Reshape(op) => {
            let from = op.input.shape.to_vec();
            (op.input.id, ViewStep::Reshape { from })
        }
        BaseOperationIr::SwapDims(op) => {
            let mut axes: Vec<usize> = (0..op.input.shape.rank()).collect();
            axes.swap(op.dim1, op.dim2);
            (op.input.id, ViewStep::Permute { axes })
        }
        BaseOperationIr::Permute(op) => {
            let axes = op.axes.clone();
            (op.input.id, ViewStep::Permute { axes })
        }
        _ => return None,
    })
}

/// Numbers of values, the same for those that are made the same way.
#[derive(Default)]
struct ValueNumbering<'a>(HashMap<ValueDefinition<'a>, u64>);

/// How a tensor is made.
#[derive(PartialEq, Eq, Hash)]
enum ValueDefinition<'a> {
    Parameter(usize),
    Field(usize),
    Constant(DType, &'a [usize], &'a [u8]),
    /// One of the results of an operation, written with the numbers of its operands.
    Result(String, usize),
}

impl<'a> ValueNumbering<'a> {
    fn of(&mut self, definition: ValueDefinition<'a>) -> u64 {
        let next = self.0.len() as u64;
        *self.0.entry(definition).or_insert(next)
    }

    fn of_graph(&mut self, graph: &'a Graph) -> HashMap<TensorId, u64> {
        let mut known = HashMap::new();
        for (id, parameter) in &graph.parameters {
            known.insert(*id, self.of(ValueDefinition::Parameter(*parameter)));
        }
        for (place, id) in graph.inputs.iter().enumerate() {
            known.insert(*id, self.of(ValueDefinition::Field(place)));
        }
        for (id, data) in &graph.constants {
            let definition =
                ValueDefinition::Constant(data.dtype(), data.shape().as_slice(), data.as_bytes());
            known.insert(*id, self.of(definition));
        }
        for operation in &graph.operations {
            if matches!(operation, OperationIr::Init(_) | OperationIr::Drop(_)) {
                continue;
            }
            let mut written = operation.clone();
            written.visit_mut(&mut Renumber(&known));
            let written = format!("{written:?}");
            for (place, output) in operation.outputs().enumerate() {
                let number = self.of(ValueDefinition::Result(written.clone(), place));
                known.insert(output.id, number);
            }
        }
        known
    }
}

/// Writes the numbers of tensors in place of their ids.
struct Renumber<'a>(&'a HashMap<TensorId, u64>);

impl IrVisitorMut for Renumber<'_> {
    fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
        // Tensors without a number yet are results, whose ids must not count.
        let number = self.0.get(&tensor.id).copied().unwrap_or(u64::MAX);
        tensor.id = TensorId::new(number);
        tensor.status = TensorStatus::ReadOnly;
    }
}

/// Marks every reading as one that leaves the tensor in the environment.
struct KeepTensors;

impl IrVisitorMut for KeepTensors {
    fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
        tensor.status = TensorStatus::ReadOnly;
    }
}

//! The nodes of a network in the order in which they run.

use std::collections::{BTreeMap, HashSet};

use burn::tensor::TensorData;

use crate::{
    Error, Result,
    graph::{AxisLength, GraphNode, InputForm, NamedValues, NetworkGraph, Slot},
    value::{Devices, Value},
};

/// The nodes of a network, and the tensors that they read besides parameters and data.
#[derive(Debug)]
pub(crate) struct Program {
    /// The inputs of a batch.
    pub(crate) inputs: Vec<InputForm>,
    constants: BTreeMap<String, TensorData>,
    steps: Vec<ProgramStep>,
    /// The name of the result.
    output: String,
}

/// A node, and which of the tensors that it reads are read for the last time.
#[derive(Debug)]
struct ProgramStep {
    node: GraphNode,
    /// The names that nobody reads afterwards.
    last: Vec<String>,
}

impl Program {
    /// The nodes of a graph that a tensor needs, in their order.
    pub(crate) fn new(graph: NetworkGraph, output: String) -> Self {
        let NetworkGraph {
            inputs,
            tensors: mut constants,
            nodes,
            ..
        } = graph;
        let mut read: HashSet<String> = HashSet::from([output.clone()]);
        let mut steps: Vec<ProgramStep> = Vec::with_capacity(nodes.len());
        for node in nodes.into_iter().rev() {
            if !node.outputs.iter().any(|name| read.contains(name)) {
                continue;
            }
            // What its own graphs read stays until they have run.
            let captured: HashSet<&str> = node.attributes.captures().collect();
            let names: Vec<String> = node.reads().map(str::to_owned).collect();
            let last = names.into_iter().filter(|name| read.insert(name.clone()));
            let last = last
                .filter(|name| !captured.contains(name.as_str()))
                .collect();
            steps.push(ProgramStep { node, last });
        }
        steps.reverse();
        constants.retain(|name, _| read.contains(name));
        Self {
            inputs,
            constants,
            steps,
            output,
        }
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &GraphNode> {
        self.steps.iter().map(|step| &step.node)
    }

    /// Whether a node reads the tensor of this name.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.nodes()
            .flat_map(GraphNode::reads)
            .any(|read| read == name)
    }

    /// The name of the output.
    pub(crate) fn output(&self) -> &str {
        &self.output
    }

    /// Computes the output. The node that makes the tensor `passed` is passed over: the tensor is
    /// the first argument of the node.
    ///
    /// # Errors
    /// When a node cannot be computed from values of these shapes.
    pub(crate) fn run<'a>(
        &self,
        parameters: impl Iterator<Item = (&'a str, Value)>,
        inputs: &[Value],
        devices: &Devices,
        passed: Option<&str>,
    ) -> Result<Value> {
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let mut environment: NamedValues = parameters.collect();
        for (name, data) in &self.constants {
            let value = Value::known(data.clone(), devices);
            environment.0.insert(name.clone(), value.into());
        }
        for (form, value) in self.inputs.iter().zip(inputs) {
            check(form, value)?;
            environment
                .0
                .insert(form.name.clone(), value.clone().into());
        }
        for step in &self.steps {
            if passed.is_some() && step.node.outputs.first().map(String::as_str) == passed {
                environment.pass(&step.node);
            } else {
                environment.run(&step.node, &step.last, devices)?;
            }
        }
        match environment.0.remove(&self.output) {
            Some(Slot::One(value)) => value.away(devices),
            _ => Err(Error::Malformed(format!(
                "no node computes the output `{}`",
                self.output
            ))),
        }
    }
}

/// Checks the shape of an input against what the file says.
fn check(form: &InputForm, value: &Value) -> Result<()> {
    let Some(sides) = &form.sides else {
        return Ok(());
    };
    let dims = value.dims();
    let fits = sides.len() == dims.len()
        && sides.iter().zip(&dims).all(|(side, length)| match side {
            AxisLength::Fixed(fixed) => fixed == length,
            AxisLength::Free(_) => true,
        });
    if fits {
        return Ok(());
    }
    Err(Error::Input(format!(
        "input `{}` was exported with shape {}, got {dims:?}",
        form.name,
        form.shape()
    )))
}

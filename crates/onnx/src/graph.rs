//! A network as files have it, whatever their format: tensors by name, and nodes that compute
//! further ones.

mod attributes;
mod call;
mod environment;

use std::collections::{BTreeMap, HashMap};

use burn::tensor::TensorData;
use influence_core::FieldKind;

use crate::{
    Error, Result,
    value::{Devices, Value},
};

pub(crate) use call::{each, one};

/// A graph of nodes. Names of tensors are unique in it and in the graphs of its attributes.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetworkGraph {
    /// What a batch gives, in the order of the file.
    pub(crate) inputs: Vec<InputForm>,
    /// What the graph computes, in the order of the file.
    pub(crate) outputs: Vec<String>,
    /// Tensors that the file holds.
    pub(crate) tensors: BTreeMap<String, TensorData>,
    /// Every node reads tensors, inputs, and results of nodes before it.
    pub(crate) nodes: Vec<GraphNode>,
}

/// An input of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputForm {
    /// Its name.
    pub name: String,
    /// Floats, integers or booleans.
    pub kind: FieldKind,
    /// Its axes, samples first; `None` where the file does not say how many there are.
    pub sides: Option<Vec<AxisLength>>,
}

/// The length of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AxisLength {
    /// This and no other.
    Fixed(usize),
    /// Any; it has a name in the file, or none.
    Free(Option<String>),
}

/// An operation.
#[derive(Debug, Clone)]
pub(crate) struct GraphNode {
    /// The name that the file gives it, or its first result.
    pub(crate) name: String,
    /// The name of the operator.
    pub(crate) kind: String,
    pub(crate) operator: Operator,
    /// The version of the set of operators, which decides what some of them mean.
    pub(crate) version: i64,
    /// The names of its arguments; `None` for an optional one that is left out.
    pub(crate) inputs: Vec<Option<String>>,
    /// The names of its results; empty for one that nobody reads.
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: Attributes,
}

impl GraphNode {
    /// An error about this node.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::Node {
            node: self.name.clone(),
            operator: self.kind.clone(),
            message: message.to_string(),
        }
    }

    /// The tensors to which derivatives flow from its results.
    pub(crate) fn differentiable(&self) -> impl Iterator<Item = &str> {
        let places = self.operator.differentiable;
        let own = self.inputs.iter().enumerate();
        let own = own.filter(move |&(place, _)| places.is_through(place));
        let own = own.filter_map(|(_, name)| name.as_deref());
        // What graphs read may be anything.
        own.chain(self.attributes.captures())
    }

    /// Reads tensors by other names.
    pub(crate) fn rename(&mut self, names: &BTreeMap<String, String>) {
        for input in self.inputs.iter_mut().flatten() {
            if let Some(name) = names.get(input) {
                input.clone_from(name);
            }
        }
        for attribute in self.attributes.0.values_mut() {
            if let Attribute::Graph(graph) = attribute {
                graph.nodes.iter_mut().for_each(|node| node.rename(names));
                for output in &mut graph.outputs {
                    if let Some(name) = names.get(output) {
                        output.clone_from(name);
                    }
                }
            }
        }
    }

    /// The tensors that it reads, those of graphs among its attributes too.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &str> {
        let own = self.inputs.iter().flatten().map(String::as_str);
        own.chain(self.attributes.captures())
    }
}

/// The attributes of a node, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes(pub(crate) BTreeMap<String, Attribute>);

/// The value of an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f64),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
    Tensor(TensorData),
    /// A graph that may read tensors of the graph around it.
    Graph(Box<NetworkGraph>),
    /// An argument of PyTorch's operators that has tensors among its parts.
    Arguments(Vec<Argument>),
    /// The kinds of the results of one of PyTorch's operators.
    Kinds(Vec<FieldKind>),
}

impl Attribute {
    /// The name of the attribute that has the kinds of the results.
    pub(crate) const RESULTS: &str = "results";
}

/// A part of an argument of PyTorch's operators.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    /// One that is left out.
    None,
    Number(f64),
    /// The input of the node at this place.
    Input(usize),
}

impl InputForm {
    /// Its shape in words, such as `(n, 3, 32, 32)`.
    pub fn shape(&self) -> String {
        let Some(sides) = &self.sides else {
            return "of any rank".to_owned();
        };
        let sides = sides.iter().map(|side| match side {
            AxisLength::Fixed(length) => length.to_string(),
            AxisLength::Free(Some(name)) => name.clone(),
            AxisLength::Free(None) => "?".to_owned(),
        });
        format!("({})", sides.collect::<Vec<_>>().join(", "))
    }
}

/// Computes the results of a node.
pub(crate) type Run = fn(&mut Call<'_>) -> Result<Vec<Slot>>;

/// An operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    /// Computes the results.
    pub(crate) run: Run,
    /// The arguments through which a derivative flows.
    pub(crate) differentiable: Differentiable,
}

/// The arguments of an operator through which a derivative flows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Differentiable {
    All,
    /// Those at these places.
    Only(&'static [usize]),
}

/// An operator on its way: a node with the values of its arguments.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a GraphNode,
    pub(crate) arguments: Vec<Option<Slot>>,
    pub(crate) devices: &'a Devices,
    /// The values that graphs among the attributes may read.
    pub(crate) environment: &'a NamedValues,
}

/// What a name in the environment stands for.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// A tensor.
    One(Value),
    /// A sequence of tensors.
    Many(Vec<Value>),
}

/// Values by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct NamedValues(pub(crate) HashMap<String, Slot>);

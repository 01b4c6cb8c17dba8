//! Nodes, names and attributes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use influence_core::FieldKind;

use super::{Versions, tensor};
use crate::{
    Result,
    error::malformed,
    graph::{Attribute, Attributes, AxisLength, GraphNode, InputForm, NetworkGraph},
    operators, proto,
};

/// How deep graphs are in attributes of nodes of graphs.
const DEEPEST: usize = 8;

/// A graph whose names are defined before they are used, and whose operators are known.
pub(super) fn checked(
    graph: proto::GraphProto,
    versions: &Versions,
    folder: &Path,
) -> Result<NetworkGraph> {
    let mut reader = GraphReader {
        versions,
        folder,
        names: BTreeSet::new(),
        unknown: BTreeMap::new(),
        depth: 0,
    };
    let graph = reader.graph(graph)?;
    operators::all_known(&reader.unknown)?;
    Ok(graph)
}

struct GraphReader<'a> {
    versions: &'a Versions,
    folder: &'a Path,
    /// All names that are defined so far.
    names: BTreeSet<String>,
    /// The nodes with each operator that is not known.
    unknown: BTreeMap<String, Vec<String>>,
    depth: usize,
}

impl GraphReader<'_> {
    fn graph(&mut self, graph: proto::GraphProto) -> Result<NetworkGraph> {
        if !graph.sparse.is_empty() {
            return Err(malformed("sparse tensors are not read"));
        }
        let mut tensors = BTreeMap::new();
        for tensor in graph.tensors {
            let name = tensor.name.clone();
            self.define(&name)?;
            tensors.insert(name, tensor::numbers(tensor, self.folder)?);
        }
        let mut inputs = Vec::new();
        for input in graph.inputs {
            // Files of old versions list the tensors that they hold among the inputs.
            if !tensors.contains_key(&input.name) {
                self.define(&input.name)?;
                inputs.push(input_form(input)?);
            }
        }
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes {
            if let Some(node) = self.node(node)? {
                let expansion = operators::expand(node)?;
                for (name, tensor) in expansion.tensors {
                    self.define(&name)?;
                    tensors.insert(name, tensor);
                }
                nodes.extend(expansion.nodes);
            }
        }
        let outputs: Vec<String> = graph
            .outputs
            .into_iter()
            .map(|output| output.name)
            .collect();
        // Where an operator is not known, nodes are missing.
        for output in outputs.iter().filter(|_| self.unknown.is_empty()) {
            if !self.names.contains(output) {
                return Err(malformed(format_args!(
                    "nothing computes the output `{output}`"
                )));
            }
        }
        if outputs.is_empty() {
            return Err(malformed("the graph has no output"));
        }
        Ok(NetworkGraph {
            inputs,
            outputs,
            tensors,
            nodes,
        })
    }

    /// The node, if its operator is known.
    fn node(&mut self, node: proto::NodeProto) -> Result<Option<GraphNode>> {
        let named = [&node.name].into_iter().chain(&node.outputs);
        let name = named.into_iter().find(|name| !name.is_empty());
        let name = name.cloned().unwrap_or_default();
        for input in node.inputs.iter().filter(|input| !input.is_empty()) {
            if !self.names.contains(input) {
                return Err(malformed(format_args!(
                    "node `{name}` ({}) reads `{input}`, which nothing before it computes",
                    node.operator
                )));
            }
        }
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            self.define(output)?;
        }
        let domain = domain(&node.domain);
        let Some(operator) = operators::find(domain, &node.operator) else {
            let operator = match domain {
                "" => node.operator.clone(),
                domain => format!("{domain}::{}", node.operator),
            };
            self.unknown.entry(operator).or_default().push(name);
            return Ok(None);
        };
        let attributes = self.attributes(node.attributes, &name)?;
        Ok(Some(GraphNode {
            name,
            operator,
            version: self.versions.get(domain).copied().unwrap_or(1),
            kind: node.operator,
            inputs: node
                .inputs
                .into_iter()
                .map(|input| Some(input).filter(|input| !input.is_empty()))
                .collect(),
            outputs: node.outputs,
            attributes,
        }))
    }

    fn attributes(
        &mut self,
        attributes: Vec<proto::AttributeProto>,
        node: &str,
    ) -> Result<Attributes> {
        let mut read = BTreeMap::new();
        for attribute in attributes {
            let name = attribute.name.clone();
            if let Some(value) = self.attribute(attribute, node)? {
                read.insert(name, value);
            }
        }
        Ok(Attributes(read))
    }

    /// The value of an attribute, if its type is one that operators read.
    fn attribute(
        &mut self,
        attribute: proto::AttributeProto,
        node: &str,
    ) -> Result<Option<Attribute>> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let missing = || {
            malformed(format_args!(
                "attribute `{}` of node `{node}` has no value",
                attribute.name
            ))
        };
        Ok(Some(match attribute.kind {
            1 => Attribute::Float(f64::from(attribute.float)),
            2 => Attribute::Int(attribute.int),
            3 => Attribute::Text(text(attribute.text)),
            4 => {
                let numbers = attribute.tensor.ok_or_else(missing)?;
                Attribute::Tensor(tensor::numbers(numbers, self.folder)?)
            }
            5 => {
                let graph = *attribute.graph.ok_or_else(missing)?;
                if self.depth == DEEPEST {
                    return Err(malformed(
                        "graphs are nested too deep in attributes of nodes",
                    ));
                }
                self.depth += 1;
                let graph = self.graph(graph)?;
                self.depth -= 1;
                Attribute::Graph(Box::new(graph))
            }
            6 => Attribute::Floats(attribute.floats.into_iter().map(f64::from).collect()),
            7 => Attribute::Ints(attribute.ints),
            8 => Attribute::Texts(attribute.texts.into_iter().map(text).collect()),
            _ => return Ok(None),
        }))
    }

    fn define(&mut self, name: &str) -> Result<()> {
        if self.names.insert(name.to_owned()) {
            return Ok(());
        }
        Err(malformed(format_args!("`{name}` is defined twice")))
    }
}

/// The domain of ONNX's own operators has two names.
pub(super) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// What is said of an input.
fn input_form(input: proto::ValueProto) -> Result<InputForm> {
    let name = input.name;
    let Some(tensor) = input.kind.and_then(|kind| kind.tensor) else {
        return Err(malformed(format_args!(
            "the input `{name}` is not a tensor"
        )));
    };
    let kind = match tensor.kind {
        1 | 10 | 11 | 16 => FieldKind::Float,
        2..=7 | 12 | 13 => FieldKind::Int,
        9 => FieldKind::Bool,
        other => {
            return Err(malformed(format_args!(
                "the input `{name}` has elements of type {other} in ONNX's numbering, which is not read"
            )));
        }
    };
    let side = |side: proto::SideProto| match side.length {
        // Some exporters write 0 or -1 for a length that is not known.
        Some(length) if length > 0 => {
            usize::try_from(length).map(AxisLength::Fixed).map_err(|_| {
                malformed(format_args!(
                    "the input `{name}` has an axis of length {length}"
                ))
            })
        }
        _ => Ok(AxisLength::Free(side.name.filter(|name| !name.is_empty()))),
    };
    let sides = tensor
        .shape
        .map(|shape| shape.sides.into_iter().map(side).collect());
    Ok(InputForm {
        kind,
        sides: sides.transpose()?,
        name: name.clone(),
    })
}

//! What PyTorch's exporter (`dynamo=True`) writes beside the graph: the signature of the program
//! that it exported, and what its optimiser has done.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::proto;

/// The signature of the exported program.
const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";
/// The kind of a tensor in it.
const KIND: &str = "pkg.torch.export.graph_signature.InputSpec.kind";
/// The call of the exported program that a node comes from.
const CALL: &str = "pkg.torch.onnx.fx_node";
/// The modules of the exported program in which that call is, from the outermost.
const SCOPES: &str = "pkg.torch.onnx.name_scopes";
/// The tensors from which a tensor was computed when the file was written.
const FOLDED_FROM: &str = "pkg.onnxscript.optimizer.folded_from";
/// The rules of the optimiser that made a node.
const RULES: &str = "pkg.onnxscript.rewriter.rule_name";

/// What the exporter says.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    /// The tensors that it calls parameters.
    pub(crate) parameters: BTreeSet<String>,
    /// The parameters of the program, in its order.
    pub(crate) order: Vec<String>,
    /// The buffers of the program, in the file or not.
    pub(crate) buffers: BTreeSet<String>,
    /// The parameters of the program that are no tensors of the file.
    pub(crate) missing: Vec<Missing>,
    /// Parameters of the program with their names, but no longer called parameters: something else
    /// has taken their place.
    pub(crate) replaced: Vec<String>,
    /// Tensors that were computed from parameters when the file was written, by name.
    pub(crate) folded: BTreeMap<String, String>,
    /// Rules of the optimiser that join parameters, by the name of the node.
    pub(crate) fused: BTreeMap<String, String>,
}

/// A parameter of the program that is no tensor of the file.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) name: String,
    pub(crate) why: Why,
}

/// Why a parameter is no tensor of the file.
#[derive(Debug)]
pub(crate) enum Why {
    /// Neither a call of the program nor its module uses it.
    Unused,
    /// Calls in its module read this parameter in its place: the two are one.
    TiedTo(String),
    /// Calls of the program read it, and no node does.
    Gone,
}

impl Exported {
    /// What is said in a file; `None` where no tensor is called a parameter.
    pub(super) fn of(metadata: &[proto::EntryProto], graph: &proto::GraphProto) -> Option<Self> {
        let mut exported = Self::default();
        let values = graph.values.iter().chain(&graph.inputs);
        let parameters = values.filter(|value| entry(&value.metadata, KIND) == Some("PARAMETER"));
        exported.parameters = parameters.map(|value| value.name.clone()).collect();
        let calls = Calls::of(graph);
        let signature = || metadata.iter().chain(&graph.metadata);
        let buffers = listed(signature(), "BUFFER").into_iter();
        exported.buffers = buffers.map(|(_, target)| target).collect();
        let listed = listed(signature(), "PARAMETER");
        if exported.parameters.is_empty() && listed.is_empty() {
            return None;
        }
        let tensors: BTreeSet<&str> = graph
            .tensors
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        for parameter in &listed {
            let (_, target) = parameter;
            if !tensors.contains(target.as_str()) {
                exported.missing.push(Missing {
                    name: target.clone(),
                    why: exported.why(parameter, graph, &calls),
                });
            } else if !exported.parameters.contains(target) {
                exported.replaced.push(target.clone());
            }
        }
        exported.order = listed.iter().map(|(_, target)| target.clone()).collect();
        let targets: BTreeSet<&str> = listed.iter().map(|(_, target)| target.as_str()).collect();
        exported.find_folded(graph, &targets);
        exported.find_fused(graph);
        Some(exported)
    }

    /// Why a parameter is missing.
    ///
    /// The program that is exported has tied parameters once, under one of their names; the modules
    /// of its calls tell the others. The optimiser merges equal ones afterwards: then calls read
    /// the one and nodes another.
    fn why(
        &self,
        (placeholder, target): &(String, String),
        graph: &proto::GraphProto,
        calls: &Calls<'_>,
    ) -> Why {
        // Without a record of calls nothing says that it is not used.
        if calls.0.is_empty() || calls.0.contains(placeholder.as_str()) {
            return Why::Gone;
        }
        let Some((module, field)) = target.rsplit_once('.') else {
            return Why::Unused;
        };
        let scope = format!("'{module}'");
        let of_module = graph.nodes.iter().filter(|node| {
            entry(&node.metadata, SCOPES).is_some_and(|scopes| scopes.contains(&scope))
        });
        let mut read = of_module.flat_map(|node| &node.inputs);
        let other = read.find(|input| {
            let name = input.rsplit_once('.').map(|(_, field)| field);
            self.parameters.contains(*input)
                && name == Some(field)
                && !input.starts_with(&format!("{module}."))
        });
        other.map_or(Why::Unused, |other| Why::TiedTo(other.clone()))
    }

    fn find_folded(&mut self, graph: &proto::GraphProto, targets: &BTreeSet<&str>) {
        for value in &graph.values {
            let Some(sources) = entry(&value.metadata, FOLDED_FROM) else {
                continue;
            };
            let sources = sources.split('\'').skip(1).step_by(2);
            if let Some(source) = sources.into_iter().find(|source| targets.contains(source)) {
                self.folded.insert(value.name.clone(), source.to_owned());
            }
        }
    }

    fn find_fused(&mut self, graph: &proto::GraphProto) {
        for node in &graph.nodes {
            let rules = entry(&node.metadata, RULES).unwrap_or_default();
            if let Some(rule) = rules
                .split(", ")
                .find(|rule| rule.contains("FuseBatchNorm"))
            {
                self.fused.insert(node.name.clone(), rule.to_owned());
            }
        }
    }
}

fn entry<'a>(metadata: &'a [proto::EntryProto], key: &str) -> Option<&'a str> {
    let entry = metadata.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

/// The arguments of the calls that nodes come from.
struct Calls<'a>(HashSet<&'a str>);

impl<'a> Calls<'a> {
    fn of(graph: &'a proto::GraphProto) -> Self {
        let calls = graph
            .nodes
            .iter()
            .filter_map(|node| entry(&node.metadata, CALL));
        let arguments = calls
            .flat_map(|call| call.split('%').skip(1))
            .map(|argument| {
                let other = |letter: char| !letter.is_alphanumeric() && letter != '_';
                argument.split(other).next().unwrap_or_default()
            });
        Self(arguments.collect())
    }
}

/// The arguments of one kind in the exporter's copy of the signature, which has a line such as
/// `p_fc_weight: PARAMETER target='fc.weight'` for each, with their targets.
fn listed<'a>(
    metadata: impl Iterator<Item = &'a proto::EntryProto>,
    kind: &str,
) -> Vec<(String, String)> {
    let begin = format!(": {kind} target='");
    let text = metadata.filter(|entry| entry.key == SIGNATURE);
    let parameters = text
        .flat_map(|entry| entry.value.lines())
        .filter_map(|line| {
            let (placeholder, rest) = line.split_once(&begin)?;
            let (target, _) = rest.split_once('\'')?;
            Some((placeholder.to_owned(), target.to_owned()))
        });
    parameters.collect()
}

//! What PyTorch's exporter (`dynamo=True`) writes beside the graph: the signature of the program
//! that it exported, and what its optimiser has done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::proto;

/// The signature of the exported program.
const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";
/// The kind of a tensor in it.
const KIND: &str = "pkg.torch.export.graph_signature.InputSpec.kind";
/// The call of the exported program that a node comes from.
const CALL: &str = "pkg.torch.onnx.fx_node";
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
    /// No call of the program reads it.
    Unused,
    /// The nodes of the calls that read it read this tensor.
    SharedWith(String),
    /// It is read, and nowhere in the file.
    Gone,
}

impl Exported {
    /// What is said in a file; `None` where no tensor is called a parameter.
    pub(super) fn of(metadata: &[proto::Entry], graph: &proto::Graph) -> Option<Self> {
        let mut exported = Self::default();
        let values = graph.values.iter().chain(&graph.inputs);
        for (name, kind) in values.filter_map(|value| Some((value, entry(&value.metadata, KIND)?)))
        {
            match kind {
                "PARAMETER" => exported.parameters.insert(name.name.clone()),
                "BUFFER" | "CONSTANT_TENSOR" => exported.buffers.insert(name.name.clone()),
                _ => continue,
            };
        }
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
        for (placeholder, target) in &listed {
            if !tensors.contains(target.as_str()) {
                exported.missing.push(Missing {
                    name: target.clone(),
                    why: exported.why(placeholder, &calls),
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

    /// Why a parameter is missing, from the nodes of the calls with this argument.
    fn why(&self, placeholder: &str, calls: &Calls<'_>) -> Why {
        let Some(nodes) = calls.0.get(placeholder) else {
            // Without a record of calls nothing says that it is not used.
            return if calls.0.is_empty() {
                Why::Gone
            } else {
                Why::Unused
            };
        };
        let mut read = nodes.iter().flat_map(|node| &node.inputs);
        let partner = read.find(|input| self.parameters.contains(*input));
        partner.map_or(Why::Gone, |partner| Why::SharedWith(partner.clone()))
    }

    fn find_folded(&mut self, graph: &proto::Graph, targets: &BTreeSet<&str>) {
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

    fn find_fused(&mut self, graph: &proto::Graph) {
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

fn entry<'a>(metadata: &'a [proto::Entry], key: &str) -> Option<&'a str> {
    let entry = metadata.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

/// The nodes that come from calls with an argument, by its name.
struct Calls<'a>(HashMap<&'a str, Vec<&'a proto::Node>>);

impl<'a> Calls<'a> {
    fn of(graph: &'a proto::Graph) -> Self {
        let mut nodes: HashMap<&str, Vec<&proto::Node>> = HashMap::new();
        for node in &graph.nodes {
            let call = entry(&node.metadata, CALL).unwrap_or_default();
            for argument in call.split('%').skip(1) {
                let other = |letter: char| !letter.is_alphanumeric() && letter != '_';
                let name = argument.split(other).next().unwrap_or_default();
                nodes.entry(name).or_default().push(node);
            }
        }
        Self(nodes)
    }
}

/// The arguments of one kind in the exporter's copy of the signature, which has a line such as
/// `p_fc_weight: PARAMETER target='fc.weight'` for each, with their targets.
fn listed<'a>(
    metadata: impl Iterator<Item = &'a proto::Entry>,
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

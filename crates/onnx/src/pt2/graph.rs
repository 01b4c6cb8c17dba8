//! From a program to a graph that is pruned to what its results need.

use std::collections::{BTreeMap, HashSet};

use crate::{
    Error, Result,
    error::malformed,
    graph::{GraphNode, NetworkGraph},
    operators,
    settings::ReadSettings,
    {
        error::quoted,
        parameters::{Known, check_computed},
    },
};

use super::{
    archive::Archive,
    inputs::ProgramInputs,
    nodes::{Names, NodeReader, RawNode, named},
    schema::OutputSpec,
    tensors::Tensors,
};

const TAKEN_APART: &str = "the program was taken apart (run_decompositions), which loses detach and no_grad: derivatives flow through them. Save the result of torch.export.export as it is if the network has any";

/// The graph of an archive, with its parameters.
pub(super) fn known(mut archive: Archive, settings: &ReadSettings) -> Result<Known> {
    let program = archive.program()?;
    let taken_apart = !program
        .verifiers
        .iter()
        .any(|dialect| dialect == "TRAINING");
    let module = program.graph_module;
    let mut tensors = Tensors::open(&mut archive)?;
    let mut names = Names::default();
    let inputs = ProgramInputs::new(&module, &tensors, &mut names)?;
    let mut reader = NodeReader::new(&mut names);
    reader.graph(module.graph)?;
    let nodes = reader.nodes;
    let outputs = outputs(&module.signature.output_specs, &mut names)?;
    let output = chosen(&outputs, &nodes, settings)?;
    let (mut nodes, needed) = pruned(nodes, settings.results(&output));
    keep_masked_rows(&mut nodes);
    let cut = cut(&mut nodes, inputs.trained());
    let nodes = resolved(nodes)?;
    check_inference(&nodes)?;
    let constants = inputs.constants(|name| needed.contains(name), &mut tensors, &mut archive)?;
    let parameters = inputs.parameters(&mut tensors, &mut archive)?;
    if !parameters.iter().any(|parameter| parameter.trained) {
        return Err(Error::Parameters(
            "no parameter of the program is trained: requires_grad is False for all of them".into(),
        ));
    }
    Ok(Known {
        graph: NetworkGraph {
            inputs: inputs.fields,
            outputs,
            tensors: constants.into_iter().collect(),
            nodes,
        },
        output,
        parameters,
        ties: inputs.ties,
        buffers: inputs.buffers,
        remarks: cut
            .into_iter()
            .chain(taken_apart.then(|| TAKEN_APART.to_owned()))
            .collect(),
    })
}

/// The names of what the program returns.
fn outputs(specs: &[OutputSpec], names: &mut Names) -> Result<Vec<String>> {
    let mut outputs = Vec::new();
    for spec in specs {
        let returned = match spec {
            OutputSpec::UserOutput { arg } => named(arg),
            OutputSpec::LossOutput { arg } => vec![arg.name.clone()],
            _ => Vec::new(),
        };
        for name in returned {
            outputs.push(names.get(&name)?);
        }
    }
    if outputs.is_empty() {
        return Err(malformed("the program returns no tensor"));
    }
    Ok(outputs)
}

/// The output that the settings name, or the first one. Checks all names in the settings.
fn chosen(outputs: &[String], nodes: &[RawNode], settings: &ReadSettings) -> Result<String> {
    let named = [&settings.output, &settings.measured];
    for wanted in named.into_iter().flatten() {
        let computed = nodes.iter().flat_map(|node| &node.outputs);
        check_computed(wanted, computed, outputs)?;
    }
    let output = settings.output.as_ref().or(outputs.first());
    Ok(output.cloned().unwrap_or_default())
}

/// The nodes that results need, and all names that are needed.
fn pruned<'a>(
    nodes: Vec<RawNode>,
    results: impl Iterator<Item = &'a str>,
) -> (Vec<RawNode>, HashSet<String>) {
    let mut needed: HashSet<String> = results.map(str::to_owned).collect();
    let mut kept = Vec::with_capacity(nodes.len());
    for node in nodes.into_iter().rev() {
        if node.outputs.iter().any(|name| needed.contains(name)) {
            needed.extend(node.inputs.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    (kept, needed)
}

/// Where a derivative could flow through `detach`, it stays; elsewhere it does nothing. Returns a
/// remark on where it stays.
fn cut<'a>(nodes: &mut [RawNode], trained: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut moving: HashSet<String> = trained.map(str::to_owned).collect();
    let mut cuts = Vec::new();
    for node in nodes {
        let moves = node.inputs.iter().any(|input| moving.contains(input));
        if !node.target.starts_with("aten.detach") {
            if moves {
                moving.extend(node.outputs.iter().cloned());
            }
        } else if moves {
            cuts.push(node.name.clone());
        } else {
            "aten.alias.default".clone_into(&mut node.target);
        }
    }
    let some = !cuts.is_empty();
    some.then(|| {
        format!(
            "no derivative flows through {} (detach or no_grad), as in PyTorch",
            quoted(&cuts)
        )
    })
}

/// Attention that is taken apart sets rows of a softmax to 0 in which all scores are −∞. The
/// softmax itself must not be without a number there, or derivatives are.
fn keep_masked_rows(nodes: &mut [RawNode]) {
    let compared = nodes.iter().filter(|node| {
        let other = node.attributes.float("other");
        node.target == "aten.eq.Scalar" && other.is_ok_and(|other| other == Some(f64::NEG_INFINITY))
    });
    let compared: HashSet<String> = compared.flat_map(|node| node.inputs.clone()).collect();
    for node in nodes {
        if node.target == "aten._softmax.default"
            && node
                .inputs
                .first()
                .is_some_and(|input| compared.contains(input))
        {
            "aten._safe_softmax.default".clone_into(&mut node.target);
        }
    }
}

/// Looks up all operators; those that are not known are all named.
fn resolved(nodes: Vec<RawNode>) -> Result<Vec<GraphNode>> {
    let mut unknown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut resolved = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (domain, name) = node.target.split_once('.').unwrap_or(("", &node.target));
        let Some(operator) = operators::find(domain, name) else {
            unknown.entry(node.target).or_default().push(node.name);
            continue;
        };
        resolved.push(GraphNode {
            name: node.name,
            kind: node.target,
            operator,
            version: 1,
            inputs: node.inputs.into_iter().map(Some).collect(),
            outputs: node.outputs,
            attributes: node.attributes,
        });
    }
    operators::all_known(&unknown)?;
    Ok(resolved)
}

/// Refuses a program that was exported for training.
fn check_inference(nodes: &[GraphNode]) -> Result<()> {
    for node in nodes {
        let flag = |name| node.attributes.flag(name).unwrap_or(false);
        let rate = |name| node.attributes.float(name).ok().flatten();
        let draws = flag("train") && rate("p").or(rate("dropout")) != Some(0.0);
        // An instance norm, taken apart, has no statistics of its own.
        let by_batch = flag("training")
            && node.kind.contains("batch_norm")
            && !node.kind.ends_with(".no_stats");
        if by_batch {
            return Err(node.error(
                "it normalises by the statistics of the batch, as in training, so that samples would depend on one another; export `model.eval()`",
            ));
        }
        if draws {
            return Err(node
                .error("it leaves out numbers at random, as in training; export `model.eval()`"));
        }
    }
    Ok(())
}

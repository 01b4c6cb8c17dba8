//! Which tensors of a file are parameters, what they are called, and whether all of them are there.
//!
//! A file of PyTorch does not have the parameters of the network: it has tensors that its graph
//! reads. Exporters join batch normalisations with convolutions, transpose weights, copy tied ones
//! and make one of two that happen to be equal; their defaults do all of this. The network computes
//! the same then, but derivatives by its tensors are not those by its parameters. So parameters are
//! found by these rules, and a file that breaks one is refused.
//!
//! 1. PyTorch's new exporter writes which tensors are parameters. It also lists all parameters of
//!    the program, and what its optimiser did: a parameter that was replaced, folded into another
//!    tensor or merged with an equal one is found by that (`exported`). One that shares its tensor
//!    with another is tied.
//! 2. In other files, a tensor of floats is a parameter if a derivative flows from the output to it
//!    (`flow`): running statistics, masks and shapes are none. Tensors that PyTorch's old exporter
//!    computed have names that no module has.
//! 3. That exporter makes one of equal tensors, and says so by an `Identity` with the name of the
//!    other: they are told apart again. Tied parameters have one name.
//! 4. A state dict (`ReadSettings::weights`) proves it, by the numbers (`state`): what is equal to
//!    one of its tensors, or to the transpose of one, has that name; two tensors with the same name
//!    are tied. What is equal to none was folded.

mod candidates;
mod exported;
mod flow;
mod names;
mod padding;
mod refusal;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use glob::Pattern;

use crate::{
    Error, Result,
    error::quoted,
    file::File,
    graph::{GraphNode, NetworkGraph},
    network::{MOST_AXES, Program},
    settings::{NamedTensor, ReadSettings},
};
use candidates::is_candidate;
use refusal::ExporterRefusal;
pub(crate) use state::by_name;

/// A network whose parameters are known.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) parameters: Vec<NamedTensor>,
    pub(crate) program: Program,
    /// What computes the tensor that is measured, if one is named.
    pub(crate) measured: Option<Program>,
    /// The names of the outputs, that of the chosen one first.
    pub(crate) outputs: Vec<String>,
    pub(crate) operators: BTreeMap<String, usize>,
    pub(crate) remarks: Vec<String>,
}

/// A graph of which it is known which tensors are parameters.
#[derive(Debug)]
pub(crate) struct Known {
    /// The graph without the parameters among its tensors, pruned to what the output and the
    /// measured tensor need.
    pub(crate) graph: NetworkGraph,
    /// The tensor that is asked for.
    pub(crate) output: String,
    pub(crate) parameters: Vec<NamedTensor>,
    /// Names of parameters that are another one.
    pub(crate) ties: Vec<Tie>,
    /// Tensors that a state dict may have beside the parameters.
    pub(crate) buffers: BTreeSet<String>,
    pub(crate) remarks: Vec<String>,
}

/// Two names of one parameter.
#[derive(Debug)]
pub(crate) struct Tie {
    /// The name under which it is not listed.
    pub(crate) name: String,
    /// The one under which it is.
    pub(crate) is: String,
}

/// Finds the parameters of an ONNX file.
pub(crate) fn identify(file: File, settings: &ReadSettings) -> Result<Identified> {
    let mut graph = file.graph;
    let (output, passed) = chosen_output(&graph, settings)?;
    if let Some(measured) = &settings.measured {
        let computed = graph.nodes.iter().flat_map(|node| &node.outputs);
        check_computed(measured, computed, &graph.outputs)?;
    }
    if file.exported.is_none() {
        names::part_merged(&mut graph);
    }
    let results: Vec<&str> = settings.results(&output).collect();
    flow::prune(&mut graph, &results);
    check_inference(&graph)?;
    let live = flow::live(&graph, &results);
    let refusal = ExporterRefusal::new(&file.path);
    let found = match &file.exported {
        Some(exported) => exported::found(exported, &graph, &live),
        None => flow::found(&graph, &live, &file.producer),
    };
    let by_value = match &settings.weights {
        Some(weights) => {
            let order = file.exported.as_ref().map(|exported| &exported.order[..]);
            state::by_value(
                &mut graph,
                (&live, &output),
                weights,
                order.unwrap_or_default(),
            )
        }
        None => None,
    };
    let mut known = match (by_value, &settings.weights) {
        (Some(known), _) => known,
        (None, None) if found.changes.is_empty() => found.known(graph, output)?,
        (None, Some(weights)) if found.changes.is_empty() => {
            let mut known = found.known(graph, output)?;
            state::by_name(&mut known, weights, &settings.weights_file)?;
            known
        }
        (None, Some(_)) => {
            return Err(refusal.of_unmatched(&found.changes, &settings.weights_file));
        }
        (None, None) => return Err(refusal.of_changes(&found.changes, file.exported.is_some())),
    };
    // PyTorch's names are those of the module, whether or not they have a dot.
    if !file.producer.starts_with(names::PYTORCH) {
        names::give_layers(&mut known);
    }
    known.remarks.extend(passed);
    finish(known, settings)
}

/// What the rules say of the tensors of a graph.
#[derive(Debug, Default)]
struct Found {
    /// The trained parameters.
    trained: BTreeSet<String>,
    /// Parameters that are not trained, and why.
    fixed: BTreeMap<String, String>,
    ties: Vec<Tie>,
    /// The names of parameters that the file has under another one, by that.
    renamed: BTreeMap<String, String>,
    /// Tensors of a state dict that are no parameters.
    buffers: BTreeSet<String>,
    /// What an exporter did to parameters, in words.
    changes: Vec<String>,
    remarks: Vec<String>,
}

impl Found {
    /// The graph with its parameters.
    fn known(self, mut graph: NetworkGraph, output: String) -> Result<Known> {
        let mut parameters = Vec::new();
        let names: Vec<String> = graph.tensors.keys().cloned().collect();
        // In the order in which nodes read them, which is that of the layers.
        let mut order = flow::order(&graph);
        order.extend(names);
        for name in order {
            let (trained, remark) = (self.trained.contains(&name), self.fixed.get(&name).cloned());
            if (trained || remark.is_some())
                && let Some(data) = graph.tensors.remove(&name)
            {
                parameters.push(NamedTensor {
                    name: self.renamed.get(&name).cloned().unwrap_or(name),
                    data,
                    trained,
                    remark,
                });
            }
        }
        for node in &mut graph.nodes {
            node.rename(&self.renamed);
        }
        if !parameters.iter().any(|parameter| parameter.trained) {
            return Err(Error::Parameters(format!(
                "no tensor of floats that `{output}` is computed from is a parameter; the file holds constants only"
            )));
        }
        Ok(Known {
            graph,
            output,
            parameters,
            ties: self.ties,
            buffers: self.buffers,
            remarks: self.remarks,
        })
    }
}

/// The output that the settings name, or the first one that depends on numbers of the file, with a
/// remark if others were passed over: classifiers of scikit-learn give labels first.
fn chosen_output(
    graph: &NetworkGraph,
    settings: &ReadSettings,
) -> Result<(String, Option<String>)> {
    let Some(wanted) = &settings.output else {
        let depends = |output: &&String| {
            let live = flow::live(graph, &[output]);
            let mut tensors = graph.tensors.iter();
            tensors.any(|(name, data)| live.contains(name) && is_candidate(name, data))
        };
        let first = graph.outputs.first();
        let chosen = graph
            .outputs
            .iter()
            .find(depends)
            .or(first)
            .cloned()
            .unwrap_or_default();
        let passed = first
            .filter(|first| **first != chosen)
            .map(|first| format!("the output `{chosen}` is taken, as `{first}` has no derivative"));
        return Ok((chosen, passed));
    };
    let computed = graph.nodes.iter().flat_map(|node| &node.outputs);
    check_computed(wanted, computed, &graph.outputs)?;
    Ok((wanted.clone(), None))
}

/// Checks that nodes, which compute all these, compute a tensor that the settings name.
pub(crate) fn check_computed<'a>(
    wanted: &str,
    mut computed: impl Iterator<Item = &'a String>,
    outputs: &[String],
) -> Result<()> {
    if !wanted.is_empty() && computed.any(|name| name == wanted) {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "no node computes `{wanted}`; the outputs are {}, and any result of a node may be named",
        quoted(outputs)
    )))
}

/// Refuses a network that was exported for training, whose batches depend on one another.
fn check_inference(graph: &NetworkGraph) -> Result<()> {
    for node in &graph.nodes {
        if node.attributes.flag("training_mode").unwrap_or(false) {
            return Err(node.error(
                "it normalises by the statistics of the batch, as in training, so that samples would depend on one another; export `model.eval()`, and without training=TrainingMode.TRAINING",
            ));
        }
    }
    Ok(())
}

/// Frozen parameters and padding, which do not depend on the format of the file.
pub(crate) fn finish(mut known: Known, settings: &ReadSettings) -> Result<Identified> {
    freeze(&mut known.parameters, &settings.frozen)?;
    for (table, &row) in &settings.padding {
        padding::mask(&mut known, table, row)?;
    }
    for parameter in &known.parameters {
        if parameter.data.shape().len() > MOST_AXES {
            return Err(Error::Parameters(format!(
                "parameter `{}` has {} axes, at most {MOST_AXES} can be trained",
                parameter.name,
                parameter.data.shape().len()
            )));
        }
    }
    let mut outputs = std::mem::take(&mut known.graph.outputs);
    outputs.retain(|name| *name != known.output);
    outputs.insert(0, known.output.clone());
    let ties = known.ties.iter();
    let ties = ties.map(|tie| format!("`{}` is tied to `{}`", tie.name, tie.is));
    let operators = counted(&known.graph.nodes);
    let measured = settings.measured.as_ref();
    let measured = measured.map(|name| Program::new(known.graph.clone(), name.clone()));
    let program = Program::new(known.graph, known.output);
    if let Some(measured) = &measured {
        check_measured(measured, &program, &known.parameters)?;
    }
    Ok(Identified {
        operators,
        remarks: ties.chain(known.remarks.iter().cloned()).collect(),
        program,
        measured,
        parameters: known.parameters,
        outputs,
    })
}

/// Checks that the loss trains every parameter that the measured tensor depends on.
fn check_measured(measured: &Program, program: &Program, parameters: &[NamedTensor]) -> Result<()> {
    let untrained = parameters.iter().find(|parameter| {
        parameter.trained && measured.reads(&parameter.name) && !program.reads(&parameter.name)
    });
    match untrained {
        None => Ok(()),
        Some(parameter) => Err(Error::Setting(format!(
            "the measured tensor `{}` depends on parameter `{}`, and the output `{}`, of which the loss is taken, does not: training points have no influence on it; name it in model.frozen",
            measured.output(),
            parameter.name,
            program.output()
        ))),
    }
}

/// Marks the parameters whose names have a pattern as not trained.
fn freeze(parameters: &mut [NamedTensor], patterns: &[String]) -> Result<()> {
    for pattern in patterns {
        let names = Pattern::new(pattern)
            .map_err(|error| Error::Setting(format!("the pattern `{pattern}`: {error}")))?;
        let mut some = false;
        for parameter in parameters
            .iter_mut()
            .filter(|parameter| names.matches(&parameter.name))
        {
            some = true;
            parameter.trained = false;
            parameter
                .remark
                .get_or_insert_with(|| format!("frozen by `{pattern}`"));
        }
        if !some {
            let all: Vec<&str> = parameters
                .iter()
                .map(|parameter| parameter.name.as_str())
                .collect();
            return Err(Error::Setting(format!(
                "no parameter is called `{pattern}`; there are {}",
                quoted(&all)
            )));
        }
    }
    if parameters.iter().all(|parameter| !parameter.trained) {
        return Err(Error::Setting(
            "all parameters are frozen; one at least must be trained".into(),
        ));
    }
    Ok(())
}

fn counted(nodes: &[GraphNode]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in nodes {
        *counts.entry(node.kind.clone()).or_default() += 1;
    }
    counts
}

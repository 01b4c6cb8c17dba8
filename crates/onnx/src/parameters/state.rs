//! A state dict held against the tensors of a graph.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
};

use burn::tensor::{DType, TensorData};
use sha2::{Digest, Sha256};

use super::{
    Known, Tie,
    candidates::{is_candidate, is_uniform},
    flow, padding,
};
use crate::{Error, Result, error::quoted, graph::NetworkGraph, settings::NamedTensor};

/// The tensors of a state dict by name.
type State = BTreeMap<String, TensorData>;

/// The parameters by their numbers: every tensor to which a derivative flows is one of the state
/// dict or the transpose of one. `None` if one is not, but for constants if the state dict is all
/// found.
pub(super) fn by_value(
    graph: &mut NetworkGraph,
    (live, output): (&HashSet<String>, &str),
    state: &State,
    order: &[String],
) -> Option<Known> {
    let found = Matches::new(graph, state, order);
    let candidates = graph.tensors.iter();
    let candidates =
        candidates.filter(|(name, data)| live.contains(*name) && is_candidate(name, data));
    let unmatched: Vec<String> = candidates
        .filter(|(name, _)| !found.names.contains_key(*name))
        .map(|(name, _)| name.clone())
        .collect();
    let used: BTreeSet<&String> = found.names.values().map(|matched| &matched.name).collect();
    if used.is_empty() || (!unmatched.is_empty() && !found.is_whole(state)) {
        return None;
    }
    found.apply(graph, live, output, state).ok()
}

/// A tensor of the state dict that a tensor of the graph is.
#[derive(Debug, Clone)]
struct Matched {
    name: String,
    transposed: bool,
}

/// The tensors of a graph that are in a state dict.
#[derive(Debug)]
struct Matches {
    names: BTreeMap<String, Matched>,
}

impl Matches {
    /// Parameters with several names get the one that comes first in an order, or that the graph
    /// has.
    fn new(graph: &NetworkGraph, state: &State, order: &[String]) -> Self {
        let mut by_numbers: HashMap<TensorDigest, Vec<Matched>> = HashMap::new();
        let mut add = |data: &TensorData, name: &str, transposed| {
            let name = name.to_owned();
            let same = by_numbers.entry(digest(data)).or_default();
            same.push(Matched { name, transposed });
        };
        for (name, data) in state.iter().filter(|(_, data)| data.dtype().is_float()) {
            add(data, name, false);
            if let Some(turned) = transposed(data) {
                add(&turned, name, true);
            }
        }
        let place = |name: &String| {
            let place = order.iter().position(|other| other == name);
            (
                place.unwrap_or(usize::MAX),
                !graph.tensors.contains_key(name),
            )
        };
        let mut names = BTreeMap::new();
        for (name, data) in graph
            .tensors
            .iter()
            .filter(|(_, data)| data.dtype().is_float())
        {
            let Some(all) = by_numbers.get(&digest(data)) else {
                continue;
            };
            // Zeros and ones are equal by chance; other parameters are equal if they are tied.
            let own = all
                .iter()
                .find(|matched| matched.name == *name && !matched.transposed);
            let own = own.filter(|_| is_uniform(data));
            let first = || {
                all.iter()
                    .min_by_key(|matched| (matched.transposed, place(&matched.name)))
            };
            if let Some(matched) = own.or_else(first) {
                names.insert(name.clone(), matched.clone());
            }
        }
        Self { names }
    }

    /// Whether every tensor of floats of the state dict is in the graph.
    fn is_whole(&self, state: &State) -> bool {
        let found: BTreeSet<&String> = self.names.values().map(|matched| &matched.name).collect();
        let numbers: HashSet<TensorDigest> =
            found.iter().map(|name| digest(&state[*name])).collect();
        let mut floats = state.iter().filter(|(_, data)| data.dtype().is_float());
        floats.all(|(_, data)| numbers.contains(&digest(data)))
    }

    /// Gives the tensors of the graph their names; nodes read them through nodes that turn them or
    /// hand them on.
    fn apply(
        &self,
        graph: &mut NetworkGraph,
        live: &HashSet<String>,
        output: &str,
        state: &State,
    ) -> Result<Known> {
        let (mut parameters, mut ties, mut front) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken: BTreeSet<&String> = BTreeSet::new();
        let mut restored = 0;
        for name in flow::order(graph) {
            let (Some(matched), true) = (self.names.get(&name), live.contains(&name)) else {
                continue;
            };
            let Some(data) = graph.tensors.remove(&name) else {
                continue;
            };
            if matched.transposed {
                front.push(padding::transposing(&name, &matched.name, &name)?);
            } else if matched.name != name {
                front.push(padding::plain(&name, "Identity", [&matched.name], &name)?);
            }
            restored += usize::from(matched.name != name);
            if taken.insert(&matched.name) {
                let data = if matched.transposed {
                    state[&matched.name].clone().convert_dtype(data.dtype())
                } else {
                    data
                };
                parameters.push(NamedTensor {
                    name: matched.name.clone(),
                    data,
                    trained: true,
                    remark: (matched.name != name)
                        .then(|| format!("`{name}` in the file; named by its numbers")),
                });
            } else {
                ties.push(Tie {
                    name,
                    is: matched.name.clone(),
                });
            }
        }
        front.append(&mut graph.nodes);
        Ok(Known {
            graph: NetworkGraph {
                nodes: front,
                ..std::mem::take(graph)
            },
            output: output.to_owned(),
            parameters,
            ties,
            buffers: BTreeSet::new(),
            remarks: (restored > 0)
                .then(|| format!("{restored} tensors were named by their numbers, which are those of model.weights"))
                .into_iter()
                .collect(),
        })
    }
}

/// A digest of a tensor.
type TensorDigest = [u8; 32];

/// The digest of the numbers of a tensor with its shape, as 32-bit floats if no bit is lost by
/// that.
fn digest(data: &TensorData) -> TensorDigest {
    let mut digest = Sha256::new();
    for side in data.shape().iter() {
        digest.update(side.to_le_bytes());
    }
    let narrow = (data.dtype() != DType::F32).then(|| data.clone().convert_dtype(DType::F32));
    let lossless = narrow.filter(|narrow| data.iter::<f64>().eq(narrow.iter::<f64>()));
    digest.update(lossless.as_ref().unwrap_or(data).as_bytes());
    digest.finalize().into()
}

/// The transpose of a matrix.
fn transposed(data: &TensorData) -> Option<TensorData> {
    let &[rows, columns] = data.shape().as_slice() else {
        return None;
    };
    let numbers: Vec<f64> = data.iter::<f64>().collect();
    let turned = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    let turned: Vec<f64> = turned.map(|place| numbers[place]).collect();
    Some(TensorData::new(turned, [columns, rows]).convert_dtype(data.dtype()))
}

/// Puts the tensors of a state dict in the place of those of the graph with their names, which must
/// be all that the network has.
pub(crate) fn by_name(known: &mut Known, state: &State, file: &Path) -> Result<()> {
    let wrong = |message: String| Error::Parameters(format!("{}: {message}", file.display()));
    let mut lacking = Vec::new();
    let mut read: BTreeSet<&str> = BTreeSet::new();
    let parameters = known
        .parameters
        .iter_mut()
        .map(|parameter| (&*parameter.name, &mut parameter.data));
    let buffers = known
        .graph
        .tensors
        .iter_mut()
        .filter(|(name, data)| data.dtype().is_float() && state.contains_key(*name));
    let buffers = buffers.map(|(name, data)| (name.as_str(), data));
    for (name, data) in parameters.chain(buffers) {
        let tie = known
            .ties
            .iter()
            .find(|tie| tie.is == name && state.contains_key(&tie.name));
        let own = state.get_key_value(name);
        let Some((stored, given)) = own.or_else(|| state.get_key_value(&tie?.name)) else {
            lacking.push(name.to_owned());
            continue;
        };
        if given.shape() != data.shape() {
            return Err(wrong(format!(
                "`{stored}` has shape {:?}, the network has it with {:?}",
                given.shape(),
                data.shape()
            )));
        }
        *data = given.clone().convert_dtype(data.dtype());
        read.insert(stored);
    }
    if !lacking.is_empty() {
        return Err(wrong(format!(
            "lacks parameters of the network: {}; it has {}",
            quoted(&lacking),
            quoted(&state.keys().collect::<Vec<_>>())
        )));
    }
    let extra = state.iter().filter(|(name, data)| {
        let tied = known
            .ties
            .iter()
            .any(|tie| tie.name == **name && state.get(&tie.is).is_none_or(|other| other == *data));
        let buffer = known.buffers.contains(*name);
        data.dtype().is_float() && !read.contains(name.as_str()) && !tied && !buffer
    });
    let extra: Vec<&String> = extra.map(|(name, _)| name).collect();
    if extra.is_empty() {
        return Ok(());
    }
    Err(wrong(format!(
        "holds tensors that the network does not have: {}",
        quoted(&extra)
    )))
}

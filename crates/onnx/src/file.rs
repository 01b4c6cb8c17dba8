//! ONNX files: from bytes to a graph in which every name is what it seems.
//!
//! Nothing in a file is believed. Lengths are compared with the bytes that are there before anything is
//! allocated for them, numbers beside the file are read at their positions and only from its
//! folder, names must be defined before they are used and once, and operators that are not known
//! are all listed in one error.

mod graph;
mod tensor;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use prost::{Message, bytes::Bytes};

use crate::{Error, Result, graph::Graph, proto};

/// The versions of the standard set of operators that are read.
const VERSIONS: std::ops::RangeInclusive<i64> = 13..=23;

/// What a file says.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) graph: Graph,
    /// What the exporter says of tensors, by their names: `PARAMETER`, `BUFFER`, ….
    pub(crate) kinds: BTreeMap<String, String>,
    /// The parameters of the exported network by the exporter's own list, if it wrote one.
    pub(crate) listed: Vec<String>,
    /// The program that wrote it, with its version.
    pub(crate) producer: String,
}

/// Reads and checks a file.
pub(crate) fn read(path: &Path) -> Result<File> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = Bytes::from(std::fs::read(path).map_err(io)?);
    let folder = path.parent().unwrap_or(Path::new(""));
    read_bytes(bytes, folder, path).map_err(|error| match error {
        Error::Malformed(message) => Error::Malformed(format!("{}: {message}", path.display())),
        Error::UnknownOperators(message) => {
            Error::UnknownOperators(format!("{}: {message}", path.display()))
        }
        other => other,
    })
}

/// As [`read`], of a file that is in memory; numbers beside it are in this folder.
fn read_bytes(bytes: Bytes, folder: &Path, path: &Path) -> Result<File> {
    let model = proto::Model::decode(bytes).map_err(|error| {
        Error::Malformed(format!("this is no ONNX file, or it was cut off ({error})"))
    })?;
    let producer = format!("{} {}", model.producer, model.producer_version);
    let graph = model
        .graph
        .ok_or_else(|| Error::Malformed("there is no graph in this file".into()))?;
    let versions = versions(&model.operators)?;
    Ok(File {
        path: path.to_owned(),
        kinds: kinds(&graph),
        listed: listed(model.metadata.iter().chain(&graph.metadata)),
        graph: graph::checked(graph, &versions, folder)?,
        producer: producer.trim().to_owned(),
    })
}

/// The version of each set of operators, by its domain.
type Versions = BTreeMap<String, i64>;

fn versions(sets: &[proto::OperatorSet]) -> Result<Versions> {
    let versions: Versions = sets
        .iter()
        .map(|set| (domain(&set.domain).to_owned(), set.version))
        .collect();
    match versions.get("") {
        Some(version) if !VERSIONS.contains(version) => Err(Error::Malformed(format!(
            "the file uses version {version} of ONNX's operators (opset); versions {} to {} are read: export it again with opset_version=18",
            VERSIONS.start(),
            VERSIONS.end()
        ))),
        None => Err(Error::Malformed(
            "the file does not say which version of ONNX's operators (opset) it uses".into(),
        )),
        Some(_) => Ok(versions),
    }
}

/// The domain of ONNX's own operators has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// What PyTorch's exporter says of the tensors of the program that it exported.
fn kinds(graph: &proto::Graph) -> BTreeMap<String, String> {
    const KEY: &str = "pkg.torch.export.graph_signature.InputSpec.kind";
    let values = graph.values.iter().chain(&graph.inputs);
    let kinds = values.filter_map(|value| {
        let kind = value.metadata.iter().find(|entry| entry.key == KEY)?;
        Some((value.name.clone(), kind.value.clone()))
    });
    kinds.collect()
}

/// The targets of the parameters in the exporter's copy of the signature, which has a line such as
/// `p_fc_weight: PARAMETER target='fc.weight'` for each.
fn listed<'a>(metadata: impl Iterator<Item = &'a proto::Entry>) -> Vec<String> {
    const KEY: &str = "pkg.torch.export.ExportedProgram.graph_signature";
    let text = metadata.filter(|entry| entry.key == KEY);
    let lines = text.flat_map(|entry| entry.value.lines());
    let parameters = lines.filter(|line| line.contains("PARAMETER"));
    let targets = parameters.filter_map(|line| {
        let (_, target) = line.split_once("target='")?;
        Some(target.split_once('\'')?.0.to_owned())
    });
    targets.collect()
}

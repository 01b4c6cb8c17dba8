//! ONNX files: from bytes to a graph in which every name is what it seems.
//!
//! Nothing in a file is believed. Lengths are compared with the bytes that are there before
//! anything is allocated for them, numbers beside the file are read at their positions and only
//! from its folder, names must be defined before they are used and once, and operators that are not
//! known are all listed in one error.

mod beside;
mod exported;
mod graph;
mod message;
mod tensor;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use beside::files_beside;

use prost::bytes::Bytes;

use crate::{Error, Result, graph::NetworkGraph, proto};

pub(crate) use exported::{Exported, Why};

/// The versions of the standard set of operators that are read.
const VERSIONS: std::ops::RangeInclusive<i64> = 13..=23;

/// What a file says.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) graph: NetworkGraph,
    /// What PyTorch's exporter says of the program that it exported, if it does.
    pub(crate) exported: Option<Exported>,
    /// The program that wrote it, with its version.
    pub(crate) producer: String,
}

/// Reads and checks a file.
pub(crate) fn read(path: &Path) -> Result<File> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let bytes = message::bytes(path)?;
    read_bytes(bytes, folder, path).map_err(|error| error.in_file(path))
}

/// As [`read`], of a file that is in memory; numbers beside it are in this folder.
fn read_bytes(bytes: Bytes, folder: &Path, path: &Path) -> Result<File> {
    let model = message::decoded(bytes)?;
    let producer = format!("{} {}", model.producer, model.producer_version);
    let graph = model
        .graph
        .ok_or_else(|| Error::Malformed("there is no graph in this file".into()))?;
    let versions = versions(&model.operators)?;
    Ok(File {
        path: path.to_owned(),
        exported: Exported::of(&model.metadata, &graph),
        graph: graph::checked(graph, &versions, folder)?,
        producer: producer.trim().to_owned(),
    })
}

/// The version of each set of operators, by its domain.
type Versions = BTreeMap<String, i64>;

fn versions(sets: &[proto::OperatorSet]) -> Result<Versions> {
    let versions: Versions = sets
        .iter()
        .map(|set| (graph::domain(&set.domain).to_owned(), set.version))
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

#[cfg(test)]
mod tests;

//! The files beside an ONNX file that hold numbers of its tensors.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::message;
use crate::{Result, proto};

/// The files beside an ONNX file that hold numbers of its tensors, sorted; most files have none.
///
/// # Errors
/// When the file cannot be read, or is no ONNX file. Whether the others can be read is not looked
/// at.
pub fn files_beside(path: &Path) -> Result<Vec<PathBuf>> {
    let model = message::decoded(message::bytes(path)?).map_err(|error| error.in_file(path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names = BTreeSet::new();
    if let Some(graph) = &model.graph {
        collect(graph, &mut names);
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The names in a graph and in those of the attributes of its nodes.
fn collect<'a>(graph: &'a proto::GraphProto, names: &mut BTreeSet<&'a str>) {
    let attributes = || graph.nodes.iter().flat_map(|node| &node.attributes);
    let of_attributes = attributes().filter_map(|attribute| attribute.tensor.as_ref());
    for tensor in graph.tensors.iter().chain(of_attributes) {
        let entries = tensor.external.iter().filter(|_| tensor.location == 1);
        let location = entries.filter(|entry| entry.key == "location");
        names.extend(location.map(|entry| entry.value.as_str()));
    }
    for graph in attributes().filter_map(|attribute| attribute.graph.as_ref()) {
        collect(graph, names);
    }
}

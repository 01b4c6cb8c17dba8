//! The nodes of a group that are this crate's, and the group itself.

use std::collections::HashMap;

use serde_json::{Map, Value};
use zarrs::{
    group::GroupBuilder,
    metadata::NodeMetadata,
    metadata_ext::group::consolidated_metadata::ConsolidatedMetadata,
    node::meta_key_v3,
    storage::{Bytes, StoreKey},
};

use super::{
    kinds::{FACTORS, INFLUENCES, SELF_INFLUENCES},
    reports::{ITERATIONS, RESIDUAL, STATUS},
};
use crate::{error::BoxError, zarr::place::OpenGroup};

/// The group of factors that are kept while influences are computed.
pub(crate) const SCRATCH: &str = "scratch";

/// Everything within a group that is this crate's, whatever the kind of output.
const NODES: [&str; 9] = [
    INFLUENCES.name,
    FACTORS.name,
    SELF_INFLUENCES.name,
    "test",
    "train",
    STATUS,
    RESIDUAL,
    ITERATIONS,
    SCRATCH,
];

/// Whether something of this name within a group is this crate's.
pub(crate) fn is_node(name: &str) -> bool {
    NODES.contains(&name)
}

/// Writes the metadata of the group, consolidated if those of the arrays are given.
pub(crate) fn store_group(
    group: &OpenGroup,
    attributes: &Map<String, Value>,
    nodes: Option<HashMap<String, NodeMetadata>>,
) -> Result<(), BoxError> {
    let (key, text) = group_metadata(group, attributes, nodes)?;
    Ok(group.storage.set(&key, text)?)
}

/// Writes the metadata of a group where there is none; `false` where another process was first.
pub(crate) fn create_group(
    group: &OpenGroup,
    attributes: &Map<String, Value>,
) -> Result<bool, BoxError> {
    let (key, text) = group_metadata(group, attributes, None)?;
    if let Some(store) = &group.creation {
        return store.create(&key, text);
    }
    group.storage.set(&key, text)?;
    Ok(true)
}

fn group_metadata(
    group: &OpenGroup,
    attributes: &Map<String, Value>,
    nodes: Option<HashMap<String, NodeMetadata>>,
) -> Result<(StoreKey, Bytes), BoxError> {
    let mut built = GroupBuilder::new()
        .attributes(attributes.clone())
        .build(group.storage.clone(), &group.path)?;
    let consolidated = nodes.map(|metadata| ConsolidatedMetadata {
        metadata,
        ..Default::default()
    });
    built.set_consolidated_metadata(consolidated);
    // Consolidated metadata is a hash map: sorted, so that the same output has the same bytes.
    let mut metadata = serde_json::to_value(built.metadata())?;
    metadata.sort_all_objects();
    let text = serde_json::to_vec_pretty(&metadata)?;
    Ok((meta_key_v3(built.path()), text.into()))
}

/// Removes the arrays of an earlier output, and nothing else.
pub(crate) fn erase(group: &OpenGroup) -> Result<(), BoxError> {
    NODES.iter().try_for_each(|name| erase_node(group, name))
}

/// Removes one array or group within the group.
pub(crate) fn erase_node(group: &OpenGroup, name: &str) -> Result<(), BoxError> {
    Ok(group.storage.erase_prefix(&group.prefix(name)?)?)
}

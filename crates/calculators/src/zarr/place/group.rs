use std::{path::PathBuf, sync::Arc};

use serde_json::{Map, Value};
use zarrs::storage::{Bytes, ReadableWritableListableStorage, StoreKey, StorePrefix};

use crate::{Error, Result, error::BoxError, zarr::format::OWN};

/// A group of a store that is open; it need not exist yet.
#[derive(Clone)]
pub(crate) struct OpenGroup {
    pub(crate) storage: ReadableWritableListableStorage,
    /// Its path within the store, `/` for the root.
    pub(crate) path: String,
    /// Its name in messages.
    pub(crate) name: String,
    /// The folder, where it is one.
    pub(crate) folder: Option<PathBuf>,
    /// How a value is created of which two processes may want to be the first, where no lock keeps
    /// them apart.
    pub(crate) creation: Option<Arc<dyn Creation>>,
}

/// A store that writes a value only where there is none, in one step.
pub(crate) trait Creation: Send + Sync {
    /// Writes the value, and says whether there was none.
    fn create(&self, key: &StoreKey, value: Bytes) -> Result<bool, BoxError>;
}

/// What the place of a group holds.
pub(crate) enum Occupant {
    Nothing,
    /// An output of this crate, with all its attributes.
    Output(Map<String, Value>),
    Other(String),
}

impl OpenGroup {
    /// A group within the group.
    pub(crate) fn within(&self, name: &str) -> Self {
        Self {
            path: self.array(name),
            ..self.clone()
        }
    }

    /// Whether it is a folder that does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| !folder.exists())
    }

    /// The path of an array in the group.
    pub(crate) fn array(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }

    /// The prefix of the keys of an array, of the group itself for an empty name.
    pub(crate) fn prefix(&self, name: &str) -> Result<StorePrefix, BoxError> {
        let path = self.array(name);
        let path = path.trim_matches('/');
        Ok(StorePrefix::new(if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        })?)
    }

    /// Its occupant, according to the metadata.
    pub(crate) fn occupant(&self) -> Result<Occupant> {
        let error = |source: BoxError| Error::store(&self.name, "read the metadata", source);
        let key = StoreKey::new(self.array("zarr.json").trim_start_matches('/'))
            .map_err(|source| error(source.into()))?;
        let Some(metadata) = self
            .storage
            .get(&key)
            .map_err(|source| error(source.into()))?
        else {
            return Ok(Occupant::Nothing);
        };
        let Ok(mut metadata) = serde_json::from_slice::<Value>(&metadata) else {
            return Ok(Occupant::Other("a zarr.json that is not JSON".into()));
        };
        let node = metadata["node_type"].as_str().unwrap_or("node").to_owned();
        Ok(match metadata["attributes"].take() {
            Value::Object(attributes) if node == "group" && attributes.contains_key(OWN) => {
                Occupant::Output(attributes)
            }
            _ => Occupant::Other(format!("a zarr {node} made by something else")),
        })
    }
}

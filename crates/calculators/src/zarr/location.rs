use std::{
    fmt::{self, Debug, Display},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use zarrs::storage::{ReadableWritableListableStorage, StoreKey, StorePrefix};

use super::{DurableStore, OWN, durable::is_hidden, parse::refuse_url};
use crate::{Error, Result};

/// The account of whatever lies below.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Where a group is: a folder, an object store named by a URL, or a path within any store of `zarrs`.
///
/// A path converts into a location, and so does a store, whose root is then meant; text that may be a path or a URL is read by
/// [`parse`](Self::parse).
#[derive(Clone)]
pub struct Location {
    home: Home,
    group: String,
}

#[derive(Clone)]
enum Home {
    Folder(PathBuf),
    Store {
        storage: ReadableWritableListableStorage,
        url: Option<String>,
        writable: bool,
    },
}

impl Location {
    /// A folder, which is written durably: see [`DurableStore`].
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self {
            home: Home::Folder(path.into()),
            group: "/".into(),
        }
    }

    /// The group `path` in a store, `/` for its root; its writes are as durable as the store makes them.
    pub fn in_store(store: ReadableWritableListableStorage, path: &str) -> Self {
        Self {
            home: Home::Store {
                storage: store,
                url: None,
                writable: true,
            },
            group: format!("/{}", path.trim_matches('/')),
        }
    }

    /// The folder that is written durably, if it is one.
    pub(super) fn as_folder(&self) -> Option<&Path> {
        match &self.home {
            Home::Folder(path) => Some(path),
            Home::Store { .. } => None,
        }
    }

    /// The root of a store that is known by a URL.
    #[cfg(feature = "object-store")]
    pub(super) fn at_url(
        url: String,
        storage: ReadableWritableListableStorage,
        writable: bool,
    ) -> Self {
        Self {
            home: Home::Store {
                storage,
                url: Some(url),
                writable,
            },
            group: "/".into(),
        }
    }

    /// Opens this location for writing.
    pub(crate) fn open_writable(&self) -> Result<Place> {
        match self.home {
            Home::Store {
                writable: false, ..
            } => Err(Error::ReadOnly {
                path: self.to_string(),
            }),
            _ => self.open(),
        }
    }

    pub(crate) fn open(&self) -> Result<Place> {
        let storage: ReadableWritableListableStorage = match &self.home {
            Home::Folder(path) => {
                refuse_url(path)?;
                let store = DurableStore::new(path)
                    .map_err(|source| Error::store(self, "open a folder", source))?;
                Arc::new(store)
            }
            Home::Store { storage, .. } => storage.clone(),
        };
        Ok(Place {
            storage,
            group: self.group.clone(),
            name: self.to_string(),
            folder: self.as_folder().map(Path::to_owned),
        })
    }

    /// What is at this place, `place` being this location opened.
    pub(crate) fn survey(&self, place: &Place) -> Result<Found> {
        let failed = |source: Source| Error::store(self, "look for an output", source);
        if let Home::Folder(path) = &self.home {
            if !path.exists() {
                return Ok(Found::Nothing);
            }
            if !path.is_dir() {
                return Ok(Found::Other("a file".into()));
            }
        }
        let found = place.attributes()?;
        if !matches!(found, Found::Nothing) {
            return Ok(found);
        }
        let is_empty = match &self.home {
            Home::Folder(path) => fs::read_dir(path)
                .map_err(|source| failed(source.into()))?
                .all(|entry| {
                    entry.is_ok_and(|entry| is_hidden(&entry.file_name().to_string_lossy()))
                }),
            Home::Store { storage, .. } => {
                let prefix = place.prefix("").map_err(failed)?;
                let listed = storage
                    .list_dir(&prefix)
                    .map_err(|source| failed(source.into()))?;
                // Consoles of object stores mark an empty folder by an object of its name, whose key is empty here.
                listed.keys().iter().all(|key| key.as_str().is_empty())
                    && listed.prefixes().is_empty()
            }
        };
        Ok(if is_empty {
            Found::Nothing
        } else {
            Found::Other("data that are not a zarr group".into())
        })
    }
}

/// A location that is open.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) storage: ReadableWritableListableStorage,
    pub(crate) group: String,
    pub(crate) name: String,
    /// The folder, where it is one.
    pub(super) folder: Option<PathBuf>,
}

/// What is at the place of a group.
pub(crate) enum Found {
    Nothing,
    /// An output of this crate, with all its attributes.
    Output(Map<String, Value>),
    Other(String),
}

impl Place {
    /// A group within the group.
    pub(super) fn within(&self, name: &str) -> Self {
        Self {
            group: self.array(name),
            ..self.clone()
        }
    }

    /// Whether it is a folder that does not exist.
    pub(super) fn is_absent(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| !folder.exists())
    }

    /// The path of an array in the group.
    pub(crate) fn array(&self, name: &str) -> String {
        format!("{}/{name}", self.group.trim_end_matches('/'))
    }

    /// The prefix of the keys of an array, of the group itself for an empty name.
    pub(crate) fn prefix(&self, name: &str) -> Result<StorePrefix, Source> {
        let path = self.array(name);
        let path = path.trim_matches('/');
        Ok(StorePrefix::new(if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        })?)
    }

    pub(crate) fn attributes(&self) -> Result<Found> {
        let error = |source: Source| Error::store(&self.name, "read the metadata", source);
        let key = StoreKey::new(self.array("zarr.json").trim_start_matches('/'))
            .map_err(|source| error(source.into()))?;
        let Some(metadata) = self
            .storage
            .get(&key)
            .map_err(|source| error(source.into()))?
        else {
            return Ok(Found::Nothing);
        };
        let Ok(mut metadata) = serde_json::from_slice::<Value>(&metadata) else {
            return Ok(Found::Other("a zarr.json that is not JSON".into()));
        };
        let node = metadata["node_type"].as_str().unwrap_or("node").to_owned();
        Ok(match metadata["attributes"].take() {
            Value::Object(attributes) if node == "group" && attributes.contains_key(OWN) => {
                Found::Output(attributes)
            }
            _ => Found::Other(format!("a zarr {node} made by something else")),
        })
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.home {
            Home::Folder(path) => write!(f, "{}", path.display()),
            Home::Store { url: Some(url), .. } => write!(f, "{url}"),
            Home::Store { .. } => write!(f, "group {} of a store", self.group),
        }
    }
}

impl Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Self::folder(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::folder(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::folder(path)
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::folder(path)
    }
}

impl From<ReadableWritableListableStorage> for Location {
    fn from(store: ReadableWritableListableStorage) -> Self {
        Self::in_store(store, "/")
    }
}

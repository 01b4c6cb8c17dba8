use std::{
    fmt::{self, Debug, Display},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use zarrs::storage::ReadableWritableListableStorage;

use super::{
    group::{Creation, Occupant, OpenGroup},
    scheme::{Scheme, is_url, refuse_url},
};
use crate::{
    Error, Result,
    error::BoxError,
    zarr::durable::{DurableStore, is_hidden},
};

/// Where a group is: a folder, an object store named by a URL, or a path within any store of
/// `zarrs`.
///
/// A path converts into a location, and so does a store, whose root is then meant; text that may be
/// a path or a URL is read by [`parse`](Self::parse).
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
        creation: Option<Arc<dyn Creation>>,
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

    /// The group `path` in a store, `/` for its root; its writes are as durable as the store makes
    /// them.
    pub fn in_store(store: ReadableWritableListableStorage, path: &str) -> Self {
        Self {
            home: Home::Store {
                storage: store,
                url: None,
                writable: true,
                creation: None,
            },
            group: format!("/{}", path.trim_matches('/')),
        }
    }

    /// A path or a URL. A text without a scheme is a [`folder`](Self::folder); a scheme picks the
    /// store, if its feature is on:
    ///
    /// | URL | feature | access |
    /// |---|---|---|
    /// | `file:///path` | `object-store` | |
    /// | `memory:///path` | `object-store` | lives as long as this location; its clones share it, another `parse` does not |
    /// | `s3://bucket/path`, `s3a://` | `s3` | variables `AWS_*`, such as `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP` |
    /// | `gs://bucket/path` | `gcs` | variables `GOOGLE_*`, such as `GOOGLE_SERVICE_ACCOUNT` |
    /// | `az://container/path`, `abfs[s]://` | `azure` | variables `AZURE_*`, such as `AZURE_STORAGE_ACCOUNT_NAME` |
    /// | `http[s]://host/path` | `http` | reading only |
    ///
    /// The variables are those of the builders of `object_store`. A URL with a password or a query
    /// is refused, since URLs are shown. Nothing is sent yet. A value appears in an object store as
    /// a whole or not at all.
    ///
    /// Waiting for a store blocks the thread. Within an asynchronous runtime this works, but holds
    /// up one of its threads: better call whatever reads or writes by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::UnknownScheme`], [`Error::FeatureOff`], [`Error::Option`] for a URL that cannot be
    /// read, [`Error::Store`] when the store's settings are not complete.
    ///
    /// # Examples
    /// ```
    /// use influence_calculators::{Error, Location};
    ///
    /// assert_eq!(Location::parse("runs/first.zarr")?.to_string(), "runs/first.zarr");
    /// let unknown = Location::parse("ftp://host/first.zarr");
    /// assert!(matches!(unknown, Err(Error::UnknownScheme { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        match Scheme::of(text)? {
            None => Ok(Self::folder(text)),
            #[cfg(feature = "object-store")]
            Some(scheme) => {
                let store = super::remote::open(text, scheme)?;
                Ok(Self::at_url(store))
            }
            #[cfg(not(feature = "object-store"))]
            Some(scheme) => Err(scheme.off()),
        }
    }

    /// Whether [`parse`](Self::parse) takes this for a URL, of a known scheme or not, rather than
    /// for a folder.
    pub fn is_url(text: &str) -> bool {
        is_url(text)
    }

    /// The folder that is written durably, if it is one.
    pub(crate) fn as_folder(&self) -> Option<&Path> {
        match &self.home {
            Home::Folder(path) => Some(path),
            Home::Store { .. } => None,
        }
    }

    /// The root of a store that is known by a URL.
    #[cfg(feature = "object-store")]
    fn at_url(store: super::remote::RemoteStore) -> Self {
        Self {
            home: Home::Store {
                storage: store.storage,
                url: Some(store.url),
                writable: store.writable,
                creation: Some(store.creation),
            },
            group: "/".into(),
        }
    }

    /// Opens this location for writing.
    pub(crate) fn open_writable(&self) -> Result<OpenGroup> {
        match self.home {
            Home::Store {
                writable: false, ..
            } => Err(Error::ReadOnly {
                path: self.to_string(),
            }),
            _ => self.open(),
        }
    }

    /// Opens this location; nothing is looked at.
    pub(crate) fn open(&self) -> Result<OpenGroup> {
        let storage: ReadableWritableListableStorage = match &self.home {
            Home::Folder(path) => {
                refuse_url(path)?;
                let store = DurableStore::new(path)
                    .map_err(|source| Error::store(self, "open a folder", source))?;
                Arc::new(store)
            }
            Home::Store { storage, .. } => storage.clone(),
        };
        let creation = match &self.home {
            Home::Folder(_) => None,
            Home::Store { creation, .. } => creation.clone(),
        };
        Ok(OpenGroup {
            creation,
            storage,
            path: self.group.clone(),
            name: self.to_string(),
            folder: self.as_folder().map(Path::to_owned),
        })
    }

    /// What this place holds; `group` is this location, opened.
    pub(crate) fn survey(&self, group: &OpenGroup) -> Result<Occupant> {
        let failed = |source: BoxError| Error::store(self, "look for an output", source);
        if let Home::Folder(path) = &self.home {
            if !path.exists() {
                return Ok(Occupant::Nothing);
            }
            if !path.is_dir() {
                return Ok(Occupant::Other("a file".into()));
            }
        }
        let found = group.occupant()?;
        if !matches!(found, Occupant::Nothing) {
            return Ok(found);
        }
        let is_empty = match &self.home {
            Home::Folder(path) => fs::read_dir(path)
                .map_err(|source| failed(source.into()))?
                .all(|entry| {
                    entry.is_ok_and(|entry| is_hidden(&entry.file_name().to_string_lossy()))
                }),
            Home::Store { storage, .. } => {
                let prefix = group.prefix("").map_err(failed)?;
                let listed = storage
                    .list_dir(&prefix)
                    .map_err(|source| failed(source.into()))?;
                // Consoles of object stores mark an empty folder by an object of its name, whose
                // key is empty here.
                listed.keys().iter().all(|key| key.as_str().is_empty())
                    && listed.prefixes().is_empty()
            }
        };
        Ok(if is_empty {
            Occupant::Nothing
        } else {
            Occupant::Other("data that are not a zarr group".into())
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

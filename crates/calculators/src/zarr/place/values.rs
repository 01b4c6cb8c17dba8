//! Values of any kind where outputs may be.

use std::fmt::{self, Debug};

use zarrs::storage::{Bytes, StoreKey};

use super::{group::OpenGroup, location::Location};
use crate::{Error, Result, error::BoxError};

/// Values by key at a location, each of them whole or absent: what is no Zarr, such as a fit or the
/// sums of one.
///
/// A key has parts between slashes. The empty key is the place itself, where that is one value and
/// not a folder: `s3://bucket/fit.safetensors`. Nothing locks: whoever writes last is right.
///
/// # Examples
/// ```
/// use influence_calculators::Location;
///
/// let folder = std::env::temp_dir().join(format!("influence-values-{}", std::process::id()));
/// let values = Location::folder(&folder).values()?;
/// assert_eq!(values.get("sums/0")?, None);
/// values.set("sums/0", b"a number".to_vec())?;
/// assert!(values.contains("sums/0")?);
/// assert_eq!(values.names("sums")?, ["0"]);
/// values.erase()?;
/// assert_eq!(values.get("sums/0")?, None);
/// # Ok::<(), influence_calculators::Error>(())
/// ```
#[derive(Clone)]
pub struct StoredValues {
    location: Location,
    group: OpenGroup,
}

impl Location {
    /// Values of any kind that are kept there; nothing is looked at.
    ///
    /// # Errors
    /// [`Error::Option`] for a folder whose path looks like a URL, [`Error::Store`] for one that
    /// cannot be used.
    pub fn values(&self) -> Result<StoredValues> {
        Ok(StoredValues {
            location: self.clone(),
            group: self.open()?,
        })
    }
}

impl StoredValues {
    /// Refuses a location that can only be read; nothing is sent.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn check_writable(&self) -> Result<()> {
        self.location.open_writable().map(drop)
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let found = self
            .key(key)
            .and_then(|key| Ok(self.group.storage.get(&key)?));
        let found = found.map_err(|source| self.failed("read a value", source))?;
        Ok(found.map(Into::into))
    }

    /// Whether a key has a value, which is not read.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn contains(&self, key: &str) -> Result<bool> {
        let size = self
            .key(key)
            .and_then(|key| Ok(self.group.storage.size_key(&key)?));
        let size = size.map_err(|source| self.failed("look for a value", source))?;
        Ok(size.is_some())
    }

    /// Gives a key this value, in place of one that it has.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Store`].
    pub fn set(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.check_writable()?;
        let written = self
            .key(key)
            .and_then(|key| Ok(self.group.storage.set(&key, Bytes::from(value))?));
        written.map_err(|source| self.failed("write a value", source))
    }

    /// The last parts of the keys in a folder that have values, in order; none where there is no
    /// such folder. The empty name is the folder of all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = self.group.prefix(folder);
        let listed = prefix.and_then(|prefix| {
            let listed = self.group.storage.list_dir(&prefix)?;
            let names = listed
                .keys()
                .iter()
                .filter_map(|key| key.as_str().strip_prefix(prefix.as_str()));
            // The folder itself may be a value.
            let names = names.filter(|name| !name.is_empty());
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            // Not every store lists in order.
            names.sort_unstable();
            Ok(names)
        });
        listed.map_err(|source| self.failed("list values", source))
    }

    /// Removes all values in the folder that the location is.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Store`].
    pub fn erase(&self) -> Result<()> {
        self.check_writable()?;
        let erased = self
            .group
            .prefix("")
            .and_then(|prefix| Ok(self.group.storage.erase_prefix(&prefix)?));
        erased.map_err(|source| self.failed("remove values", source))
    }

    fn key(&self, key: &str) -> Result<StoreKey, BoxError> {
        Ok(StoreKey::new(self.group.array(key).trim_matches('/'))?)
    }

    fn failed(&self, doing: &'static str, source: BoxError) -> Error {
        Error::store(&self.location, doing, source)
    }
}

impl Debug for StoredValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredValues").field(&self.location).finish()
    }
}

use std::{fs, io, path::Path, sync::Arc};

use influence_core::durable::{self, is_partial, make_folder};
use zarrs::{
    filesystem::{FilesystemStore, FilesystemStoreCreateError},
    storage::{
        Bytes, ListableStorageTraits, MaybeBytesIterator, OffsetBytesIterator,
        ReadableStorageTraits, StorageError, StoreKey, StoreKeys, StoreKeysPrefixes, StorePrefix,
        WritableStorageTraits, byte_range::ByteRangeIterator, store_set_partial_many,
    },
};

use super::format::LOCK;

/// A folder as a Zarr store in which a value is either there as a whole or not there, also after a
/// crash.
///
/// A value is written to a file of a unique name beside its place, brought to disk, renamed into
/// its place, and the folder brought to disk. The rename is the commit. A crash leaves at most a
/// file `.<name>.<unique>.partial`, which no listing shows and which hinders nobody. Several
/// processes may write to one folder.
#[derive(Debug)]
pub struct DurableStore {
    folder: FilesystemStore,
}

impl DurableStore {
    /// A store in this folder, which is made when the first value is written.
    ///
    /// # Errors
    /// When the path cannot be the name of a folder.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self, FilesystemStoreCreateError> {
        Ok(Self {
            folder: FilesystemStore::new(folder)?,
        })
    }
}

fn is_temporary(key: &StoreKey) -> bool {
    is_hidden(key.as_str().rsplit('/').next().unwrap_or_default())
}

/// Whether a file is internal to this crate: the lock, or left behind by a crash.
pub(crate) fn is_hidden(name: &str) -> bool {
    name == LOCK || is_partial(name)
}

/// Removes the files that killed writers left behind in a folder and in those of its folders that
/// are this crate's; no other process may be writing to them.
pub(crate) fn sweep(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if is_ours(&name) {
                sweep(&entry.path(), &|_| true)?;
            }
        } else if is_partial(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl ReadableStorageTraits for DurableStore {
    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        self.folder.get_partial_many(key, byte_ranges)
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        self.folder.size_key(key)
    }

    fn supports_get_partial(&self) -> bool {
        self.folder.supports_get_partial()
    }
}

impl ListableStorageTraits for DurableStore {
    fn list(&self) -> Result<StoreKeys, StorageError> {
        Ok(self
            .folder
            .list()?
            .into_iter()
            .filter(|key| !is_temporary(key))
            .collect())
    }

    fn list_prefix(&self, prefix: &StorePrefix) -> Result<StoreKeys, StorageError> {
        Ok(self
            .folder
            .list_prefix(prefix)?
            .into_iter()
            .filter(|key| !is_temporary(key))
            .collect())
    }

    fn list_dir(&self, prefix: &StorePrefix) -> Result<StoreKeysPrefixes, StorageError> {
        let listed = self.folder.list_dir(prefix)?;
        let keys = listed
            .keys()
            .iter()
            .filter(|key| !is_temporary(key))
            .cloned()
            .collect();
        Ok(StoreKeysPrefixes::new(keys, listed.prefixes().clone()))
    }

    fn size_prefix(&self, prefix: &StorePrefix) -> Result<u64, StorageError> {
        self.folder.size_prefix(prefix)
    }
}

impl WritableStorageTraits for DurableStore {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        let path = self.folder.key_to_fspath(key);
        make_folder(path.parent().unwrap_or(Path::new("")))
            .and_then(|()| durable::write(&path, &value))
            .map_err(|error| StorageError::IOError(Arc::new(error)))?;
        tracing::debug!(%key, bytes = value.len(), "value written");
        Ok(())
    }

    fn set_partial_many(
        &self,
        key: &StoreKey,
        offset_values: OffsetBytesIterator,
    ) -> Result<(), StorageError> {
        store_set_partial_many(self, key, offset_values)
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        self.folder.erase(key)
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> Result<(), StorageError> {
        self.folder.erase_prefix(prefix)
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

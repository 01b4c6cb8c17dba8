//! A store that fails for good after so much was written, as if the disk were full or the process
//! had been killed.

use std::{
    io,
    sync::{Arc, Mutex},
};

use zarrs::storage::{
    Bytes, ListableStorageTraits, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits,
    ReadableWritableListableStorage, StorageError, StoreKey, StoreKeys, StoreKeysPrefixes,
    StorePrefix, WritableStorageTraits, byte_range::ByteRangeIterator, store_set_partial_many,
};

use crate::sink::lock;

/// How much more can be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    Writes(usize),
    Bytes(usize),
}

pub(super) struct Failing {
    inner: ReadableWritableListableStorage,
    room: Mutex<Room>,
}

impl Failing {
    pub(super) fn after(inner: &ReadableWritableListableStorage, room: Room) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.clone(),
            room: Mutex::new(room),
        })
    }

    fn take(&self, bytes: usize) -> Result<(), StorageError> {
        let mut room = lock(&self.room);
        *room = match *room {
            Room::Writes(left @ 1..) => Room::Writes(left - 1),
            Room::Bytes(left) if left >= bytes => Room::Bytes(left - bytes),
            Room::Writes(_) | Room::Bytes(_) => {
                *room = Room::Writes(0);
                let full = io::Error::from(io::ErrorKind::StorageFull);
                return Err(StorageError::IOError(Arc::new(full)));
            }
        };
        Ok(())
    }
}

impl ReadableStorageTraits for Failing {
    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        self.inner.get_partial_many(key, byte_ranges)
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        self.inner.size_key(key)
    }

    fn supports_get_partial(&self) -> bool {
        self.inner.supports_get_partial()
    }
}

impl ListableStorageTraits for Failing {
    fn list(&self) -> Result<StoreKeys, StorageError> {
        self.inner.list()
    }

    fn list_prefix(&self, prefix: &StorePrefix) -> Result<StoreKeys, StorageError> {
        self.inner.list_prefix(prefix)
    }

    fn list_dir(&self, prefix: &StorePrefix) -> Result<StoreKeysPrefixes, StorageError> {
        self.inner.list_dir(prefix)
    }

    fn size_prefix(&self, prefix: &StorePrefix) -> Result<u64, StorageError> {
        self.inner.size_prefix(prefix)
    }
}

impl WritableStorageTraits for Failing {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.take(value.len())?;
        self.inner.set(key, value)
    }

    fn set_partial_many(
        &self,
        key: &StoreKey,
        offset_values: OffsetBytesIterator,
    ) -> Result<(), StorageError> {
        store_set_partial_many(self, key, offset_values)
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        self.take(0)?;
        self.inner.erase(key)
    }

    /// Value by value, as a file system does it: it can end in between.
    fn erase_prefix(&self, prefix: &StorePrefix) -> Result<(), StorageError> {
        let keys = self.inner.list_prefix(prefix)?;
        keys.iter().try_for_each(|key| self.erase(key))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use zarrs::{
    filesystem::{FilesystemStore, FilesystemStoreCreateError},
    storage::{
        Bytes, ListableStorageTraits, MaybeBytesIterator, OffsetBytesIterator,
        ReadableStorageTraits, StorageError, StoreKey, StoreKeys, StoreKeysPrefixes, StorePrefix,
        WritableStorageTraits, byte_range::ByteRangeIterator, store_set_partial_many,
    },
};

use super::format::LOCK;

const SUFFIX: &str = ".partial";

/// Numbers the temporary files of this process.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// A folder as a Zarr store in which a value is either there as a whole or not there, also after a
/// crash.
///
/// A value is written to a file of a unique name beside its place, brought to disk, renamed into
/// its place, and the folder brought to disk. The rename is the commit. What a crash leaves behind
/// is a file `.<name>.<unique>.partial`, which no listing shows and which is in nobody's way.
/// Several processes may write to one folder.
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

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and the file system orders the rename itself.
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Makes a folder and those above it, each of them durable.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make_folder(above)?;
    match fs::create_dir(folder) {
        // Another thread was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        }),
    }
}

/// Opens a new file beside `path` under a name that no other writer uses.
fn temporary(path: &Path) -> io::Result<(File, std::path::PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    loop {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!(".{name}.{}-{sequence}{SUFFIX}", process::id()));
        // Process numbers return, and differ between machines only by chance: a name that exists is
        // passed over.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (file, beside)),
        }
    }
}

/// Writes a file as a whole or not at all, also across a crash; makes the folder if need be.
///
/// The one atomic writer of this crate, for whatever lies beside an output too: several processes
/// may write the same file, and a reader sees the value of one of them.
///
/// # Errors
/// Whatever the file system reports; the file is then what it was before.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("settings/run.json");
/// influence_calculators::zarr::write_durably(&path, b"{}")?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_durably(path: &Path, value: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        None => Path::new("."),
        // A bare name has an empty parent, which cannot be opened.
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
    };
    make_folder(folder)?;
    let (mut file, beside) = temporary(path)?;
    // The bytes must be on disk before the rename is: after a crash a name without bytes would be
    // worse than no name.
    let written = file.write_all(value).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // The error at hand says more than one from clearing up would.
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    sync_folder(folder)
}

fn is_temporary(key: &StoreKey) -> bool {
    is_hidden(key.as_str().rsplit('/').next().unwrap_or_default())
}

/// Whether a file is this crate's own business: the lock, or what a crash left behind.
pub(crate) fn is_hidden(name: &str) -> bool {
    name == LOCK || is_leftover(name)
}

fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(SUFFIX)
}

/// Removes what writers that were killed left behind in a folder and in those of its folders that
/// are ours; no other process may be writing to them.
pub(crate) fn sweep(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if is_ours(&name) {
                sweep(&entry.path(), &|_| true)?;
            }
        } else if is_leftover(&name) {
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
        write_durably(&self.folder.key_to_fspath(key), &value)
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

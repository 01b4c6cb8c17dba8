//! Files that are there as a whole or not at all, also after a crash.
//!
//! A file is written under a unique name beside its place, brought to disk, renamed into its place,
//! and the folder brought to disk. The rename is the commit. A crash leaves at most a file
//! `.<name>.<unique>.partial` behind, which no later write touches. Several threads and processes
//! may write to one folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

const SUFFIX: &str = ".partial";

/// Numbers the temporary files of this process.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Writes a file in a folder that exists; one that was there stays whole until the new one is.
///
/// # Errors
/// What the system says; then the place is as it was.
///
/// # Examples
/// ```
/// let path = std::env::temp_dir().join(format!("influence-durable-{}", std::process::id()));
/// influence_core::durable::write(&path, b"whole")?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, beside) = temporary(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // The error at hand says more than one from clearing up would.
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    // The name is safe only once the folder is.
    sync_folder(folder_of(path))
}

/// Makes a folder and those above it, each of them durable.
///
/// # Errors
/// What the system says.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    make_folder(folder.parent().unwrap_or(Path::new("")))?;
    match fs::create_dir(folder) {
        // Another thread was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(folder_of(folder)),
    }
}

/// Whether a file name is that of a temporary file, perhaps left behind by a crash.
pub fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(SUFFIX)
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and the file system orders the rename itself.
    if cfg!(unix) {
        match File::open(folder) {
            // A folder may allow new files and no look at them; the file itself is synchronised.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            opened => opened?.sync_all(),
        }
    } else {
        Ok(())
    }
}

/// Opens a new file beside `path` under a name that no other writer uses.
fn temporary(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name may be as long as the file system allows, and has to leave room for what is added.
    let name: String = name.chars().take(32).collect();
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

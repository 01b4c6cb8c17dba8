use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use influence_core::durable::make_folder;

use crate::zarr::format::LOCK;

/// The right to write to a folder: of one process alone, or of several that share it.
///
/// The system releases it when the process ends, however it ends; at most an empty file stays,
/// which locks nobody out. It stays too where the right was shared, until one process has it alone.
#[derive(Debug)]
pub(crate) struct Lock {
    folder: PathBuf,
    /// Whether the folder was made for the output, and goes again if nothing comes of it.
    made: bool,
    file: File,
    is_shared: bool,
}

impl Lock {
    /// Takes the lock of a folder, making the folder if need be; `None` while another run has it.
    pub(crate) fn acquire(folder: &Path) -> io::Result<Option<Self>> {
        Self::take(folder, false)
    }

    /// Shares the lock of a folder that exists; `None` while another run has it alone.
    pub(crate) fn share(folder: &Path) -> io::Result<Option<Self>> {
        Self::take(folder, true)
    }

    fn take(folder: &Path, is_shared: bool) -> io::Result<Option<Self>> {
        let made = !folder.exists();
        make_folder(folder)?;
        let path = folder.join(LOCK);
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            let locked = if is_shared {
                file.try_lock_shared()
            } else {
                file.try_lock()
            };
            match locked {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The holder before may have removed the file between our opening and locking it.
            if is_still(&file, &path)? {
                let folder = folder.to_owned();
                return Ok(Some(Self {
                    folder,
                    made,
                    file,
                    is_shared,
                }));
            }
        }
    }
}

/// Whether the path leads to this very file.
#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file that is open cannot be removed here.
#[cfg(not(unix))]
fn is_still(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The others hold the same file, which must stay in its place as long as any of them does.
        if self.is_shared {
            drop(self.file.unlock());
            return;
        }
        // Removed while it is still locked, so that nobody can hold a file that is no longer there.
        // A file that cannot be removed does no harm.
        drop(fs::remove_file(self.folder.join(LOCK)));
        drop(self.file.unlock());
        if self.made {
            // Fails where there is anything in it.
            drop(fs::remove_dir(&self.folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_nothing_is_left_behind() -> io::Result<()> {
        let parent = tempfile::tempdir()?;
        let folder = parent.path().join("output");
        let first = Lock::acquire(&folder)?;
        assert!(first.is_some() && Lock::acquire(&folder)?.is_none());
        drop(first);
        assert!(!folder.exists());
        fs::create_dir(&folder)?;
        drop(Lock::acquire(&folder)?);
        assert_eq!(fs::read_dir(&folder)?.count(), 0);
        Ok(())
    }

    #[test]
    fn several_share_it_and_one_alone_has_to_wait() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let [first, second] = [Lock::share(folder.path())?, Lock::share(folder.path())?];
        assert!(first.is_some() && second.is_some());
        drop(first);
        assert!(Lock::acquire(folder.path())?.is_none());
        drop(second);
        let alone = Lock::acquire(folder.path())?;
        assert!(alone.is_some() && Lock::share(folder.path())?.is_none());
        drop(alone);
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }

    #[test]
    fn a_file_left_by_a_run_that_was_killed_does_not_lock() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(LOCK), "")?;
        assert!(Lock::acquire(folder.path())?.is_some());
        Ok(())
    }
}

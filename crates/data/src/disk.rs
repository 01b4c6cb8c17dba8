//! Room on the disk.

use std::path::Path;

/// The bytes that can still be written in a folder, where the system knows.
#[cfg(target_os = "linux")]
pub fn free(folder: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(folder).ok()?;
    found.blocks_available().checked_mul(found.fragment_size())
}

/// The bytes that can still be written in a folder, where the system knows.
#[cfg(not(target_os = "linux"))]
pub fn free(_folder: &Path) -> Option<u64> {
    None
}

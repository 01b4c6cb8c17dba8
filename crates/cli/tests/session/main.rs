//! Progress and signals of the real binary.

#[path = "../support/files.rs"]
mod files;
#[cfg(unix)]
mod interrupt;
mod job;
#[path = "../support/npy.rs"]
mod npy;
mod progress;
mod shares;

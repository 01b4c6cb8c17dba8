//! What the real binary tells while it runs, and how it takes signals.

#[path = "../support/files.rs"]
mod files;
#[cfg(unix)]
mod interrupt;
mod job;
#[path = "../support/npy.rs"]
mod npy;
mod progress;

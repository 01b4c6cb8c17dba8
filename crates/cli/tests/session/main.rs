//! What the real binary tells while it runs, and how it takes signals.

#[cfg(unix)]
mod interrupt;
mod job;
mod progress;

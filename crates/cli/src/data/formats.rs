//! Formats that cannot be read by range: their numbers are unpacked once into a temporary numpy file, which is.

mod columns;
mod csv;
mod idx;
mod images;
mod npz;
mod parquet;
mod spool;

pub(super) use csv::open as csv;
pub(super) use idx::open as idx;
pub(super) use images::{is_images, open as images};
pub(super) use npz::open as npz;
pub(super) use parquet::open as parquet;

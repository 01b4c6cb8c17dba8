//! Formats that cannot be read by range: their numbers are unpacked once into a temporary numpy file, which is.

mod columns;
mod csv;
mod idx;
mod images;
mod npz;
mod parquet;
mod spool;

pub(super) use columns::{Columns, NotANumber, Texts};
pub(super) use csv::{Unclear, open as csv, texts as csv_texts};
pub(super) use idx::open as idx;
pub(super) use images::{is_images, labels as image_labels, names as image_names, open as images};
pub(super) use npz::open as npz;
pub(super) use parquet::{open as parquet, texts as parquet_texts};
pub(super) use spool::integers;

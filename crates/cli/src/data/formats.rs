//! Formats that cannot be read by range: their numbers are unpacked once into a temporary numpy file, which is.

mod columns;
mod csv;
mod idx;
mod images;
mod npz;
mod parquet;
mod spool;

pub(super) use csv::{open as csv, texts as csv_texts};
pub(super) use idx::open as idx;
pub(super) use images::{
    class_names as image_classes, is_images, names as image_names, open as images,
};
pub(super) use npz::open as npz;
pub(super) use parquet::open as parquet;

//! Formats of files. Numpy and safetensors files are read by range; of the others the numbers are
//! unpacked once into a temporary numpy file, which is.

mod c_order;
mod columns;
mod csv;
mod file;
mod foreign;
mod idx;
mod image_folder;
mod images;
mod npy;
mod npy_dataset;
mod npz;
mod parquet;
mod safetensors;
mod spool;

pub(super) use c_order::open as npy;
pub(super) use columns::{Columns, NotANumber, Texts};
pub(super) use csv::{Unclear, open as csv, texts as csv_texts};
pub(super) use foreign::refuse as refuse_foreign;
pub(super) use idx::open as idx;
pub(super) use image_folder::is_images;
pub(super) use images::{
    labels as image_labels, names as image_names, open as images, survey as image_survey,
};
pub use npy::NpyField;
pub use npy_dataset::NpyDataset;
pub(super) use npz::open as npz;
pub(super) use parquet::{open as parquet, texts as parquet_texts};
pub use safetensors::SafetensorsField;
pub(super) use spool::integers;

#[cfg(test)]
mod tests;

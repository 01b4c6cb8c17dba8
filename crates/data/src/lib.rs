//! Data sets of *influence*: arrays in files of many formats, read by range, with the names,
//! classes, splits and scales of their samples.
//!
//! Nothing here knows a model, a tensor library or a terminal. Numbers stay in their files until a
//! batch asks for them, so that a data set need not fit into memory.
//!
//! ```text
//!  .npy  .safetensors  Readers::zarr ── read by range ───┐
//!                                                        ├─> FieldSource ──> Scaled, Selected
//!  .csv  .parquet  .npz  IDX  images ── unpacked once ───┘      │
//!                                                               ├─> FieldDataset ──> Batch
//!  Data (train, test or all and split, scale, classes)          │
//!    └─ open ──> [SampleFiles; 2] ── in_form ──> Samples ───────┘
//!        named, selected, scaled        checked whole, in the form that a task reads
//! ```
//!
//! [`field`] opens one array, whatever its format, and [`FieldDataset`] joins several of them to a
//! data set. [`open`] does the same for what a configuration says of training and test points, and
//! adds what reports want to know: what points and classes are called, and which rows of the files
//! they are.
//!
//! # Examples
//! ```
//! use influence_core::{Dataset, Values};
//! use influence_data::{FieldDataset, field};
//!
//! let table = std::env::temp_dir().join(format!("influence-data-{}.csv", std::process::id()));
//! std::fs::write(&table, "width,height,kind\n0.5,1.5,0\n2.0,0.5,1\n")?;
//!
//! let inputs = field(format!("{}#width,height", table.display()))?;
//! let classes = field(format!("{}#kind", table.display()))?;
//! let data = FieldDataset::new([inputs, classes])?;
//! let batch = data.batch(1..2)?;
//! assert_eq!(batch.fields()[0].floats().collect::<Vec<_>>(), [2.0, 0.5]);
//! assert_eq!(batch.fields()[1].integers().collect::<Vec<_>>(), [1]);
//! # std::fs::remove_file(&table)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod array_path;
pub mod disk;
mod error;
mod fields;
mod formats;
mod hints;
mod identity;
mod input_files;
pub mod key;
mod labels;
mod names;
mod open;
mod readers;
mod row_groups;
mod sample_files;
mod samples;
mod settings;
mod sides;
mod split;
mod targets;
#[cfg(test)]
mod tests;
mod text;

pub use array_path::{ArrayPath, Decimal, Delimiter, TableForm};
pub use error::{Error, Result};
pub use fields::FieldDataset;
pub use formats::{NpyDataset, NpyField, SafetensorsField};
pub use input_files::{InputFile, InputFiles, InputKey};
pub use labels::ClassOrder;
pub use open::field;
pub use readers::{OpenZarr, Readers};
pub use sample_files::{InputShape, SampleFiles, SampleForm};
pub use samples::{ChosenSamples, Gather, GroupedSamples, Samples, Target};
pub use settings::{
    ArrayKey, ClassNames, Data, Files, GroupBy, Grouping, ScaleSetting, Sides, Split, Take,
};
pub use sides::{class_names, classes, open};
pub use split::test_points;

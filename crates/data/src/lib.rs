//! Data sets of *influence*: arrays in files of many formats, read by range, with their names,
//! classes and splits.

mod array_path;
pub mod disk;
mod formats;
mod hints;
mod identity;
mod labels;
mod names;
mod open;
mod samples;
mod settings;
mod sides;
mod source;
mod split;
mod targets;
#[cfg(test)]
mod tests;
mod text;

pub use array_path::{ArrayPath, Decimal, Delimiter, TableForm};
pub use labels::ClassOrder;
pub use samples::{Gather, Samples, Target};
pub use settings::{ClassNames, Data, Files, GivenScale, Numbers, ScaleValue, Sides, Split};
pub use sides::{class_names, classes, open};
pub use source::Source;
pub use split::test_points;

//! The parts of an output: the array of each kind, coordinates, and the reports of the solver.

mod array;
mod kinds;
mod labels;
mod nodes;
mod reports;

pub(crate) use array::{Codecs, StoredArray, array_metadata, codec_options, declare_array};
pub use influence_core::Labels;
pub(crate) use kinds::{ArrayLayout, FACTORS, INFLUENCES, KINDS, SELF_INFLUENCES};
pub(crate) use labels::declare_coordinate;
pub(crate) use nodes::{SCRATCH, create_group, erase, erase_node, is_node, store_group};
pub(crate) use reports::ReportArrays;

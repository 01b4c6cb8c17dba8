//! Reading outputs back, chunk by chunk, and arrays of others as data.

mod factors;
mod field;
mod influences;
mod matrix;
mod meaning;
mod open;
mod verify;

pub use factors::StoredFactors;
pub use field::ZarrField;
pub use influences::StoredInfluences;
pub(crate) use matrix::{StoredChunk, StoredMatrix, rows_not_finite};
pub use open::attributes;
pub use verify::{Comparison, Verification, verify};
pub(crate) use verify::{Sample, check_grid};

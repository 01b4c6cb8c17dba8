//! Zarr version 3: writing chunks as they come, and reading factors back.
//!
//! One output is one group:
//!
//! ```text
//! zarr.json            attributes of the caller; under "influence" how it was made, "complete",
//!                      and how the solver fared
//! influences           (k, n), dimensions "test", "train"          or
//! factors              (k, dim), dimensions "test", "parameter"     or
//! self_influences      (n), dimension "train"
//! test, train          row numbers as 64-bit integers
//! solver_status, solver_residual, solver_iterations    (k), how each test row was solved
//! ```
//!
//! Scores with further axes (inputs in perturbation mode, blocks, dampings) have them after
//! these dimensions, whole in each chunk, named, and with their labels as attributes of the array.
//!
//! Shape and chunks are declared before the first number. A chunk of the grid is one chunk of the
//! array and is written whole, the part beyond the edge filled with NaN, compressed and with a
//! checksum; `f32` or `f64`, as the model computes. A chunk that was never written reads as NaN,
//! and whether it exists is the only state there is: a chunk may be computed again without harm.
//! Consolidated metadata and `complete` are written last. A folder is locked while it is written
//! to, by a file `.lock`. A run that ended early, however it ended, is resumed with
//! [`ZarrOptions::resuming`]; [`verify`] checks an output.
//!
//! # Examples
//! ```
#![doc = include_str!("../doc/setup.rs")]
//! use influence_calculators::{Calculator, Sequential, StoredFactors, ZarrOptions};
//! use influence_core::aggregate::Concatenate;
//!
//! let folder = std::env::temp_dir().join(format!("influence-doc-{}", std::process::id()));
//! let calculator = Sequential::new(model);
//! let options = ZarrOptions::default().with_attribute("method", "direct").overwriting();
//! calculator.influence_factors(&test).to_zarr(&folder, &options)?;
//!
//! let factors = StoredFactors::open(&folder)?;
//! let influences = calculator.influences_from_factors(&factors, &train);
//! let influences = influences.compute(Concatenate::new())?;
//! assert_eq!(influences, calculator.influences(&test, &train).compute(Concatenate::new())?);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bank;
mod codecs;
mod durable;
mod format;
mod layout;
mod output;
mod place;
mod read;

pub use bank::{StoredBank, StoredRetraining, StoredStudy, StudyDesign};
pub use durable::DurableStore;
pub use layout::Labels;
pub use output::{Claim, Compression, ZarrOptions};
pub use place::{Location, StoredValues};
pub use read::{
    Comparison, StoredFactors, StoredInfluences, Verification, ZarrField, attributes, verify,
};

pub(crate) use layout::{FACTORS, INFLUENCES, SELF_INFLUENCES};
pub(crate) use output::{Declaration, Output, Scratch};
pub(crate) use read::{Sample, check_grid};

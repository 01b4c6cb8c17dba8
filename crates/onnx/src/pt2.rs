//! Programs that PyTorch exported (`torch.export.save`, files `.pt2`): from an archive to a graph
//! whose parameters are known.
//!
//! ```text
//!  .pt2 ─ archive ─> schema (JSON) ─ nodes ─> NetworkGraph ─┐
//!            └─ tensors (storages, views, ties) ────────────┴─> Known
//! ```
//!
//! Nothing has to be guessed here: the signature of a program says which of its inputs are
//! parameters, buffers and data and what they are called, tensors say whether they are trained, and
//! two parameters that are one have one place in the archive. Numbers in nodes have 64 bits.

mod archive;
mod graph;
mod inputs;
mod nodes;
mod schema;
mod tensors;

use std::path::Path;

use crate::{Result, parameters, settings::ReadSettings};

pub(crate) use archive::is_archive;

/// Reads and checks an archive.
pub(crate) fn read(path: &Path, settings: &ReadSettings) -> Result<parameters::Identified> {
    let known = archive::Archive::open(path).and_then(|archive| graph::known(archive, settings));
    let mut known = known.map_err(|error| error.in_file(path))?;
    if let Some(weights) = &settings.weights {
        parameters::by_name(&mut known, weights, &settings.weights_file)?;
    }
    parameters::finish(known, settings)
}

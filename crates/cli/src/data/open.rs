use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use influence_backend_burn::{NpyField, SafetensorsField};
use influence_calculators::ZarrField;
use influence_core::FieldSource;

use crate::config::ArrayPath;

/// What a folder that is a Zarr array has, by version.
const ZARR: [&str; 2] = ["zarr.json", ".zarray"];
/// What a folder that is a Zarr group of version 2 has.
const ZARR_GROUP: &str = ".zgroup";

/// Opens an array by what is there: a folder is Zarr, a file is told by its name.
///
/// # Errors
/// When nothing is there, it is of no known kind, or the reader of its kind refuses it.
pub(super) fn array(at: &ArrayPath) -> Result<Arc<dyn FieldSource>> {
    let ArrayPath { path, tensor } = at;
    let shown = path.display();
    ensure!(path.exists(), "{shown} does not exist");
    if path.is_dir() {
        let known = ZARR.iter().chain([&ZARR_GROUP]);
        ensure!(
            known.into_iter().any(|file| path.join(file).is_file()),
            "{shown} is a folder, but no zarr array: it has neither zarr.json nor .zarray"
        );
        return Ok(Arc::new(ZarrField::open(path, "")?));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => Ok(Arc::new(NpyField::open(path)?)),
        Some("safetensors") => Ok(Arc::new(SafetensorsField::open(path, tensor.as_deref())?)),
        _ => bail!("{shown}: expected a file .npy or .safetensors, or the folder of a zarr array"),
    }
}

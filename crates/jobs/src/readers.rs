//! Readers of samples that the crate of data does not have itself.

use std::sync::Arc;

use influence_calculators::ZarrField;
use influence_data::Readers;

/// Zarr arrays are read by the calculators, which also write them.
pub(crate) fn readers() -> Readers {
    Readers::default().with_zarr(|folder, array| Ok(Arc::new(ZarrField::open(folder, array)?)))
}

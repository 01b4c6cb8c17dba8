//! Readers of formats that belong to other crates.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use influence_core::FieldSource;

/// Opens the array at a path below the folder of a Zarr array or group, an empty path for the
/// folder itself.
pub type OpenZarr = fn(&Path, &str) -> Result<Arc<dyn FieldSource>>;

/// The readers of formats that this crate has none for; by default there are none.
///
/// A store of arrays is more than a file: the crate that writes outputs to one has its reader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readers {
    zarr: Option<OpenZarr>,
}

impl Readers {
    /// With a reader of Zarr arrays.
    #[must_use]
    pub fn with_zarr(self, open: OpenZarr) -> Self {
        Self { zarr: Some(open) }
    }

    /// The reader of Zarr arrays, if there is one.
    pub(crate) fn zarr(self) -> Option<OpenZarr> {
        self.zarr
    }
}

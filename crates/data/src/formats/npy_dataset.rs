//! Data sets of numpy files.

use std::{ops::Range, path::PathBuf, sync::Arc};

use influence_core::{Batch, Dataset, FieldSource, Result as CoreResult};

use super::npy::NpyField;
use crate::{error::Result, fields::FieldDataset};

/// Samples in numpy files: one [`NpyField`] per field of the task, joined.
#[derive(Debug, Clone)]
pub struct NpyDataset(FieldDataset);

impl NpyDataset {
    /// Opens one file per field and checks their headers against each other and against the sizes
    /// of the files.
    ///
    /// # Errors
    /// As [`NpyField::open`] and [`FieldDataset::new`].
    pub fn open<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let open = |path: P| -> Result<Arc<dyn FieldSource>> {
            Ok(Arc::new(NpyField::open(path.into())?))
        };
        let fields: Result<Vec<_>> = paths.into_iter().map(open).collect();
        Ok(Self(FieldDataset::new(fields?)?))
    }

    /// The shape of each field, samples first.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.0.shapes()
    }
}

impl Dataset for NpyDataset {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        self.0.batch(range)
    }
}

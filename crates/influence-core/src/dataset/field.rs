use std::{ops::Range, sync::Arc};

use super::Values;
use crate::Result;

/// One array of a data set, samples along its first axis, read by range, in any order and from any
/// thread.
///
/// Readers of files and stores implement it wherever they live; a backend joins several of them
/// into a [`Dataset`](crate::Dataset).
pub trait FieldSource: Send + Sync {
    /// The file or store and the array in it, as messages call it.
    fn name(&self) -> &str;

    /// The shape, samples first; it has at least one axis.
    fn shape(&self) -> &[usize];

    /// The samples of a range, of shape `(range.len(), shape[1..])`. Reading the same range again
    /// gives the same values.
    ///
    /// # Errors
    /// [`OutOfRange`](crate::Error::OutOfRange) when the range leaves the array,
    /// [`Dataset`](crate::Error::Dataset) when it cannot be read.
    fn rows(&self, range: Range<usize>) -> Result<Values>;
}

impl<F: FieldSource + ?Sized> FieldSource for Arc<F> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn shape(&self) -> &[usize] {
        (**self).shape()
    }

    fn rows(&self, range: Range<usize>) -> Result<Values> {
        (**self).rows(range)
    }
}

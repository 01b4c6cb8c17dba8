//! Data sets that need not fit into memory.

mod batch;
mod field;
mod form;
mod groups;
mod labels;
mod scaled;
mod selected;
mod values;

use std::ops::Range;

use crate::Result;

pub use batch::Batch;
pub use field::FieldSource;
pub use form::{FieldForm, FieldKind};
pub use groups::Groups;
pub use labels::Labels;
pub use scaled::{Scale, Scaled};
pub use selected::Selected;
pub use values::Values;

/// Samples read by range, in any order and from any thread; only what is asked for is in memory.
pub trait Dataset: Send + Sync {
    /// A batch of consecutive samples.
    type Batch;

    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples of a range. Reading the same range again gives the same batch.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when the range leaves the data,
    /// [`Error::Dataset`](crate::Error::Dataset) when it cannot be read.
    fn batch(&self, range: Range<usize>) -> Result<Self::Batch>;
}

/// Reads the data that it points to.
macro_rules! forward {
    ($($pointer:ty),+) => {
        $(impl<D: Dataset + ?Sized> Dataset for $pointer {
            type Batch = D::Batch;

            fn len(&self) -> usize {
                (**self).len()
            }

            fn batch(&self, range: Range<usize>) -> Result<Self::Batch> {
                (**self).batch(range)
            }
        })+
    };
}

forward!(&D, std::sync::Arc<D>);

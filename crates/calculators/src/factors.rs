//! Factors that were computed before.

use std::ops::Range;

use influence_core::Error as CoreError;
use ndarray::{Array2, s};

use crate::{Error, Result, Step};

/// Factors of `k` test rows, `(k, dim)`, read by ranges of rows.
///
/// `Array2<f64>` holds them in memory, [`StoredFactors`](crate::StoredFactors) reads them from Zarr.
pub trait FactorSource: Send + Sync {
    /// The number of test rows, `k`.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of a factor.
    fn dim(&self) -> usize;

    /// The factors of a range of rows.
    ///
    /// # Errors
    /// [`Error::Core`] when the range leaves the rows, otherwise whatever the store reports.
    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>>;
}

impl FactorSource for Array2<f64> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn dim(&self) -> usize {
        self.ncols()
    }

    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>> {
        check_range(&range, self.nrows())?;
        Ok(self.slice(s![range, ..]).to_owned())
    }
}

pub(crate) fn check_range(range: &Range<usize>, len: usize) -> Result<()> {
    CoreError::check_range(range, len).map_err(|source| {
        Error::core(
            Step::ReadingFactors {
                rows: range.clone(),
            },
            source,
        )
    })
}

//! Where the vectors of the two sides come from: computed from samples, or read.

use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use influence_core::{Dataset, Error as CoreError};
use ndarray::{Array2, s};

use crate::{Error, Result, Step};

/// Vectors of `dim` numbers, one row per point, read by ranges of rows: factors of test points, or
/// gradients of train points.
///
/// `Array2<f64>` holds them in memory, [`StoredFactors`](crate::StoredFactors) reads factors from
/// Zarr.
pub trait RowSource: Send + Sync {
    /// The number of points.
    fn len(&self) -> usize;

    /// Whether there are no points.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of a row: the number of parameters.
    fn dim(&self) -> usize;

    /// The rows of a range of points, `(points, dim)`.
    ///
    /// # Errors
    /// [`Error::Core`] when the range leaves the points, otherwise whatever the store reports.
    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>>;
}

impl RowSource for Array2<f64> {
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

/// Answers with the rows that it points to.
macro_rules! forward {
    ($($pointer:ty),+) => {
        $(impl<R: RowSource + ?Sized> RowSource for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }

            fn dim(&self) -> usize {
                (**self).dim()
            }

            fn rows(&self, range: Range<usize>) -> Result<Array2<f64>> {
                (**self).rows(range)
            }
        })+
    };
}

forward!(&R, Arc<R>);

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

/// One side of the matrix: its vectors are computed from samples, or they are read.
///
/// On the test side factors are computed (each test point is solved), on the train side gradients.
/// Vectors that are read must come from the same fitted model.
pub enum SideSource<'a, B> {
    /// Computed from samples.
    Compute(Box<dyn Dataset<Batch = B> + 'a>),
    /// Read, one row per point.
    Read(Box<dyn RowSource + 'a>),
}

impl<'a, B> SideSource<'a, B> {
    /// A side that is computed from `data`.
    pub fn compute(data: impl Dataset<Batch = B> + 'a) -> Self {
        Self::Compute(Box::new(data))
    }

    /// A side that is read.
    pub fn read(rows: impl RowSource + 'a) -> Self {
        Self::Read(Box::new(rows))
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        match self {
            Self::Compute(data) => data.len(),
            Self::Read(rows) => rows.len(),
        }
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its vectors are computed.
    pub(crate) fn is_computed(&self) -> bool {
        matches!(self, Self::Compute(_))
    }

    /// The samples, where it is computed.
    pub(crate) fn data(&self) -> Option<&dyn Dataset<Batch = B>> {
        match self {
            Self::Compute(data) => Some(&**data),
            Self::Read(_) => None,
        }
    }

    /// Refuses rows that are not of the length of a vector of the model.
    pub(crate) fn check_dim(&self, name: &'static str, dim: usize) -> Result<()> {
        match self {
            Self::Compute(_) => Ok(()),
            Self::Read(rows) => CoreError::check_size(name, "columns", dim, rows.dim())
                .map_err(|source| Error::core(Step::Planning, source)),
        }
    }
}

impl<B> Debug for SideSource<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Compute(_) => "Compute",
            Self::Read(_) => "Read",
        };
        write!(f, "{name}({} points)", self.len())
    }
}

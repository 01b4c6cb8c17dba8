//! Where the vectors of the two sides come from: computed from samples, or read.

use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use influence_core::{
    Dataset, Error as CoreError, GroupBatch, Groups, InfluenceModel, Result as CoreResult,
    solver::Solution,
};
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

/// Samples whose vectors are computed: one for each of them, or one for each group.
pub enum SampleSource<'a, B> {
    /// One vector for each sample.
    Each(Box<dyn Dataset<Batch = B> + 'a>),
    /// One vector for each group, of the weighted sum of the gradients of its samples.
    Groups(Box<dyn Dataset<Batch = B> + 'a>, Groups),
}

impl<'a, B> SampleSource<'a, B> {
    /// Each sample of `data` by itself.
    pub fn each(data: impl Dataset<Batch = B> + 'a) -> Self {
        Self::Each(Box::new(data))
    }

    /// Groups of the samples of `data`, which must be of as many samples.
    pub fn groups(data: impl Dataset<Batch = B> + 'a, groups: Groups) -> Self {
        Self::Groups(Box::new(data), groups)
    }

    /// The number of vectors.
    pub fn len(&self) -> usize {
        match self {
            Self::Each(data) => data.len(),
            Self::Groups(_, groups) => groups.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the vectors are those of groups.
    pub(crate) fn is_grouped(&self) -> bool {
        matches!(self, Self::Groups(..))
    }

    /// The samples.
    pub(crate) fn data(&self) -> &dyn Dataset<Batch = B> {
        match self {
            Self::Each(data) | Self::Groups(data, _) => &**data,
        }
    }

    /// Refuses groups of another number of samples than there are.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Each(_) => Ok(()),
            Self::Groups(data, groups) => {
                CoreError::check_size("groups", "samples", data.len(), groups.samples())
                    .map_err(|source| Error::core(Step::Planning, source))
            }
        }
    }

    /// The factors of a range; of groups, this many samples are in memory at a time.
    pub(crate) fn factors<M: InfluenceModel<Batch = B>>(
        &self,
        model: &M,
        range: &Range<usize>,
        piece: usize,
    ) -> CoreResult<Solution<M::Factors>> {
        match self {
            Self::Each(data) => model.factors(&data.batch(range.clone())?),
            Self::Groups(data, groups) => {
                model.group_factors(&GroupBatch::new(&**data, groups, range.clone(), piece)?)
            }
        }
    }

    /// The gradients of a range, as [`factors`](Self::factors).
    pub(crate) fn gradients<M: InfluenceModel<Batch = B>>(
        &self,
        model: &M,
        range: &Range<usize>,
        piece: usize,
    ) -> CoreResult<M::Gradients> {
        match self {
            Self::Each(data) => model.gradients(&data.batch(range.clone())?),
            Self::Groups(data, groups) => {
                model.group_gradients(&GroupBatch::new(&**data, groups, range.clone(), piece)?)
            }
        }
    }
}

impl<B> Debug for SampleSource<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each(data) => write!(f, "{} points", data.len()),
            Self::Groups(data, groups) => {
                write!(f, "{} groups of {} points", groups.len(), data.len())
            }
        }
    }
}

/// One side of the matrix: its vectors are computed from samples, or they are read.
///
/// On the test side factors are computed (each test point, or each group of them, is solved), on
/// the train side gradients. Vectors that are read must come from the same fitted model.
pub enum SideSource<'a, B> {
    /// Computed from samples.
    Compute(SampleSource<'a, B>),
    /// Read, one row per point.
    Read(Box<dyn RowSource + 'a>),
}

impl<'a, B> SideSource<'a, B> {
    /// A side that is computed from each sample of `data`.
    pub fn compute(data: impl Dataset<Batch = B> + 'a) -> Self {
        Self::Compute(SampleSource::each(data))
    }

    /// A side that is computed from groups of the samples of `data`: the influence on a group is
    /// the weighted sum of those on its points, and is solved for once; the influence of a group is
    /// the weighted sum of those of its points, and is scored once.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/setup.rs")]
    /// use influence_calculators::{Calculator, Sequential, SideSource};
    /// use influence_core::{Groups, aggregate::Concatenate};
    ///
    /// let calculator = Sequential::new(model);
    /// let each = calculator.influences(&test, &train).compute(Concatenate::new())?;
    /// let mean = SideSource::groups(&test, Groups::means([3])?);
    /// let of_mean = (&calculator).into_influences(mean, SideSource::compute(&train));
    /// let of_mean = of_mean.compute(Concatenate::new())?;
    /// assert_eq!(of_mean.shape(), [1, 7]);
    /// let expected = (each[[0, 4]] + each[[1, 4]] + each[[2, 4]]) / 3.0;
    /// assert!((of_mean[[0, 4]] - expected).abs() < 1e-12 * expected.abs());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn groups(data: impl Dataset<Batch = B> + 'a, groups: Groups) -> Self {
        Self::Compute(SampleSource::groups(data, groups))
    }

    /// A side that is read.
    pub fn read(rows: impl RowSource + 'a) -> Self {
        Self::Read(Box::new(rows))
    }

    /// The number of points, or of groups.
    pub fn len(&self) -> usize {
        match self {
            Self::Compute(samples) => samples.len(),
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

    /// Whether its vectors are computed from groups.
    pub(crate) fn is_grouped(&self) -> bool {
        matches!(self, Self::Compute(samples) if samples.is_grouped())
    }

    /// The samples, where it is computed.
    pub(crate) fn data(&self) -> Option<&dyn Dataset<Batch = B>> {
        match self {
            Self::Compute(samples) => Some(samples.data()),
            Self::Read(_) => None,
        }
    }

    /// Refuses rows that are not of the length of a vector of the model, and groups that are not of
    /// the samples there are.
    pub(crate) fn check(&self, name: &'static str, dim: usize) -> Result<()> {
        match self {
            Self::Compute(samples) => samples.check(),
            Self::Read(rows) => CoreError::check_size(name, "columns", dim, rows.dim())
                .map_err(|source| Error::core(Step::Planning, source)),
        }
    }
}

impl<B> Debug for SideSource<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compute(samples) => write!(f, "Compute({samples:?})"),
            Self::Read(rows) => write!(f, "Read({} points)", rows.len()),
        }
    }
}

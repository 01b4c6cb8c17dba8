//! Groups in place of points: an influence is linear in both gradients, so that the influence on a
//! weighted sum of points is that on the weighted sum of their gradients. It costs one right-hand
//! side, however many points there are.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    ops::Range,
};

use ndarray::Array2;

use super::finite;
use crate::{Dataset, Error, Groups, Result, Rows};

/// A range of groups with the data set that holds their samples: what a batch is for points.
///
/// The samples of a group need not fit into memory: they are read and added piece by piece.
pub struct GroupBatch<'a, B> {
    data: &'a dyn Dataset<Batch = B>,
    groups: &'a Groups,
    range: Range<usize>,
    piece: usize,
}

impl<B> Debug for GroupBatch<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBatch")
            .field("range", &self.range)
            .field("piece", &self.piece)
            .finish_non_exhaustive()
    }
}

impl<'a, B> GroupBatch<'a, B> {
    /// A range of the groups of a data set, of which `piece` samples are in memory at a time.
    ///
    /// # Errors
    /// [`Error::Shape`] when the groups are not of as many samples as the data set has,
    /// [`Error::OutOfRange`] when the range leaves the groups, [`Error::Setting`] for a piece of no
    /// samples.
    pub fn new(
        data: &'a dyn Dataset<Batch = B>,
        groups: &'a Groups,
        range: Range<usize>,
        piece: usize,
    ) -> Result<Self> {
        Error::check_size("groups", "samples", data.len(), groups.samples())?;
        Error::check_range(&range, groups.len())?;
        if piece == 0 {
            return Err(Error::Setting {
                name: "piece",
                requirement: "at least one sample",
                got: "0".into(),
            });
        }
        Ok(Self {
            data,
            groups,
            range,
            piece,
        })
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The weighted sums `Σ_j w_j row_j` over the samples of each group, `(len, dim)`, of rows that
    /// `rows_of` makes of a batch, one for each sample.
    ///
    /// A row that is not finite makes the sum of its own group not a number, and of no other.
    ///
    /// # Errors
    /// When the samples cannot be read, whatever `rows_of` reports, or [`Error::Shape`] when it
    /// does not give one row for each sample.
    pub fn sum<R: Rows>(&self, rows_of: impl Fn(&B) -> Result<R>) -> Result<R> {
        let samples = self.groups.samples_of(&self.range);
        let mut sum: Option<R> = None;
        let mut spoilt = BTreeSet::new();
        for start in samples.clone().step_by(self.piece) {
            let piece = start..(start + self.piece).min(samples.end);
            let rows = rows_of(&self.data.batch(piece.clone())?)?;
            Error::check_size("sum of a group", "rows", piece.len(), rows.len())?;
            // Zero times what is not finite is not zero: such rows would spoil all groups.
            let unusable = finite::spoilt(&rows)?;
            let rows = finite::cleared(&rows, &unusable)?;
            spoilt.extend(unusable.into_iter().map(|row| self.place(start + row)));
            let part = self.sum_of_piece(&piece, &rows)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => sum.add_scaled(1.0, &part)?,
            });
        }
        let sum = sum.map_or_else(|| rows_of(&self.data.batch(0..0)?), Ok)?;
        finite::spoiled(sum, spoilt)
    }

    /// The group of a sample, counted from the first of the range.
    fn place(&self, sample: usize) -> usize {
        self.groups.group_of(sample) - self.range.start
    }

    /// What a piece adds to all groups of the range.
    fn sum_of_piece<R: Rows>(&self, piece: &Range<usize>, rows: &R) -> Result<R> {
        let touched = self.place(piece.start)..self.place(piece.end - 1) + 1;
        let mut weights = Array2::zeros((touched.len(), piece.len()));
        for (column, sample) in piece.clone().enumerate() {
            let row = self.place(sample) - touched.start;
            weights[[row, column]] = self.groups.weights()[sample];
        }
        let part = rows.combine(weights.view())?;
        if touched.len() == self.len() {
            return Ok(part);
        }
        // Two products: few groups have samples in a piece, and only those meet all of its rows.
        let mut places = Array2::zeros((self.len(), touched.len()));
        for (column, row) in touched.enumerate() {
            places[[row, column]] = 1.0;
        }
        part.combine(places.view())
    }
}

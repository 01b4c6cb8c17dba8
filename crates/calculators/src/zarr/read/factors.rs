use std::{
    fmt::{self, Debug},
    ops::Range,
};

use influence_core::Chunk;
use ndarray::{Array2, Ix2, s};

use super::{matrix::StoredMatrix, open::open};
use crate::{
    Error, Result, RowSource,
    source::check_range,
    zarr::{
        format::OWN,
        layout::FACTORS,
        place::{Location, Occupant, OpenGroup},
    },
};

/// Factors `(k, dim)` in a Zarr output, read chunk by chunk as they are asked for.
///
/// A run that did not finish can be opened too; only its missing rows are an error.
pub struct StoredFactors {
    matrix: StoredMatrix,
    group: OpenGroup,
}

impl Debug for StoredFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFactors")
            .field("place", &self.group.name)
            .field("shape", &self.matrix.grid().shape())
            .finish_non_exhaustive()
    }
}

impl StoredFactors {
    /// Opens the array `factors` of an output.
    ///
    /// # Errors
    /// [`Error::NotZarr`] when the place does not hold factors written by this crate,
    /// [`Error::Store`] when it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        Self::at(location.into().open()?)
    }

    pub(crate) fn at(group: OpenGroup) -> Result<Self> {
        let expected = "factors written by this library";
        let (_, _, matrix) = open(&group, &[FACTORS], expected)?;
        Ok(Self { matrix, group })
    }

    /// Whether all chunks were written.
    ///
    /// # Errors
    /// [`Error::Store`] when the metadata cannot be read.
    pub fn is_complete(&self) -> Result<bool> {
        let found = self.group.occupant()?;
        Ok(matches!(found, Occupant::Output(attributes) if attributes[OWN]["complete"] == true))
    }

    /// Copies the part of one chunk that lies within `range`.
    fn copy(&self, index: [usize; 2], range: &Range<usize>, into: &mut Array2<f64>) -> Result<()> {
        let Chunk { rows, columns, .. } = self.matrix.grid().chunk(index);
        let chunk = self.matrix.whole(index)?;
        let chunk = chunk
            .into_dimensionality::<Ix2>()
            .map_err(|source| Error::store(&self.group.name, "read a chunk of factors", source))?;
        let within = range.start.max(rows.start)..range.end.min(rows.end);
        let part = chunk.slice(s![within.start - rows.start..within.end - rows.start, ..]);
        let place = s![
            within.start - range.start..within.end - range.start,
            columns
        ];
        into.slice_mut(place).assign(&part);
        Ok(())
    }
}

impl RowSource for StoredFactors {
    fn len(&self) -> usize {
        self.matrix.grid().shape()[0]
    }

    fn dim(&self) -> usize {
        self.matrix.grid().shape()[1]
    }

    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>> {
        let (grid, shape) = (self.matrix.grid(), self.matrix.grid().shape());
        check_range(&range, shape[0])?;
        let mut values = Array2::zeros((range.len(), shape[1]));
        for row in range.start / grid.chunk_shape()[0]..range.end.div_ceil(grid.chunk_shape()[0]) {
            for column in 0..grid.counts()[1] {
                self.copy([row, column], &range, &mut values)?;
            }
        }
        Ok(values)
    }
}

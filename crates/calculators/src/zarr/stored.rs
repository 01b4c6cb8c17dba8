use std::{
    fmt::{self, Debug},
    ops::Range,
};

use influence_core::Chunk;
use ndarray::{Array2, s};

use super::{
    Kind, Location, OWN, Place,
    location::Found,
    matrix::{Chunked, Matrix},
};
use crate::{Error, FactorSource, Result, factors::check_range};

/// Factors `(k, dim)` in a Zarr output, read chunk by chunk as they are asked for.
///
/// A run that did not finish can be opened too; only its missing rows are an error.
pub struct StoredFactors {
    matrix: Matrix,
    place: Place,
}

impl Debug for StoredFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFactors")
            .field("place", &self.place.name)
            .field("shape", &self.matrix.grid().shape())
            .finish_non_exhaustive()
    }
}

impl StoredFactors {
    /// Opens the array `factors` of an output.
    ///
    /// # Errors
    /// [`Error::NotZarr`] when the place does not hold factors written by this crate, [`Error::Store`] when it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        Self::at(location.into().open()?)
    }

    pub(super) fn at(place: Place) -> Result<Self> {
        let expected = "factors written by this library";
        let matrix = open(&place, Some(Kind::Factors), expected)?.1;
        Ok(Self { matrix, place })
    }

    /// Whether all chunks were written.
    ///
    /// # Errors
    /// [`Error::Store`] when the metadata cannot be read.
    pub fn is_complete(&self) -> Result<bool> {
        let found = self.place.attributes()?;
        Ok(matches!(found, Found::Output(attributes) if attributes[OWN]["complete"] == true))
    }

    /// Copies the part of one chunk that lies within `range`.
    fn copy(&self, index: [usize; 2], range: &Range<usize>, into: &mut Array2<f64>) -> Result<()> {
        let Chunk { rows, columns, .. } = self.matrix.grid().chunk(index);
        let chunk = match self.matrix.chunk(index)? {
            Chunked::There(chunk) => chunk,
            Chunked::Missing => return Err(self.matrix.missing(index)),
            Chunked::Damaged(source) => {
                return Err(Error::store(
                    &self.place.name,
                    "read a chunk of factors",
                    source,
                ));
            }
        };
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

/// Opens the values of an output of this crate, of a kind if one is given; with its kind and whether it is complete.
pub(super) fn open(
    place: &Place,
    kind: Option<Kind>,
    expected: &'static str,
) -> Result<((Kind, bool), Matrix)> {
    let refuse = |found: String| Error::NotZarr {
        path: place.name.clone(),
        expected,
        found,
    };
    let own = match place.attributes()? {
        // What is there may be what is left of an output that was to be replaced.
        Found::Output(attributes) if attributes[OWN]["declared"] == false => {
            return Err(refuse(
                "an output of which only the mark was made; resume or overwrite it".into(),
            ));
        }
        Found::Output(mut attributes) => attributes[OWN].take(),
        Found::Other(found) => return Err(refuse(found)),
        Found::Nothing => return Err(refuse("no zarr group".into())),
    };
    let found = [Kind::Influences, Kind::Factors]
        .into_iter()
        .find(|kind| own["kind"] == kind.array());
    match found {
        Some(found) if kind.is_none_or(|kind| kind == found) => Ok((
            (found, own["complete"] == true),
            Matrix::open(place, found)?,
        )),
        _ => Err(refuse(format!("an output of kind {}", own["kind"]))),
    }
}

impl FactorSource for StoredFactors {
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

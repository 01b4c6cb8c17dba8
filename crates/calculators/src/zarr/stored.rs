use std::{
    fmt::{self, Debug},
    ops::Range,
};

use influence_core::Chunk;
use ndarray::{Array2, Ix2, s};
use serde_json::{Map, Value};

use super::{Kind, Location, OWN, Place, location::Found, matrix::Matrix};
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
        let (_, _, matrix) = open(&place, &[Kind::Factors], expected)?;
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
        let chunk = self.matrix.whole(index)?;
        let chunk = chunk
            .into_dimensionality::<Ix2>()
            .map_err(|source| Error::store(&self.place.name, "read a chunk of factors", source))?;
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

/// The attributes of an output of this crate: the caller's, and under `influence` its own.
///
/// # Errors
/// [`Error::NotZarr`] when there is no such output, [`Error::Store`] when it cannot be read.
pub fn attributes(location: impl Into<Location>) -> Result<Map<String, Value>> {
    let place = location.into().open()?;
    attributes_at(&place, "an output of this library")
}

fn attributes_at(place: &Place, expected: &'static str) -> Result<Map<String, Value>> {
    let found = match place.attributes()? {
        Found::Output(attributes) => return Ok(attributes),
        Found::Other(found) => found,
        Found::Nothing if place.is_absent() => {
            return Err(Error::Absent {
                path: place.name.clone(),
                expected,
            });
        }
        Found::Nothing => "no zarr group".into(),
    };
    Err(Error::NotZarr {
        path: place.name.clone(),
        expected,
        found,
    })
}

/// Opens the values of an output of this crate, of one of these kinds; with its kind and its attributes.
pub(super) fn open(
    place: &Place,
    kinds: &[Kind],
    expected: &'static str,
) -> Result<(Kind, Map<String, Value>, Matrix)> {
    let attributes = attributes_at(place, expected)?;
    let refuse = |found: String| Error::NotZarr {
        path: place.name.clone(),
        expected,
        found,
    };
    let own = &attributes[OWN];
    if own["declared"] == false {
        // What is there may be what is left of an output that was to be replaced.
        let found = "an output of which only the mark was made; resume or overwrite it";
        return Err(refuse(found.into()));
    }
    let kind = kinds.iter().find(|kind| own["kind"] == kind.array());
    let kind = *kind.ok_or_else(|| refuse(format!("an output of kind {}", own["kind"])))?;
    let matrix = Matrix::open(place, kind)?;
    Ok((kind, attributes, matrix))
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

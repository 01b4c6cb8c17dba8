use std::{
    fmt::{self, Debug},
    ops::Range,
};

use ndarray::{Array2, s};
use zarrs::{
    array::{Array, ElementOwned, data_type},
    storage::ReadableWritableListableStorageTraits,
};

use super::{
    Kind, Location, Place,
    location::{Found, Source},
    output::codec_options,
};
use crate::{Error, FactorSource, Result, factors::check_range};

/// Factors `(k, dim)` in a Zarr output, read chunk by chunk as they are asked for.
///
/// A run that did not finish can be opened too; only its missing rows are an error.
pub struct StoredFactors {
    array: Array<dyn ReadableWritableListableStorageTraits>,
    place: Place,
    shape: [usize; 2],
    chunk: [usize; 2],
}

impl Debug for StoredFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFactors")
            .field("place", &self.place.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl StoredFactors {
    /// Opens the array `factors` of an output.
    ///
    /// # Errors
    /// [`Error::NotZarr`] when the place does not hold factors written by this crate, [`Error::Store`] when it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let place = location.into().open()?;
        let refuse = |found: String| {
            let expected = "factors written by this library";
            Err(Error::NotZarr {
                path: place.name.clone(),
                expected,
                found,
            })
        };
        match place.attributes()? {
            Found::Output(own) if own["kind"] == Kind::Factors.array() => {}
            Found::Output(own) => return refuse(format!("an output of kind {}", own["kind"])),
            Found::Other(found) => return refuse(found),
            Found::Nothing => return refuse("no zarr group".into()),
        }
        let failed = |source: Source| Error::store(&place.name, "open the factors", source);
        let array = Array::open(place.storage.clone(), &place.array(Kind::Factors.array()));
        let array = array.map_err(|source| failed(source.into()))?;
        let chunk = array
            .chunk_shape_usize(&[0, 0])
            .map_err(|source| failed(source.into()))?;
        let shape: Result<Vec<usize>, _> = array
            .shape()
            .iter()
            .map(|&side| usize::try_from(side))
            .collect();
        match (
            shape.map_err(|source| failed(source.into()))?.as_slice(),
            chunk.as_slice(),
        ) {
            (&[k, dim], &[rows, columns]) => Ok(Self {
                shape: [k, dim],
                chunk: [rows, columns],
                array,
                place,
            }),
            (shape, _) => refuse(format!("an array of {} dimensions", shape.len())),
        }
    }

    /// Whether all chunks were written.
    ///
    /// # Errors
    /// [`Error::Store`] when the metadata cannot be read.
    pub fn is_complete(&self) -> Result<bool> {
        Ok(matches!(self.place.attributes()?, Found::Output(own) if own["complete"] == true))
    }

    fn chunk<T: ElementOwned + Into<f64>>(&self, index: [usize; 2]) -> Result<Option<Array2<f64>>> {
        let at = index.map(|index| index as u64);
        let read = self
            .array
            .retrieve_chunk_if_exists_opt::<Array2<T>>(&at, &codec_options());
        let read = read
            .map_err(|source| Error::store(&self.place.name, "read a chunk of factors", source))?;
        Ok(read.map(|values| values.mapv(Into::into)))
    }

    /// Copies the part of one chunk that lies within `range`.
    fn copy(&self, index: [usize; 2], range: &Range<usize>, into: &mut Array2<f64>) -> Result<()> {
        let chunk = if *self.array.data_type() == data_type::float64() {
            self.chunk::<f64>(index)?
        } else {
            self.chunk::<f32>(index)?
        };
        let [top, left] = [index[0] * self.chunk[0], index[1] * self.chunk[1]];
        let bottom = (top + self.chunk[0]).min(self.shape[0]);
        let right = (left + self.chunk[1]).min(self.shape[1]);
        let chunk = chunk.ok_or_else(|| Error::Missing {
            path: self.place.name.clone(),
            rows: top..bottom,
        })?;
        let rows = range.start.max(top)..range.end.min(bottom);
        let part = chunk.slice(s![rows.start - top..rows.end - top, ..right - left]);
        into.slice_mut(s![
            rows.start - range.start..rows.end - range.start,
            left..right
        ])
        .assign(&part);
        Ok(())
    }
}

impl FactorSource for StoredFactors {
    fn len(&self) -> usize {
        self.shape[0]
    }

    fn dim(&self) -> usize {
        self.shape[1]
    }

    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>> {
        check_range(&range, self.shape[0])?;
        let mut values = Array2::zeros((range.len(), self.shape[1]));
        for row in range.start / self.chunk[0]..range.end.div_ceil(self.chunk[0]) {
            for column in 0..self.shape[1].div_ceil(self.chunk[1]) {
                self.copy([row, column], &range, &mut values)?;
            }
        }
        Ok(values)
    }
}

use influence_core::{Chunk, ChunkGrid};
use ndarray::{ArrayD, Axis};
use zarrs::array::{Array, ArrayError, ElementOwned, data_type};

use super::{
    Kind, Place,
    declare::{Stored, codec_options},
    location::Source,
};
use crate::{Error, Result};

/// The values of an output, read chunk by chunk.
pub(crate) struct Matrix {
    array: Stored,
    grid: ChunkGrid,
    kind: Kind,
    place: String,
}

/// What is where a chunk should be.
pub(crate) enum Chunked {
    /// Its values, without the padding, with both axes of the grid.
    There(ArrayD<f64>),
    Missing,
    /// Something that fails its checksum, and why.
    Damaged(String),
}

impl Matrix {
    pub(crate) fn open(place: &Place, kind: Kind) -> Result<Self> {
        let failed = |source: Source| Error::store(&place.name, "open the array", source);
        let array = Array::open(place.storage.clone(), &place.array(kind.array()))
            .map_err(|source| failed(source.into()))?;
        let grid = grid(&array, kind).map_err(failed)?;
        let place = place.name.clone();
        Ok(Self {
            array,
            grid,
            kind,
            place,
        })
    }

    pub(crate) fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// The sides of the array, beyond those of the grid too.
    pub(super) fn shape(&self) -> Vec<usize> {
        let grid = self.grid.shape().into_iter();
        let dimensions = self.kind.dimensions().len();
        // Opening it has seen that the sides of the grid fit; the others are whole in each chunk, which is in memory at a time.
        let others = self.array.shape()[dimensions..].iter();
        grid.take(dimensions)
            .chain(others.map(|&side| usize::try_from(side).unwrap_or(usize::MAX)))
            .collect()
    }

    /// The values of a chunk that has to be there, undamaged.
    pub(super) fn whole(&self, index: [usize; 2]) -> Result<ArrayD<f64>> {
        match self.chunk(index)? {
            Chunked::There(chunk) => Ok(chunk),
            Chunked::Missing => Err(self.missing(index)),
            Chunked::Damaged(source) => Err(Error::store(&self.place, "read a chunk", source)),
        }
    }

    pub(crate) fn chunk(&self, index: [usize; 2]) -> Result<Chunked> {
        if *self.array.data_type() == data_type::float64() {
            self.read::<f64>(index)
        } else {
            self.read::<f32>(index)
        }
    }

    fn read<T: ElementOwned + Into<f64>>(&self, index: [usize; 2]) -> Result<Chunked> {
        let dimensions = self.kind.dimensions().len();
        let mut at = vec![0; self.array.dimensionality()];
        for (at, index) in at.iter_mut().zip(index).take(dimensions) {
            *at = index as u64;
        }
        let Chunk { rows, columns, .. } = self.grid.chunk(index);
        let read = self
            .array
            .retrieve_chunk_if_exists_opt::<ArrayD<T>>(&at, &codec_options());
        match read {
            Ok(Some(mut values)) => {
                for (axis, length) in [rows.len(), columns.len()].into_iter().enumerate() {
                    if axis < dimensions {
                        values.slice_axis_inplace(Axis(axis), (0..length).into());
                    } else {
                        values.insert_axis_inplace(Axis(axis));
                    }
                }
                Ok(Chunked::There(values.mapv(Into::into)))
            }
            Ok(None) => Ok(Chunked::Missing),
            Err(source @ ArrayError::StorageError(_)) => {
                Err(Error::store(&self.place, "read a chunk", source))
            }
            Err(damage) => Ok(Chunked::Damaged(damage.to_string())),
        }
    }

    /// The error of a chunk that should be there.
    pub(crate) fn missing(&self, index: [usize; 2]) -> Error {
        Error::Missing {
            path: self.place.clone(),
            rows: self.grid.rows(index[0]),
        }
    }
}

fn grid(array: &Stored, kind: Kind) -> Result<ChunkGrid, Source> {
    let dimensions = kind.dimensions().len();
    let sides = |sides: &[u64]| -> Result<[usize; 2], Source> {
        if sides.len() < dimensions {
            return Err(format!("expected {dimensions} dimensions, got {}", sides.len()).into());
        }
        let mut of_grid = [1; 2];
        for (side, of_array) in of_grid.iter_mut().zip(sides).take(dimensions) {
            *side = usize::try_from(*of_array)?;
        }
        Ok(of_grid)
    };
    let chunk: Vec<u64> = array
        .chunk_shape(&vec![0; array.dimensionality()])?
        .iter()
        .map(|side| side.get())
        .collect();
    Ok(ChunkGrid::new(sides(array.shape())?, sides(&chunk)?)?)
}

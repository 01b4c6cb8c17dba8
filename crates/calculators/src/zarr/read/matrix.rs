use influence_core::{Chunk, ChunkGrid};
use ndarray::{ArrayD, Axis};
use zarrs::array::{Array, ArrayError, ElementOwned, data_type};

use crate::{
    Error, Result,
    error::BoxError,
    zarr::{
        layout::{ArrayLayout, StoredArray, codec_options},
        place::OpenGroup,
    },
};

/// The values of an output, read chunk by chunk.
pub(crate) struct StoredMatrix {
    array: StoredArray,
    grid: ChunkGrid,
    layout: ArrayLayout,
    /// The name of the output in messages.
    name: String,
}

/// The finding where a chunk should be.
pub(crate) enum StoredChunk {
    /// Its values, without the padding, with the axes of the array.
    There(ArrayD<f64>),
    Missing,
    /// Something that fails its checksum, and why.
    Damaged(String),
}

impl StoredMatrix {
    pub(crate) fn open(group: &OpenGroup, layout: ArrayLayout) -> Result<Self> {
        let failed = |source: BoxError| Error::store(&group.name, "open the array", source);
        let array = Array::open(group.storage.clone(), &group.array(layout.name))
            .map_err(|source| failed(source.into()))?;
        let grid = grid(&array, layout).map_err(failed)?;
        let name = group.name.clone();
        Ok(Self {
            array,
            grid,
            layout,
            name,
        })
    }

    pub(crate) fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// The sides of the array, beyond those of the grid too.
    pub(super) fn shape(&self) -> Vec<usize> {
        let grid = self.grid.shape().into_iter();
        let dimensions = self.layout.dimensions.len();
        // Opening it has seen that the sides of the grid fit; the others are whole in each chunk,
        // which is in memory at a time.
        let others = self.array.shape()[dimensions..].iter();
        grid.take(dimensions)
            .chain(others.map(|&side| usize::try_from(side).unwrap_or(usize::MAX)))
            .collect()
    }

    /// The values of a chunk that has to be there, undamaged.
    pub(super) fn whole(&self, index: [usize; 2]) -> Result<ArrayD<f64>> {
        match self.chunk(index)? {
            StoredChunk::There(chunk) => Ok(chunk),
            StoredChunk::Missing => Err(self.missing(index)),
            StoredChunk::Damaged(source) => Err(Error::store(&self.name, "read a chunk", source)),
        }
    }

    /// A number as the array holds it: means over models have more digits than the single
    /// precision that theirs are stored in.
    pub(super) fn as_stored(&self, value: f64) -> f64 {
        if self.is_double() {
            return value;
        }
        #[expect(clippy::cast_possible_truncation, reason = "as it was written")]
        f64::from(value as f32)
    }

    fn is_double(&self) -> bool {
        *self.array.data_type() == data_type::float64()
    }

    pub(crate) fn chunk(&self, index: [usize; 2]) -> Result<StoredChunk> {
        if self.is_double() {
            self.read::<f64>(index)
        } else {
            self.read::<f32>(index)
        }
    }

    fn read<T: ElementOwned + Into<f64>>(&self, index: [usize; 2]) -> Result<StoredChunk> {
        let dimensions = self.layout.dimensions.len();
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
                let lengths = [rows.len(), columns.len()].into_iter().take(dimensions);
                for (axis, length) in lengths.enumerate() {
                    values.slice_axis_inplace(Axis(axis), (0..length).into());
                }
                Ok(StoredChunk::There(values.mapv(Into::into)))
            }
            Ok(None) => Ok(StoredChunk::Missing),
            // The store failed, and the chunk may be sound: not a reason to compute it again.
            Err(source @ ArrayError::StorageError(_)) => {
                Err(Error::store(&self.name, "read a chunk", source))
            }
            Err(damage) => Ok(StoredChunk::Damaged(damage.to_string())),
        }
    }

    /// The values of a chunk with both axes of the grid, as aggregators take them: an array without
    /// columns is a matrix of one.
    pub(super) fn as_matrix(&self, values: ArrayD<f64>) -> ArrayD<f64> {
        match self.layout.dimensions.len() {
            1 => values.insert_axis(Axis(1)),
            _ => values,
        }
    }

    /// The error of a chunk that should be there.
    pub(crate) fn missing(&self, index: [usize; 2]) -> Error {
        Error::Missing {
            path: self.name.clone(),
            rows: self.grid.rows(index[0]),
        }
    }
}

/// The rows of a chunk with numbers that are not finite.
pub(crate) fn rows_not_finite(
    matrix: &StoredMatrix,
    index: [usize; 2],
    values: &ArrayD<f64>,
) -> Vec<usize> {
    let rows = matrix.grid().rows(index[0]).zip(values.outer_iter());
    let spoilt = rows.filter(|(_, row)| row.iter().any(|value| !value.is_finite()));
    spoilt.map(|(row, _)| row).collect()
}

fn grid(array: &StoredArray, layout: ArrayLayout) -> Result<ChunkGrid, BoxError> {
    let dimensions = layout.dimensions.len();
    let sides = |sides: &[u64]| -> Result<[usize; 2], BoxError> {
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

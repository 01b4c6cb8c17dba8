//! The grid of chunks, known before the first number.

use std::ops::Range;

use crate::{Error, Result};

/// A rectangle of the result: which rows and columns, and where it sits in the grid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Position in the grid: row of chunks, column of chunks.
    pub index: [usize; 2],
    /// The rows of the result.
    pub rows: Range<usize>,
    /// The columns of the result.
    pub columns: Range<usize>,
}

/// A matrix cut into rectangles; the last row and column of chunks may be smaller.
///
/// # Examples
/// ```
/// use influence_core::ChunkGrid;
///
/// let grid = ChunkGrid::new([5, 7], [2, 4])?;
/// assert_eq!(grid.counts(), [3, 2]);
/// assert_eq!(grid.chunk([2, 1]).rows, 4..5);
/// assert_eq!(grid.chunk([2, 1]).columns, 4..7);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkGrid {
    shape: [usize; 2],
    chunk_shape: [usize; 2],
}

impl ChunkGrid {
    /// Cuts a matrix of `shape` into chunks of at most `chunk_shape`.
    ///
    /// # Errors
    /// [`Error::Setting`] when a side of the chunks is zero.
    pub fn new(shape: [usize; 2], chunk_shape: [usize; 2]) -> Result<Self> {
        if chunk_shape.contains(&0) {
            return Err(Error::Setting {
                name: "chunk size",
                requirement: "at least 1",
                got: format!("{chunk_shape:?}"),
            });
        }
        Ok(Self { shape, chunk_shape })
    }

    /// The shape of the whole.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The shape of a full chunk.
    pub fn chunk_shape(&self) -> [usize; 2] {
        self.chunk_shape
    }

    /// How many chunks there are down and across.
    pub fn counts(&self) -> [usize; 2] {
        [
            self.shape[0].div_ceil(self.chunk_shape[0]),
            self.shape[1].div_ceil(self.chunk_shape[1]),
        ]
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.counts().iter().product()
    }

    /// Whether there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows covered by a row of chunks.
    pub fn rows(&self, index: usize) -> Range<usize> {
        cut(index, self.chunk_shape[0], self.shape[0])
    }

    /// The columns covered by a column of chunks.
    pub fn columns(&self, index: usize) -> Range<usize> {
        cut(index, self.chunk_shape[1], self.shape[1])
    }

    /// The chunk at a position; beyond the grid its ranges are empty.
    pub fn chunk(&self, index: [usize; 2]) -> Chunk {
        Chunk {
            index,
            rows: self.rows(index[0]),
            columns: self.columns(index[1]),
        }
    }

    /// All chunks, row by row.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        let [down, across] = self.counts();
        (0..down).flat_map(move |row| (0..across).map(move |column| self.chunk([row, column])))
    }
}

fn cut(index: usize, size: usize, whole: usize) -> Range<usize> {
    (index * size).min(whole)..((index + 1) * size).min(whole)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn chunks_tile_the_matrix_exactly() -> Result<()> {
        for (shape, chunk_shape) in [
            ([5, 7], [2, 4]),
            ([1, 1], [9, 9]),
            ([6, 6], [3, 2]),
            ([0, 4], [1, 1]),
            ([4, 0], [2, 2]),
            ([13, 1], [1, 1]),
        ] {
            let grid = ChunkGrid::new(shape, chunk_shape)?;
            let mut covered = Array2::<u32>::zeros(shape);
            for chunk in grid.chunks() {
                assert!(!chunk.rows.is_empty() && !chunk.columns.is_empty());
                assert!(
                    chunk.rows.len() <= chunk_shape[0] && chunk.columns.len() <= chunk_shape[1]
                );
                covered
                    .slice_mut(ndarray::s![chunk.rows, chunk.columns])
                    .mapv_inplace(|count| count + 1);
            }
            assert!(
                covered.iter().all(|&count| count == 1),
                "{shape:?} in {chunk_shape:?}"
            );
            assert_eq!(
                (grid.chunks().count(), grid.is_empty()),
                (grid.len(), covered.is_empty())
            );
            assert_eq!((grid.shape(), grid.chunk_shape()), (shape, chunk_shape));
        }
        Ok(())
    }

    #[test]
    fn beyond_the_grid_chunks_are_empty_and_sides_of_zero_are_refused() -> Result<()> {
        let beyond = ChunkGrid::new([5, 7], [2, 4])?.chunk([3, 2]);
        assert!(beyond.rows.is_empty() && beyond.columns.is_empty());
        assert!(matches!(
            ChunkGrid::new([5, 7], [0, 4]),
            Err(Error::Setting { .. })
        ));
        Ok(())
    }
}

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};

use super::{Aggregator, coverage::Coverage};
use crate::{Chunk, ChunkGrid, Error, Result};

/// The whole result in memory, as one array; axes beyond rows and columns are kept.
///
/// # Examples
/// ```
/// use influence_core::{ChunkGrid, aggregate::{Aggregator, Concatenate}};
/// use ndarray::{ArrayD, array};
///
/// let grid = ChunkGrid::new([1, 3], [1, 2])?;
/// let mut whole = Concatenate::new();
/// whole.begin(&grid)?;
/// whole.accept(&grid.chunk([0, 1]), array![[3.0]].view().into_dyn())?;
/// whole.accept(&grid.chunk([0, 0]), array![[1.0, 2.0]].view().into_dyn())?;
/// assert_eq!(whole.finish()?, array![[1.0, 2.0, 3.0]].into_dyn());
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Concatenate {
    coverage: Coverage,
    /// Allocated by the first chunk, which knows the trailing axes.
    whole: Option<ArrayD<f64>>,
}

impl Concatenate {
    /// An array yet to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one chunk, of the trailing shape of the chunks before it.
    fn write(&mut self, chunk: &Chunk, values: &ArrayViewD<'_, f64>) -> Result<()> {
        let [rows, columns] = self.coverage.grid()?.shape();
        let trailing = &values.shape()[2..];
        let shape: Vec<usize> = [rows, columns]
            .into_iter()
            .chain(trailing.iter().copied())
            .collect();
        let whole = self
            .whole
            .get_or_insert_with(|| ArrayD::zeros(shape.clone()));
        Error::check_size("concatenate", "axes", whole.ndim(), values.ndim())?;
        for (&expected, &got) in whole.shape().iter().zip(&shape) {
            Error::check_size("concatenate", "trailing axis", expected, got)?;
        }
        rectangle(whole.view_mut(), chunk).assign(values);
        Ok(())
    }
}

fn rectangle<'a>(
    mut whole: ndarray::ArrayViewMutD<'a, f64>,
    chunk: &Chunk,
) -> ndarray::ArrayViewMutD<'a, f64> {
    whole.slice_axis_inplace(Axis(0), Slice::from(chunk.rows.clone()));
    whole.slice_axis_inplace(Axis(1), Slice::from(chunk.columns.clone()));
    whole
}

impl Aggregator for Concatenate {
    type Output = ArrayD<f64>;

    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        self.coverage.begin(grid);
        self.whole = None;
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.coverage.check(chunk, &values)?;
        self.write(chunk, &values)?;
        self.coverage.mark(chunk)
    }

    fn merge(&mut self, mut other: Self) -> Result<()> {
        self.coverage.merge(&other.coverage)?;
        if let Some(mut theirs) = other.whole.take() {
            for chunk in other.coverage.chunks()? {
                self.write(&chunk, &rectangle(theirs.view_mut(), &chunk).view())?;
            }
        }
        Ok(())
    }

    /// A result without chunks has two axes.
    fn finish(self) -> Result<ArrayD<f64>> {
        self.coverage.complete()?;
        let shape = self.coverage.grid()?.shape();
        Ok(self.whole.unwrap_or_else(|| ArrayD::zeros(shape.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::testing;

    #[test]
    fn it_keeps_the_contract_of_aggregators() {
        testing::aggregator(Concatenate::new, PartialEq::eq);
    }

    #[test]
    fn trailing_axes_are_kept_and_must_agree() -> Result<()> {
        let grid = ChunkGrid::new([2, 2], [1, 2])?;
        let mut whole = Concatenate::new();
        whole.begin(&grid)?;
        whole.accept(
            &grid.chunk([1, 0]),
            Array3::from_elem((1, 2, 4), 1.0).view().into_dyn(),
        )?;
        let other = Array3::zeros((1, 2, 3));
        assert!(matches!(
            whole.accept(&grid.chunk([0, 0]), other.view().into_dyn()),
            Err(Error::Shape { .. })
        ));
        whole.accept(
            &grid.chunk([0, 0]),
            Array3::zeros((1, 2, 4)).view().into_dyn(),
        )?;
        let whole = whole.finish()?;
        assert_eq!((whole.shape(), whole.sum()), (&[2, 2, 4][..], 8.0));
        Ok(())
    }

    #[test]
    fn a_grid_without_chunks_gives_an_empty_array() -> Result<()> {
        let mut whole = Concatenate::new();
        whole.begin(&ChunkGrid::new([0, 3], [2, 2])?)?;
        assert_eq!(whole.finish()?.shape(), [0, 3]);
        Ok(())
    }
}

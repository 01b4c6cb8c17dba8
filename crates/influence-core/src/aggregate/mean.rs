use ndarray::{Array1, Array2, ArrayViewD, Axis};

use super::{
    Aggregator, Along,
    coverage::{Coverage, check_plain},
};
use crate::{Chunk, ChunkGrid, Result};

/// The mean along one axis.
///
/// Each chunk is summed on its own and the sums are added in the order of the grid, so the bits depend on the grid
/// but not on the order of arrival. Memory grows with the number of chunks along the reduced axis.
/// A number that is not finite makes the mean not finite.
#[derive(Debug, Clone)]
pub struct Mean {
    along: Along,
    coverage: Coverage,
    /// The sum of each chunk: kept axis by position of the chunk on the reduced axis.
    sums: Array2<f64>,
}

impl Mean {
    /// Reduces the given axis.
    pub fn along(along: Along) -> Self {
        Self {
            along,
            coverage: Coverage::default(),
            sums: Array2::zeros((0, 0)),
        }
    }
}

impl Aggregator for Mean {
    type Output = Array1<f64>;

    /// Refuses an empty reduced axis, which has no mean.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        let (kept, _) = self.along.checked_axes(grid)?;
        self.coverage.begin(grid);
        self.sums = Array2::zeros((grid.shape()[kept], grid.counts()[1 - kept]));
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.coverage.check(chunk, &values)?;
        check_plain(&values)?;
        let (kept, reduced) = self.along.axes();
        let (range, _) = self.along.ranges(chunk);
        for (lane, target) in values.axis_iter(Axis(kept)).zip(range.clone()) {
            // One after another from +0: the sum depends neither on the layout of the values nor on merging with zeros.
            self.sums[[target, chunk.index[reduced]]] =
                lane.iter().fold(0.0, |sum, value| sum + value);
        }
        self.coverage.mark(chunk)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.along.check_same(other.along)?;
        self.coverage.merge(&other.coverage)?;
        self.sums += &other.sums;
        Ok(())
    }

    fn fork(&self) -> Option<Self> {
        self.coverage.fork(Self::along(self.along))
    }

    fn finish(self) -> Result<Array1<f64>> {
        self.coverage.complete()?;
        let (_, reduced) = self.along.axes();
        let count = self.coverage.grid()?.shape()[reduced] as f64;
        Ok(self
            .sums
            .outer_iter()
            .map(|sums| sums.iter().sum::<f64>() / count)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Error, testing};

    #[test]
    fn it_keeps_the_contract_of_aggregators() {
        testing::aggregator(|| Mean::along(Along::Train), PartialEq::eq);
        testing::aggregator(|| Mean::along(Along::Test), PartialEq::eq);
    }

    #[test]
    fn rows_and_columns_are_averaged() -> Result<()> {
        let values = array![[1.0, 2.0, 6.0], [3.0, 4.0, 5.0]];
        assert_eq!(
            testing::aggregate(Mean::along(Along::Train), &values, [1, 2])?,
            array![3.0, 4.0]
        );
        assert_eq!(
            testing::aggregate(Mean::along(Along::Test), &values, [1, 2])?,
            array![2.0, 3.0, 5.5]
        );
        Ok(())
    }

    #[test]
    fn an_empty_axis_has_no_mean() -> Result<()> {
        let grid = ChunkGrid::new([2, 0], [1, 1])?;
        assert!(matches!(
            Mean::along(Along::Train).begin(&grid),
            Err(Error::Setting { .. })
        ));
        assert!(Mean::along(Along::Test).begin(&grid).is_ok());
        Ok(())
    }
}

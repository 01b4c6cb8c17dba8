use ndarray::{Array1, ArrayViewD, Axis};

use super::{Aggregator, Along, ordered_sum::OrderedSum};
use crate::{Chunk, ChunkGrid, Result};

/// The mean along one axis.
///
/// Each chunk is summed on its own and the sums are added in the order of the grid, so the bits
/// depend on the grid but not on the order of arrival. Memory is one value for each point of the
/// other axis, and the sums of the chunks that came before others which precede them along the
/// reduced axis. A number that is not finite makes the mean not finite.
#[derive(Debug, Clone)]
pub struct Mean(OrderedSum);

impl Mean {
    /// Reduces the given axis.
    pub fn along(along: Along) -> Self {
        Self(OrderedSum::new(along, 1))
    }
}

impl Aggregator for Mean {
    type Output = Array1<f64>;

    /// Refuses an empty reduced axis, which has no mean.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        self.0.along().checked_axes(grid)?;
        self.0.begin(grid);
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.0.accept(chunk, &values, |_| 0)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.0.merge(other.0)
    }

    fn fork(&self) -> Option<Self> {
        self.0.coverage().fork(Self(self.0.empty()))
    }

    fn finish(self) -> Result<Array1<f64>> {
        let (_, reduced) = self.0.along().axes();
        let count = self.0.coverage().grid()?.shape()[reduced] as f64;
        Ok(self.0.finish()?.index_axis_move(Axis(1), 0) / count)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Error, testing};

    #[test]
    fn it_keeps_the_contract_of_aggregators() {
        for along in [Along::Train, Along::Test] {
            testing::aggregator(
                || Mean::along(along),
                |a, b| a.mapv(f64::to_bits) == b.mapv(f64::to_bits),
            );
        }
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
    fn a_chunk_is_summed_from_its_first_value_to_its_last() -> Result<()> {
        // The small number is lost only in this order.
        let values = array![[1.0, 1e16, -1e16]];
        for (along, values) in [
            (Along::Train, values.clone()),
            (Along::Test, values.t().to_owned()),
        ] {
            let mean = testing::aggregate(Mean::along(along), &values, [3, 3])?;
            assert_eq!(mean, array![0.0]);
        }
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

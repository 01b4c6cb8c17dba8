use ndarray::{Array1, ArrayViewD};

use super::{Aggregator, Along, Order, TopK, top_k::Ranking};
use crate::{Chunk, ChunkGrid, Result};

/// Declares an aggregator that makes something of the first value alone: a ranking of length one.
macro_rules! extremum {
    ($(#[$doc:meta])* $name:ident, $order:expr, $item:ty, $pick:expr) => {
        $(#[$doc])*
        ///
        /// Among equal values the one with the lower index counts, NaN is refused as
        /// [`Error::NotFinite`](crate::Error::NotFinite) and an empty axis as
        /// [`Error::Setting`](crate::Error::Setting).
        #[derive(Debug, Clone)]
        pub struct $name(TopK);

        impl $name {
            /// Reduces the given axis.
            pub fn along(along: Along) -> Self {
                Self(TopK::new(1, $order, along))
            }
        }

        impl Aggregator for $name {
            type Output = Array1<$item>;

            fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
                self.0.begin(grid)
            }

            fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
                self.0.accept(chunk, values)
            }

            fn merge(&mut self, other: Self) -> Result<()> {
                self.0.merge(other.0)
            }

            fn fork(&self) -> Option<Self> {
                self.0.fork().map(Self)
            }

            fn finish(self) -> Result<Self::Output> {
                // Each ranking holds one entry: the axis is not empty.
                Ok(self.0.finish()?.into_iter().flat_map($pick).collect())
            }
        }
    };
}

extremum! {
    /// The largest value along one axis.
    Max, Order::Largest, f64, |first: Ranking| first.values
}

extremum! {
    /// The smallest value along one axis.
    Min, Order::Smallest, f64, |first: Ranking| first.values
}

extremum! {
    /// The index of the largest value along one axis.
    ArgMax, Order::Largest, usize, |first: Ranking| first.indices
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::{Error, testing};

    #[test]
    fn they_keep_the_contract_of_aggregators() {
        for along in [Along::Train, Along::Test] {
            testing::aggregator(|| Max::along(along), PartialEq::eq);
            testing::aggregator(|| Min::along(along), PartialEq::eq);
            testing::aggregator(|| ArgMax::along(along), PartialEq::eq);
        }
    }

    #[test]
    fn the_first_of_equal_values_counts() -> Result<()> {
        let values = array![[1.0, 4.0, 4.0], [7.0, -2.0, 7.0]];
        assert_eq!(
            testing::aggregate(ArgMax::along(Along::Train), &values, [1, 1])?,
            array![1, 0]
        );
        assert_eq!(
            testing::aggregate(Max::along(Along::Train), &values, [2, 2])?,
            array![4.0, 7.0]
        );
        assert_eq!(
            testing::aggregate(Min::along(Along::Test), &values, [2, 2])?,
            array![1.0, -2.0, 4.0]
        );
        Ok(())
    }

    #[test]
    fn what_has_no_order_is_refused() -> Result<()> {
        let values = array![[1.0, f64::NAN]];
        assert!(matches!(
            testing::aggregate(Max::along(Along::Train), &values, [1, 1]),
            Err(Error::NotFinite { .. })
        ));
        let grid = ChunkGrid::new([1, 0], [1, 1])?;
        assert!(matches!(
            Min::along(Along::Train).begin(&grid),
            Err(Error::Setting { .. })
        ));
        let grid = ChunkGrid::new([1, 1], [1, 1])?;
        let mut max = Max::along(Along::Train);
        max.begin(&grid)?;
        let cube = Array3::zeros((1, 1, 2));
        assert!(matches!(
            max.accept(&grid.chunk([0, 0]), cube.view().into_dyn()),
            Err(Error::Shape { .. })
        ));
        Ok(())
    }
}

use std::{cmp::Ordering, collections::BinaryHeap};

use ndarray::{ArrayViewD, Axis};

use super::{
    Aggregator, Along,
    coverage::{Coverage, check_plain, check_values},
};
use crate::{Chunk, ChunkGrid, Error, Result};

/// Which values come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The largest: the most helpful.
    #[default]
    Largest,
    /// The smallest: the most harmful.
    Smallest,
    /// The largest in magnitude, whatever the sign.
    Magnitude,
}

/// The first few of many values, the first one first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// Where they stand along the reduced axis.
    pub indices: Vec<usize>,
    /// What they are.
    pub values: Vec<f64>,
}

/// The `k` first values along one axis, with their indices; all of them when there are fewer.
///
/// Among equal values the lower index comes first, so the order of arrival does not matter. Memory
/// is bounded by `k` values for each point of the other axis.
///
/// # Examples
/// ```
/// use influence_core::{ChunkGrid, aggregate::{Aggregator, Along, Order, TopK}};
/// use ndarray::array;
///
/// let grid = ChunkGrid::new([1, 4], [1, 4])?;
/// let mut top = TopK::new(2, Order::Magnitude, Along::Train);
/// top.begin(&grid)?;
/// top.accept(&grid.chunk([0, 0]), array![[1.0, -7.0, 3.0, 0.0]].view().into_dyn())?;
/// assert_eq!(top.finish()?[0].indices, [1, 2]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    order: Order,
    along: Along,
    coverage: Coverage,
    lanes: Vec<BinaryHeap<Entry>>,
}

impl TopK {
    /// Ranks along the given axis.
    pub fn new(k: usize, order: Order, along: Along) -> Self {
        Self {
            k,
            order,
            along,
            coverage: Coverage::default(),
            lanes: Vec::new(),
        }
    }

    fn entry(&self, index: usize, value: f64) -> Entry {
        let key = match self.order {
            Order::Largest => value,
            Order::Smallest => -value,
            Order::Magnitude => value.abs(),
        };
        // Adding zero makes the two zeros equal.
        Entry {
            key: key + 0.0,
            index,
            value,
        }
    }

    /// Keeps an entry if it is among the first `k` of its lane.
    fn push(&mut self, lane: usize, entry: Entry) {
        let lane = &mut self.lanes[lane];
        if lane.len() < self.k {
            lane.push(entry);
        } else if let Some(mut last) = lane.peek_mut()
            && entry < *last
        {
            *last = entry;
        }
    }
}

/// A candidate; the one that ranks first is the least.
#[derive(Debug, Clone)]
struct Entry {
    key: f64,
    index: usize,
    value: f64,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .key
            .total_cmp(&self.key)
            .then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl Aggregator for TopK {
    type Output = Vec<Ranking>;

    /// Refuses an empty reduced axis, which has nothing to rank.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        let (kept, _) = self.along.checked_axes(grid)?;
        self.coverage.begin(grid);
        self.lanes = vec![BinaryHeap::new(); grid.shape()[kept]];
        Ok(())
    }

    /// Refuses NaN, which has no rank.
    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.coverage.check(chunk, &values)?;
        check_plain(&values)?;
        check_values("ranking", chunk, &values, |value| !value.is_nan())?;
        let (kept, _) = self.along.axes();
        let (lanes, along) = self.along.ranges(chunk);
        for (row, lane) in values.axis_iter(Axis(kept)).zip(lanes.clone()) {
            for (&value, index) in row.iter().zip(along.clone()) {
                self.push(lane, self.entry(index, value));
            }
        }
        self.coverage.mark(chunk)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.along.check_same(other.along)?;
        if (self.k, self.order) != (other.k, other.order) {
            let got = format!("{:?}, {:?}", (self.k, self.order), (other.k, other.order));
            return Err(Error::Setting {
                name: "k and order of merged aggregators",
                requirement: "the same",
                got,
            });
        }
        self.coverage.merge(&other.coverage)?;
        for (lane, entries) in other.lanes.into_iter().enumerate() {
            for entry in entries {
                self.push(lane, entry);
            }
        }
        Ok(())
    }

    fn fork(&self) -> Option<Self> {
        self.coverage
            .fork(Self::new(self.k, self.order, self.along))
    }

    fn finish(self) -> Result<Vec<Ranking>> {
        self.coverage.complete()?;
        let ranking = |lane: BinaryHeap<Entry>| {
            let (indices, values) = lane
                .into_sorted_vec()
                .into_iter()
                .map(|entry| (entry.index, entry.value))
                .unzip();
            Ranking { indices, values }
        };
        Ok(self.lanes.into_iter().map(ranking).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::testing;

    #[test]
    fn it_keeps_the_contract_of_aggregators() {
        for order in [Order::Largest, Order::Smallest, Order::Magnitude] {
            testing::aggregator(|| TopK::new(3, order, Along::Train), PartialEq::eq);
            testing::aggregator(|| TopK::new(100, order, Along::Test), PartialEq::eq);
        }
    }

    #[test]
    fn each_order_puts_its_own_first() -> Result<()> {
        let values = array![[1.0, -5.0, 3.0, 3.0]];
        for (order, indices) in [
            (Order::Largest, [2, 3]),
            (Order::Smallest, [1, 0]),
            (Order::Magnitude, [1, 2]),
        ] {
            let ranking = testing::aggregate(TopK::new(2, order, Along::Train), &values, [1, 3])?;
            assert_eq!(ranking[0].indices, indices, "{order:?}");
            assert_eq!(
                ranking[0].values,
                indices.map(|index| values[[0, index]]),
                "{order:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn fewer_values_than_k_are_all_ranked() -> Result<()> {
        let ranking = testing::aggregate(
            TopK::new(9, Order::Largest, Along::Test),
            &array![[1.0], [2.0]],
            [1, 1],
        )?;
        assert_eq!(
            ranking,
            [Ranking {
                indices: vec![1, 0],
                values: vec![2.0, 1.0]
            }]
        );
        Ok(())
    }

    #[test]
    fn zeros_of_both_signs_are_equal() -> Result<()> {
        let ranking = testing::aggregate(
            TopK::new(2, Order::Largest, Along::Train),
            &array![[-0.0, 0.0]],
            [1, 1],
        )?;
        assert_eq!(ranking[0].indices, [0, 1]);
        Ok(())
    }
}

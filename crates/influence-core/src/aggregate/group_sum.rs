use std::sync::Arc;

use ndarray::{Array2, ArrayViewD};

use super::{Aggregator, Along, ordered_sum::OrderedSum};
use crate::{Chunk, ChunkGrid, Error, Result};

/// The sums over groups of points along one axis, `(points of the other axis, groups)`: influence
/// of a class, a source, a document.
///
/// The members that a group has in one chunk are summed on their own and the sums are added in the
/// order of the grid, so the bits depend on the grid but not on the order of arrival. A group
/// without members sums to zero. Memory is that of the outcome, and the sums of the chunks that
/// came before others which precede them along the reduced axis. A number that is not finite makes
/// the sum of its group not finite.
///
/// # Examples
/// ```
/// use influence_core::{ChunkGrid, aggregate::{Aggregator, Along, GroupSum}};
/// use ndarray::array;
///
/// let grid = ChunkGrid::new([1, 4], [1, 4])?;
/// let mut sums = GroupSum::new(vec![0, 2, 0, 2], 3, Along::Train)?;
/// sums.begin(&grid)?;
/// sums.accept(&grid.chunk([0, 0]), array![[1.0, 2.0, 3.0, 4.0]].view().into_dyn())?;
/// assert_eq!(sums.finish()?, array![[4.0, 0.0, 6.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GroupSum {
    /// Shared with the forks, because there is one for each point.
    groups: Arc<[usize]>,
    sums: OrderedSum,
}

impl GroupSum {
    /// Sums along the given axis, of which each point belongs to one of `count` groups, numbered
    /// from zero.
    ///
    /// The number of groups is said, not taken from the members, so that the shape of the outcome
    /// does not depend on which groups happen to have some, and a stray number is refused instead
    /// of making the outcome large.
    ///
    /// # Errors
    /// [`Error::Setting`] when a group is not below `count`. That the groups are as many as the
    /// points is checked by [`begin`](Aggregator::begin), which gives [`Error::Shape`] otherwise.
    pub fn new(groups: impl Into<Arc<[usize]>>, count: usize, along: Along) -> Result<Self> {
        let groups = groups.into();
        if let Some(group) = groups.iter().find(|group| **group >= count) {
            return Err(Error::Setting {
                name: "group of a point",
                requirement: "below the number of groups",
                got: format!("{group} of {count}"),
            });
        }
        Ok(Self {
            groups,
            sums: OrderedSum::new(along, count),
        })
    }
}

impl Aggregator for GroupSum {
    type Output = Array2<f64>;

    /// Refuses an axis of which the groups are not those of its points, as [`Error::Shape`].
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        let (_, reduced) = self.sums.along().axes();
        let points = grid.shape()[reduced];
        Error::check_size(
            "group sum",
            "points with a group",
            points,
            self.groups.len(),
        )?;
        self.sums.begin(grid);
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        let groups = &self.groups;
        self.sums.accept(chunk, &values, |point| groups[point])
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        if self.groups != other.groups {
            return Err(Error::Setting {
                name: "groups of merged aggregators",
                requirement: "the same",
                got: "others".into(),
            });
        }
        self.sums.merge(other.sums)
    }

    fn fork(&self) -> Option<Self> {
        self.sums.coverage().fork(Self {
            groups: Arc::clone(&self.groups),
            sums: self.sums.empty(),
        })
    }

    fn finish(self) -> Result<Array2<f64>> {
        self.sums.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Groups of 7 or 11 points, the fourth of them without members.
    fn groups(points: usize) -> Vec<usize> {
        (0..points)
            .map(|point| [0, 2, 4, 0, 1][point % 5])
            .collect()
    }

    fn sum(along: Along) -> Result<GroupSum> {
        let points = if along == Along::Train { 11 } else { 7 };
        GroupSum::new(groups(points), 6, along)
    }

    #[test]
    fn it_keeps_the_contract_of_aggregators() -> Result<()> {
        for along in [Along::Train, Along::Test] {
            let sum = sum(along)?;
            testing::aggregator(
                || sum.clone(),
                |a, b| a.mapv(f64::to_bits) == b.mapv(f64::to_bits),
            );
        }
        Ok(())
    }

    #[test]
    fn it_sums_the_members_of_each_group() -> Result<()> {
        let values = testing::random((7, 11), 5);
        for along in [Along::Train, Along::Test] {
            let lanes = match along {
                Along::Train => values.clone(),
                Along::Test => values.t().to_owned(),
            };
            let mut expected = Array2::<f64>::zeros((lanes.nrows(), 6));
            for ((lane, point), value) in lanes.indexed_iter() {
                expected[[lane, groups(11)[point]]] += value;
            }
            for chunk_shape in [[3, 2], [2, 4], [7, 11]] {
                let got = testing::aggregate(sum(along)?, &values, chunk_shape)?;
                testing::assert_close("group sums", &got, &expected, 1e-15);
                assert!(got.column(3).iter().all(|sum| sum.to_bits() == 0));
            }
        }
        Ok(())
    }

    #[test]
    fn one_group_divided_by_its_size_is_the_mean() -> Result<()> {
        let values = testing::random((4, 9), 6);
        let sums = GroupSum::new(vec![0; 9], 1, Along::Train)?;
        let sums = testing::aggregate(sums, &values, [2, 2])?;
        let mean = testing::aggregate(super::super::Mean::along(Along::Train), &values, [2, 2])?;
        assert_eq!(sums.column(0).mapv(|sum| sum / 9.0), mean);
        Ok(())
    }

    #[test]
    fn an_axis_without_points_sums_to_zero() -> Result<()> {
        let sums = GroupSum::new(vec![], 2, Along::Train)?;
        let sums = testing::aggregate(sums, &Array2::zeros((3, 0)), [2, 2])?;
        assert_eq!(sums, Array2::<f64>::zeros((3, 2)));
        Ok(())
    }

    #[test]
    fn groups_that_do_not_fit_are_refused() -> Result<()> {
        assert!(matches!(
            GroupSum::new(vec![0, 3], 3, Along::Train),
            Err(Error::Setting { .. })
        ));
        let grid = ChunkGrid::new([2, 3], [1, 1])?;
        let mut sums = GroupSum::new(vec![0, 1], 2, Along::Train)?;
        assert!(matches!(sums.begin(&grid), Err(Error::Shape { .. })));
        let [mut one, mut other, mut more] = [
            GroupSum::new(vec![0, 1], 2, Along::Test)?,
            GroupSum::new(vec![1, 0], 2, Along::Test)?,
            GroupSum::new(vec![0, 1], 3, Along::Test)?,
        ];
        one.begin(&grid)?;
        other.begin(&grid)?;
        more.begin(&grid)?;
        assert!(matches!(one.merge(other), Err(Error::Setting { .. })));
        assert!(matches!(one.merge(more), Err(Error::Setting { .. })));
        Ok(())
    }
}

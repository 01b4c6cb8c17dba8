use std::collections::BTreeMap;

use ndarray::{Array2, ArrayViewD, Axis, s};

use super::{
    Along,
    coverage::{Coverage, check_plain},
};
use crate::{Chunk, ChunkGrid, Error, Result};

/// Sums over the groups of one axis, whose bits depend on the grid but not on the order of arrival.
///
/// Within a chunk the members of each group are summed on their own, and these partial sums are
/// added in the order of the grid: at once when it is their turn, otherwise they are kept until it
/// is.
#[derive(Debug, Clone)]
pub(super) struct OrderedSum {
    along: Along,
    groups: usize,
    coverage: Coverage,
    /// One for each row of chunks along the reduced axis.
    rows: Vec<Row>,
}

impl OrderedSum {
    /// Sums along the given axis, over this many groups.
    pub(super) fn new(along: Along, groups: usize) -> Self {
        Self {
            along,
            groups,
            coverage: Coverage::default(),
            rows: Vec::new(),
        }
    }

    /// Without chunks, of the same settings.
    pub(super) fn empty(&self) -> Self {
        Self::new(self.along, self.groups)
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn along(&self) -> Along {
        self.along
    }

    pub(super) fn begin(&mut self, grid: &ChunkGrid) {
        let (kept, _) = self.along.axes();
        self.coverage.begin(grid);
        self.rows = vec![Row::default(); grid.counts()[kept]];
    }

    /// Adds the values of one chunk, each to the group of its index on the reduced axis.
    pub(super) fn accept(
        &mut self,
        chunk: &Chunk,
        values: &ArrayViewD<'_, f64>,
        group: impl Fn(usize) -> usize,
    ) -> Result<()> {
        self.coverage.check(chunk, values)?;
        check_plain(values)?;
        let (kept, reduced) = self.along.axes();
        let (_, range) = self.along.ranges(chunk);
        let members: Vec<usize> = range.clone().map(group).collect();
        let partial = Partial::new(values, Axis(kept), &members);
        let row = &mut self.rows[chunk.index[kept]];
        row.ahead.insert(chunk.index[reduced], partial);
        row.absorb(self.groups);
        self.coverage.mark(chunk)
    }

    pub(super) fn merge(&mut self, other: Self) -> Result<()> {
        self.along.check_same(other.along)?;
        if self.groups != other.groups {
            return Err(Error::Setting {
                name: "number of groups of merged aggregators",
                requirement: "the same",
                got: format!("{}, {}", self.groups, other.groups),
            });
        }
        self.coverage.merge(&other.coverage)?;
        for (row, theirs) in self.rows.iter_mut().zip(other.rows) {
            row.merge(theirs, self.groups);
        }
        Ok(())
    }

    /// The sums, `(kept, groups)`.
    pub(super) fn finish(self) -> Result<Array2<f64>> {
        self.coverage.complete()?;
        let grid = self.coverage.grid()?;
        let (kept, _) = self.along.axes();
        let mut sums = Array2::zeros((grid.shape()[kept], self.groups));
        // Where the reduced axis is empty there is no prefix, and the sums are zero.
        let rows = self.rows.iter().enumerate();
        for (index, row) in rows.filter(|(_, row)| row.absorbed > 0) {
            let start = index * grid.chunk_shape()[kept];
            let end = start + row.prefix.nrows();
            sums.slice_mut(s![start..end, ..]).assign(&row.prefix);
        }
        Ok(sums)
    }
}

/// The sums of the lanes that share a row of chunks.
#[derive(Debug, Clone, Default)]
struct Row {
    /// How many partial sums are in the prefix: all of the chunks before this one.
    absorbed: usize,
    /// Their sum, `(lanes, groups)`; without rows as long as there is none.
    prefix: Array2<f64>,
    /// The partial sums that came ahead of their turn, by position of the chunk on the reduced
    /// axis.
    ahead: BTreeMap<usize, Partial>,
}

impl Row {
    /// Adds those partial sums whose turn has come.
    fn absorb(&mut self, groups: usize) {
        while let Some(partial) = self.ahead.remove(&self.absorbed) {
            if self.absorbed == 0 {
                self.prefix = Array2::zeros((partial.sums.nrows(), groups));
            }
            partial.add_to(&mut self.prefix);
            self.absorbed += 1;
        }
    }

    /// Takes over the sums of other chunks of the same row.
    fn merge(&mut self, mut other: Self, groups: usize) {
        // A prefix starts at the first chunk, which only one of the two can hold.
        if self.absorbed == 0 {
            (self.absorbed, self.prefix) = (other.absorbed, other.prefix);
        }
        self.ahead.append(&mut other.ahead);
        self.absorb(groups);
    }
}

/// The sums over the members that groups have in one chunk.
#[derive(Debug, Clone)]
struct Partial {
    /// Only groups with members, in order: there may be many more groups than columns in a chunk.
    groups: Vec<usize>,
    /// `(lanes, groups with members)`
    sums: Array2<f64>,
}

impl Partial {
    /// Sums each lane over the groups that its members belong to.
    fn new(values: &ArrayViewD<'_, f64>, kept: Axis, members: &[usize]) -> Self {
        let mut groups = members.to_vec();
        groups.sort_unstable();
        groups.dedup();
        let columns: Vec<usize> = members
            .iter()
            .map(|member| groups.partition_point(|group| group < member))
            .collect();
        let mut sums = Array2::zeros((values.len_of(kept), groups.len()));
        for (lane, mut sums) in values.axis_iter(kept).zip(sums.outer_iter_mut()) {
            // One after another from +0, so that the sum does not depend on the layout of the
            // values.
            for (value, &column) in lane.iter().zip(&columns) {
                sums[column] += value;
            }
        }
        Self { groups, sums }
    }

    fn add_to(&self, prefix: &mut Array2<f64>) {
        for (sums, mut prefix) in self.sums.outer_iter().zip(prefix.outer_iter_mut()) {
            for (sum, &group) in sums.iter().zip(&self.groups) {
                prefix[group] += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    /// One lane, of which the sum depends on the order at every step.
    fn values() -> Array2<f64> {
        array![[0.1, 1e16, 0.7, -1e16, 3.3, 1e-3, 1e8, -2.1, 0.4]]
    }

    fn accept(sum: &mut OrderedSum, grid: &ChunkGrid, position: usize) -> Result<()> {
        let chunk = grid.chunk([0, position]);
        let values = values();
        let part = values.slice(s![.., chunk.columns.clone()]);
        sum.accept(&chunk, &part.into_dyn(), |point| point % 2)
    }

    fn begun(grid: &ChunkGrid) -> OrderedSum {
        let mut sum = OrderedSum::new(Along::Train, 2);
        sum.begin(grid);
        sum
    }

    /// Every order of the first few numbers.
    fn orders(count: usize) -> Vec<Vec<usize>> {
        if count == 0 {
            return vec![Vec::new()];
        }
        let extend = |order: Vec<usize>| {
            (0..count).map(move |place| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        };
        orders(count - 1).into_iter().flat_map(extend).collect()
    }

    /// Chunk by chunk, then over the chunks in this order, as the definition says.
    fn direct(chunks: impl Iterator<Item = Chunk>) -> Array1<u64> {
        let (values, mut sums) = (values(), Array1::zeros(2));
        for chunk in chunks {
            let mut own = Array1::<f64>::zeros(2);
            chunk
                .columns
                .for_each(|point| own[point % 2] += values[[0, point]]);
            sums += &own;
        }
        sums.mapv(f64::to_bits)
    }

    #[test]
    fn every_order_and_every_split_gives_the_same_bits() -> Result<()> {
        let grid = ChunkGrid::new([1, 9], [1, 2])?;
        let expected = direct(grid.chunks());
        let mut backwards: Vec<Chunk> = grid.chunks().collect();
        backwards.reverse();
        assert_ne!(
            direct(backwards.into_iter()),
            expected,
            "the order must matter"
        );
        for order in orders(grid.len()) {
            for split in 0..1 << grid.len() {
                let mut parts = [begun(&grid), begun(&grid)];
                for &position in &order {
                    accept(&mut parts[(split >> position) & 1], &grid, position)?;
                }
                let [mut first, second] = parts;
                first.merge(second)?;
                let sums = first.finish()?.row(0).mapv(f64::to_bits);
                assert_eq!(sums, expected, "order {order:?}, split {split:b}");
            }
        }
        Ok(())
    }

    #[test]
    fn only_what_came_too_early_is_kept() -> Result<()> {
        let grid = ChunkGrid::new([1, 9], [1, 2])?;
        let mut sum = begun(&grid);
        for (position, kept) in [(0, 0), (2, 1), (1, 0), (4, 1), (3, 0)] {
            accept(&mut sum, &grid, position)?;
            assert_eq!(sum.rows[0].ahead.len(), kept, "after chunk {position}");
        }
        Ok(())
    }
}

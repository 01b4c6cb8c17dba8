#[cfg(test)]
use ndarray::{Array1, Array2};
use ndarray::{ArrayViewD, Axis};

use super::Along;
use crate::{Chunk, ChunkGrid, Error, Result};

/// Which values are taken together: those of a point of the axis that is kept or, if nothing is
/// kept, all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lanes(pub(super) Option<Along>);

impl Lanes {
    /// How many lanes there are on this grid.
    pub(super) fn count(self, grid: &ChunkGrid) -> usize {
        self.0.map_or(1, |along| grid.shape()[along.axes().0])
    }

    /// Calls back with each value of a chunk and the number of its lane.
    pub(super) fn each(
        self,
        chunk: &Chunk,
        values: &ArrayViewD<'_, f64>,
        mut visit: impl FnMut(usize, f64),
    ) {
        let Some(along) = self.0 else {
            values.iter().for_each(|&value| visit(0, value));
            return;
        };
        let (kept, _) = along.axes();
        let (range, _) = along.ranges(chunk);
        for (lane, values) in range.clone().zip(values.axis_iter(Axis(kept))) {
            values.iter().for_each(|&value| visit(lane, value));
        }
    }

    /// Checks that every lane has values.
    pub(super) fn check_not_empty(self, grid: &ChunkGrid) -> Result<()> {
        match self.0 {
            Some(along) => along.checked_axes(grid).map(|_| ()),
            None if grid.is_empty() => Err(Error::Setting {
                name: "size of the result",
                requirement: "at least 1",
                got: format!("{:?}", grid.shape()),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl Lanes {
    /// No lanes, those of rows and those of columns, each with a matrix of which the rows are the
    /// lanes.
    pub(super) fn cases(values: &Array2<f64>) -> [(Self, Array2<f64>); 3] {
        let all = Array1::from_iter(values.iter().copied());
        [
            (Self(None), all.insert_axis(Axis(0))),
            (Self(Some(Along::Train)), values.clone()),
            (Self(Some(Along::Test)), values.t().to_owned()),
        ]
    }
}

use std::ops::Range;

use crate::{Chunk, ChunkGrid, Error, Result};

/// Which axis an aggregator reduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Along {
    /// Reduce over test points: one value per train point.
    Test,
    /// Reduce over train points: one value per test point.
    #[default]
    Train,
}

impl Along {
    /// The axis that is kept and the axis that is reduced.
    pub(super) fn axes(self) -> (usize, usize) {
        match self {
            Self::Train => (0, 1),
            Self::Test => (1, 0),
        }
    }

    /// The ranges of a chunk on the axis that is kept and on the axis that is reduced.
    pub(super) fn ranges(self, chunk: &Chunk) -> (&Range<usize>, &Range<usize>) {
        match self {
            Self::Train => (&chunk.rows, &chunk.columns),
            Self::Test => (&chunk.columns, &chunk.rows),
        }
    }

    /// The axes, given that there is something to reduce.
    pub(super) fn checked_axes(self, grid: &ChunkGrid) -> Result<(usize, usize)> {
        let (kept, reduced) = self.axes();
        if grid.shape()[reduced] == 0 {
            return Err(Error::Setting {
                name: "length of the reduced axis",
                requirement: "at least 1",
                got: "0".into(),
            });
        }
        Ok((kept, reduced))
    }

    /// Checks that two aggregators reduce the same axis.
    pub(super) fn check_same(self, other: Self) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(Error::Setting {
            name: "axis of merged aggregators",
            requirement: "the same",
            got: format!("{self:?}, {other:?}"),
        })
    }
}

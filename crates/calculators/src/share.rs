//! What a share of the work is of an output.

use std::ops::Range;

use influence_core::{ChunkGrid, Share};

use crate::{Error, Result};

/// Shares of the chunks of a grid, which is that of the whole: no byte depends on the shares.
pub(crate) trait ShareOfGrid {
    /// The side of a matrix that is shared out: 0, its rows of chunks, or 1, its columns.
    fn side(grid: &ChunkGrid, immediate: bool) -> usize;

    /// The rows and columns of chunks that this share covers, where this side is shared out.
    fn part(self, grid: &ChunkGrid, side: usize) -> [Range<usize>; 2];

    /// Refuses a part of the work where only the whole makes sense.
    fn check_whole(self) -> Result<()>;
}

impl ShareOfGrid for Share {
    fn side(grid: &ChunkGrid, immediate: bool) -> usize {
        let [down, across] = grid.counts();
        let by_rows = down > 1 && (across == 1 || !immediate);
        usize::from(!by_rows)
    }

    fn part(self, grid: &ChunkGrid, side: usize) -> [Range<usize>; 2] {
        let mut part = grid.counts().map(|chunks| 0..chunks);
        part[side] = self.of(part[side].end);
        part
    }

    fn check_whole(self) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        Err(Error::Option {
            name: "share",
            requirement: "0/1, the whole, unless it joins an output that was declared",
            got: self.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_shared_unless_solving_is_expensive() -> influence_core::Result<()> {
        let share = Share::new(1, 2)?;
        let part = |shape, immediate| {
            let grid = ChunkGrid::new(shape, [1, 1])?;
            Ok::<_, influence_core::Error>(share.part(&grid, Share::side(&grid, immediate)))
        };
        assert_eq!(part([4, 6], true)?, [0..4, 3..6]);
        assert_eq!(part([4, 6], false)?, [2..4, 0..6]);
        assert_eq!(part([4, 1], true)?, [2..4, 0..1]);
        assert_eq!(part([1, 6], false)?, [0..1, 3..6]);
        Ok(())
    }
}

//! The plan of a computation: its grid, and the order in which it is covered.

use std::ops::Range;

use influence_core::ChunkGrid;

/// Which chunks are computed, and which of them together.
///
/// A *panel* is a run of rows of chunks whose factors are held in memory at once: factors are solved once per row of chunks, train
/// gradients computed once per panel and column of chunks. The pair of a panel and a column is the unit of scoring; it
/// depends on no other such unit, so a plan can be cut along either.
///
/// # Examples
/// ```
/// use influence_calculators::Plan;
/// use influence_core::ChunkGrid;
///
/// // 5 rows of chunks of 10 rows each; a row takes 8 bytes, and there are 200 bytes for factors.
/// let plan = Plan::new(ChunkGrid::new([50, 90], [10, 30])?, 8, 200);
/// assert_eq!(plan.panels(), [0..2, 2..4, 4..5]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    grid: ChunkGrid,
    panels: Vec<Range<usize>>,
}

impl Plan {
    /// Cuts the rows of chunks into panels whose factors take at most `memory` bytes, at least one row of chunks each.
    pub fn new(grid: ChunkGrid, bytes_per_row: usize, memory: usize) -> Self {
        let chunk_bytes = grid.chunk_shape()[0].saturating_mul(bytes_per_row).max(1);
        let (size, down) = ((memory / chunk_bytes).max(1), grid.counts()[0]);
        let panels = (0..down)
            .step_by(size)
            .map(|first| first..first.saturating_add(size).min(down))
            .collect();
        Self { grid, panels }
    }

    /// The grid of the result.
    pub fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// The panels: ranges of rows of chunks, in order, which together are all of them.
    pub fn panels(&self) -> &[Range<usize>] {
        &self.panels
    }
}

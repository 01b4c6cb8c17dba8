use ndarray::ArrayViewD;

use super::Aggregator;
use crate::{Chunk, ChunkGrid, Error, Result};

/// Which chunks of the grid have come: the bookkeeping that all aggregators share.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    grid: Option<ChunkGrid>,
    arrived: Vec<bool>,
}

impl Coverage {
    /// Starts over on a grid.
    pub(super) fn begin(&mut self, grid: &ChunkGrid) {
        self.arrived = vec![false; grid.len()];
        self.grid = Some(grid.clone());
    }

    /// The grid, once it is announced.
    pub(super) fn grid(&self) -> Result<&ChunkGrid> {
        self.grid.as_ref().ok_or(Error::Chunks {
            what: "no grid was announced",
            expected: 0,
            got: 0,
        })
    }

    /// Checks that a chunk is of the grid, has not come before, and is shaped as its values.
    pub(super) fn check(&self, chunk: &Chunk, values: &ArrayViewD<'_, f64>) -> Result<()> {
        let grid = self.grid()?;
        let [down, across] = grid.counts();
        Error::check_range(&(chunk.index[0]..chunk.index[0] + 1), down)?;
        Error::check_range(&(chunk.index[1]..chunk.index[1] + 1), across)?;
        let own = grid.chunk(chunk.index);
        for (axis, got, expected) in [
            ("rows", &chunk.rows, &own.rows),
            ("columns", &chunk.columns, &own.columns),
        ] {
            Error::check_size("chunk of another grid", axis, expected.start, got.start)?;
            Error::check_size("chunk of another grid", axis, expected.end, got.end)?;
        }
        if values.ndim() < 2 {
            return Err(Error::Shape {
                op: "aggregate",
                axis: "axes (at least)",
                expected: 2,
                got: values.ndim(),
            });
        }
        Error::check_size("aggregate", "rows", chunk.rows.len(), values.shape()[0])?;
        Error::check_size(
            "aggregate",
            "columns",
            chunk.columns.len(),
            values.shape()[1],
        )?;
        if self.arrived[self.position(chunk.index)?] {
            Err(self.error("a chunk came twice"))
        } else {
            Ok(())
        }
    }

    /// Notes a chunk that was checked before.
    pub(super) fn mark(&mut self, chunk: &Chunk) -> Result<()> {
        let position = self.position(chunk.index)?;
        self.arrived[position] = true;
        Ok(())
    }

    /// Takes over the chunks of another aggregator of the same grid.
    pub(super) fn merge(&mut self, other: &Self) -> Result<()> {
        if self.grid()? != other.grid()? {
            let got = format!("{:?} and {:?}", self.grid, other.grid);
            return Err(Error::Setting {
                name: "grids of merged aggregators",
                requirement: "the same",
                got,
            });
        }
        if self
            .arrived
            .iter()
            .zip(&other.arrived)
            .any(|(here, there)| *here && *there)
        {
            return Err(self.error("a chunk came to both aggregators"));
        }
        self.arrived
            .iter_mut()
            .zip(&other.arrived)
            .for_each(|(here, there)| *here |= there);
        Ok(())
    }

    /// Begins a fresh aggregator on this grid, once it is announced.
    pub(super) fn fork<A: Aggregator>(&self, mut fresh: A) -> Option<A> {
        // The settings were good for this grid before, so a refusal cannot come.
        fresh.begin(self.grid.as_ref()?).ok()?;
        Some(fresh)
    }

    /// The chunks that have come, row by row.
    pub(super) fn chunks(&self) -> Result<impl Iterator<Item = Chunk>> {
        Ok(self
            .grid()?
            .chunks()
            .zip(&self.arrived)
            .filter(|(_, arrived)| **arrived)
            .map(|(chunk, _)| chunk))
    }

    /// Checks that every chunk has come.
    pub(super) fn complete(&self) -> Result<()> {
        self.grid()?;
        if self.arrived.iter().all(|arrived| *arrived) {
            Ok(())
        } else {
            Err(self.error("chunks are missing"))
        }
    }

    fn position(&self, index: [usize; 2]) -> Result<usize> {
        Ok(index[0] * self.grid()?.counts()[1] + index[1])
    }

    fn error(&self, what: &'static str) -> Error {
        let got = self.arrived.iter().filter(|arrived| **arrived).count();
        Error::Chunks {
            what,
            expected: self.arrived.len(),
            got,
        }
    }
}

/// Checks that values have no axes beyond rows and columns.
pub(super) fn check_plain(values: &ArrayViewD<'_, f64>) -> Result<()> {
    Error::check_size("aggregate", "axes", 2, values.ndim())
}

/// Checks that the aggregator can do something with each of the values.
pub(super) fn check_values(
    op: &'static str,
    chunk: &Chunk,
    values: &ArrayViewD<'_, f64>,
    allowed: impl Fn(f64) -> bool,
) -> Result<()> {
    if values.iter().all(|&value| allowed(value)) {
        return Ok(());
    }
    Err(Error::NotFinite {
        op,
        what: format!("a value of chunk {:?}", chunk.index),
    })
}

//! Aggregators: what becomes of the chunks.

mod along;
mod concatenate;
mod coverage;
mod extremum;
mod group_sum;
mod histogram;
mod lanes;
mod mean;
mod ordered_sum;
mod quantiles;
mod top_k;

use ndarray::ArrayViewD;

use crate::{Chunk, ChunkGrid, Result};

pub use along::Along;
pub use concatenate::Concatenate;
pub use extremum::{ArgMax, Max, Min};
pub use group_sum::GroupSum;
pub use histogram::{Counts, Histogram};
pub use mean::Mean;
pub use quantiles::Quantiles;
pub use top_k::{Order, Ranking, TopK};

/// Takes the chunks of a result, each once, in any order, and makes something of them.
///
/// The outcome does not depend on the order of arrival, to the bit. The first two axes of a chunk are its rows and columns;
/// axes beyond them are whole.
pub trait Aggregator: Send {
    /// What is made of the chunks.
    type Output;

    /// Announces the grid; called once, before the first chunk.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) when the aggregator cannot work on such a grid.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()>;

    /// Takes one chunk.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the values are not shaped as the chunk,
    /// [`Error::Chunks`](crate::Error::Chunks) when the chunk came before.
    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()>;

    /// Takes over what another aggregator of the same grid has collected.
    ///
    /// # Errors
    /// [`Error::Chunks`](crate::Error::Chunks) when both hold the same chunk.
    fn merge(&mut self, other: Self) -> Result<()>
    where
        Self: Sized;

    /// A fresh aggregator of the same settings and grid, without chunks, that another thread may fill and that is merged in the end.
    ///
    /// It may be asked for at any time after [`begin`](Self::begin), whatever has been accepted since. `None`, which is the default
    /// and the answer before `begin`, says that all chunks are better given to one aggregator: one that holds much memory.
    fn fork(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// The outcome.
    ///
    /// # Errors
    /// [`Error::Chunks`](crate::Error::Chunks) when a chunk is missing.
    fn finish(self) -> Result<Self::Output>
    where
        Self: Sized;
}

//! Aggregators: how the chunks of a result are reduced.
//!
//! | aggregator | what comes out | memory | why the order of arrival does not matter |
//! |---|---|---|---|
//! | [`Concatenate`] | the whole result, trailing axes included | the whole result | each chunk has its place |
//! | [`TopK`] | the first `k` values along an axis, with indices | `k` values per lane | equal values are ranked by index |
//! | [`Min`], [`Max`], [`ArgMax`] | the first value along an axis, or its index | one value per lane | as `TopK` |
//! | [`Mean`] | the mean along an axis | one value per lane | chunks are summed apart, the sums added in grid order |
//! | [`GroupSum`] | the sums over groups of points along an axis | groups per lane | as `Mean` |
//! | [`Histogram`] | how many values are in each bin | bins per lane | counts are whole numbers |
//! | [`Quantiles`] | quantiles to a relative accuracy `α` | `< 1/α` per lane, sign and power of two | counts are whole numbers |
//! | tuples, `Vec` | what several make of the same chunks | the sum of theirs | each part's own reason |
//!
//! A *lane* is a point of the axis that is not reduced or, where nothing is kept apart, the whole
//! result. `Mean` and `GroupSum` also keep the sums of chunks that came before their turn: few when
//! chunks come nearly in the order of the grid, but in a [fork](Aggregator::fork) that was not
//! given the first chunks of a lane, all of them until it is merged.
//!
//! # A custom aggregator
//! The least effort is to change the chunks and hand them to one of these, which does the
//! bookkeeping and has the contract already:
//! ```
//! use influence_core::{Chunk, ChunkGrid, Result, aggregate::{Aggregator, Along, Mean}};
//! use ndarray::{Array1, ArrayViewD, array};
//!
//! /// The share of training points that help, for each test point.
//! struct Helpful(Mean);
//!
//! impl Aggregator for Helpful {
//!     type Output = Array1<f64>;
//!
//!     fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
//!         self.0.begin(grid)
//!     }
//!
//!     fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
//!         let helps = values.mapv(|value| f64::from(value > 0.0));
//!         self.0.accept(chunk, helps.view())
//!     }
//!
//!     fn merge(&mut self, other: Self) -> Result<()> {
//!         self.0.merge(other.0)
//!     }
//!
//!     fn fork(&self) -> Option<Self> {
//!         self.0.fork().map(Self)
//!     }
//!
//!     fn finish(self) -> Result<Array1<f64>> {
//!         self.0.finish()
//!     }
//! }
//!
//! let grid = ChunkGrid::new([2, 3], [2, 2])?;
//! let mut helpful = Helpful(Mean::along(Along::Train));
//! helpful.begin(&grid)?;
//! helpful.accept(&grid.chunk([0, 1]), array![[-3.0], [1.0]].view().into_dyn())?;
//! helpful.accept(&grid.chunk([0, 0]), array![[0.5, 0.0], [7.0, 0.1]].view().into_dyn())?;
//! assert_eq!(helpful.finish()?, array![1.0 / 3.0, 1.0]);
//! # Ok::<(), influence_core::Error>(())
//! ```
//! One that does its own bookkeeping refuses chunks that come twice or are missing, and its result
//! does not depend on the order of arrival: it is made of whole numbers, a total order, or sums in
//! an order that the grid fixes. The suite `testing::aggregator` checks this.

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
mod several;
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
/// The outcome does not depend on the order of arrival, to the bit. The first two axes of a chunk
/// are its rows and columns; axes beyond them are whole.
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

    /// A fresh aggregator of the same settings and grid, without chunks, that another thread may
    /// fill and that is merged in the end.
    ///
    /// It may be asked for at any time after [`begin`](Self::begin), whatever has been accepted
    /// since. `None`, which is the default and the answer before `begin`, says that all chunks are
    /// better given to one aggregator: one that holds much memory.
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

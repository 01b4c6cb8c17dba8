use std::fmt::{self, Debug};

use influence_core::{ChunkGrid, aggregate::Aggregator};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde_json::{Map, Value};

use super::{
    matrix::{StoredMatrix, rows_not_finite},
    open::open,
};
use crate::{
    Error, Result,
    sink::{Aggregate, Sink},
    zarr::{
        format::OWN,
        layout::{ArrayLayout, INFLUENCES, SELF_INFLUENCES},
        place::{Location, OpenGroup},
    },
};

/// Influences `(k, n)` in a Zarr output, or self-influences `(n)` as a matrix of one column:
/// reduced again by any aggregator, without model and data.
///
/// Axes of scores are kept.
///
/// # Examples
/// ```
#[doc = include_str!("../../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential, StoredInfluences, ZarrOptions};
/// use influence_core::aggregate::{Along, Order, TopK};
///
/// let folder = std::env::temp_dir().join(format!("influence-stored-{}", std::process::id()));
/// let calculator = Sequential::new(model);
/// calculator.influences(&test, &train).to_zarr(&folder, &ZarrOptions::default())?;
///
/// let top = TopK::new(2, Order::Largest, Along::Train);
/// let stored = StoredInfluences::open(&folder)?.compute(top.clone())?;
/// assert_eq!(stored, calculator.influences(&test, &train).compute(top)?);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StoredInfluences {
    matrix: StoredMatrix,
    group: OpenGroup,
    layout: ArrayLayout,
    attributes: Map<String, Value>,
}

impl Debug for StoredInfluences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredInfluences")
            .field("place", &self.group.name)
            .field("shape", &self.matrix.shape())
            .finish_non_exhaustive()
    }
}

impl StoredInfluences {
    /// Opens the array `influences` or `self_influences` of an output, also of a run that did not
    /// finish.
    ///
    /// # Errors
    /// [`Error::NotZarr`](crate::Error::NotZarr) when the place does not hold one written by this
    /// crate, [`Error::Store`](crate::Error::Store) when it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let group = location.into().open()?;
        let kinds = [INFLUENCES, SELF_INFLUENCES];
        let (layout, attributes, matrix) =
            open(&group, &kinds, "influences written by this library")?;
        Ok(Self {
            matrix,
            group,
            layout,
            attributes,
        })
    }

    /// The attributes of the output: the caller's, and under `influence` this crate's own.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// Whether all chunks were written.
    pub fn is_complete(&self) -> bool {
        self.attributes[OWN]["complete"] == true
    }

    /// The name of the array: `influences` or `self_influences`.
    pub fn array(&self) -> &'static str {
        self.layout.name
    }

    /// The shape of the array, axes of single scores last.
    pub fn shape(&self) -> Vec<usize> {
        self.matrix.shape()
    }

    /// How test rows and train rows are cut into chunks; self-influences have one column.
    pub fn grid(&self) -> &ChunkGrid {
        self.matrix.grid()
    }

    /// Reads every chunk once and gives it to `aggregator`, on the threads of rayon's pool: that of
    /// the caller, if the calling thread belongs to one, else the one of the process, whose size
    /// [`share_threads`](crate::share_threads) sets.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) when the run did not write all chunks,
    /// [`Error::NotFinite`] when a number is not finite, so that nothing can be made of it,
    /// [`Error::Store`](crate::Error::Store) when a chunk cannot be read or fails its checksum, and
    /// whatever the aggregator reports.
    pub fn compute<A: Aggregator>(&self, aggregator: A) -> Result<A::Output> {
        let sink = Aggregate::new(aggregator, self.grid())?;
        let [down, across] = self.grid().counts();
        (0..down * across)
            .into_par_iter()
            .try_for_each(|position| {
                let chunk = self.grid().chunk([position / across, position % across]);
                let values = self.matrix.whole(chunk.index)?;
                let rows = rows_not_finite(&self.matrix, chunk.index, &values);
                if rows.is_empty() {
                    // Aggregators reduce matrices, and a column is one.
                    return sink.deliver(&chunk, self.matrix.as_matrix(values).view());
                }
                Err(Error::NotFinite {
                    path: self.group.name.clone(),
                    rows,
                })
            })?;
        sink.finish()
    }
}

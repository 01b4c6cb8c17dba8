use std::fmt::{self, Debug};

use influence_core::{ChunkGrid, aggregate::Aggregator};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde_json::{Map, Value};

use super::{Kind, Location, OWN, Place, matrix::Matrix, stored::open, verify::rows_not_finite};
use crate::{
    Error, Result,
    sink::{Aggregate, Sink},
};

/// Influences `(k, n)` in a Zarr output, or self-influences `(n)` as a matrix of one column: reduced again by any aggregator, without
/// model and data.
///
/// Scores that have axes of their own have them here too.
///
/// # Examples
/// ```
#[doc = include_str!("../../doc/setup.rs")]
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
    matrix: Matrix,
    place: Place,
    kind: Kind,
    attributes: Map<String, Value>,
}

impl Debug for StoredInfluences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredInfluences")
            .field("place", &self.place.name)
            .field("shape", &self.matrix.shape())
            .finish_non_exhaustive()
    }
}

impl StoredInfluences {
    /// Opens the array `influences` or `self_influences` of an output, also of a run that did not finish.
    ///
    /// # Errors
    /// [`Error::NotZarr`](crate::Error::NotZarr) when the place does not hold one written by this crate,
    /// [`Error::Store`](crate::Error::Store) when it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let place = location.into().open()?;
        let kinds = [Kind::Influences, Kind::SelfInfluences];
        let (kind, attributes, matrix) =
            open(&place, &kinds, "influences written by this library")?;
        Ok(Self {
            matrix,
            place,
            kind,
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
        self.kind.array()
    }

    /// The shape of the array, axes of single scores last.
    pub fn shape(&self) -> Vec<usize> {
        self.matrix.shape()
    }

    /// How test rows and train rows are cut into chunks; self-influences have one column.
    pub fn grid(&self) -> &ChunkGrid {
        self.matrix.grid()
    }

    /// Reads every chunk once, on all cores, and gives it to `aggregator`.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) when the run did not write all chunks,
    /// [`Error::NotFinite`] when a number is not finite, of which nothing can be made, [`Error::Store`](crate::Error::Store) when one cannot be read or fails its checksum, and whatever the aggregator reports.
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
                    return sink.deliver(&chunk, values.view());
                }
                Err(Error::NotFinite {
                    path: self.place.name.clone(),
                    rows,
                })
            })?;
        sink.finish()
    }
}

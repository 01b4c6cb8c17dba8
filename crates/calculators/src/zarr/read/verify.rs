use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use influence_core::{Chunk, ChunkGrid};
use ndarray::ArrayViewD;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{
    matrix::{StoredChunk, StoredMatrix, rows_not_finite},
    open::open,
};
use crate::{
    Error, Result,
    sink::{Sink, lock},
    zarr::{
        format::OWN,
        layout::{INFLUENCES, KINDS, ReportArrays},
        place::Location,
    },
};

/// The state of the chunks of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many chunks there should be.
    pub chunks: usize,
    /// Where a chunk is missing.
    pub missing: Vec<[usize; 2]>,
    /// Where a chunk fails its checksum.
    pub damaged: Vec<[usize; 2]>,
    /// Rows of chunks of which the reports on how they were solved are missing or damaged.
    pub without_reports: Vec<usize>,
    /// Rows, test points of influences and of factors, with numbers that are not finite; the run
    /// was told to accept them, or is an old one.
    pub not_finite: Vec<usize>,
    /// Whether the run that wrote it came to its end.
    pub complete: bool,
}

impl Verification {
    /// Whether everything is there, undamaged. If not, the run that wrote it can be resumed.
    /// Numbers that are not finite are no damage: the run computed them.
    pub fn is_sound(&self) -> bool {
        let faultless = self.missing.is_empty() && self.damaged.is_empty();
        self.complete && faultless && self.without_reports.is_empty()
    }
}

/// Reads every chunk of an output of this crate and checks it against its checksum, on the threads
/// of rayon's pool: the caller's, if the calling thread belongs to one, else that of the process,
/// whose size [`share_threads`](crate::share_threads) sets.
///
/// # Errors
/// [`Error::NotZarr`] when there is no such output, [`Error::Store`] when it cannot be read.
pub fn verify(location: impl Into<Location>) -> Result<Verification> {
    let group = location.into().open()?;
    let (_, attributes, matrix) = open(&group, &KINDS, "an output of this library")?;
    let [down, across] = matrix.grid().counts();
    let not_finite = Mutex::new(BTreeSet::new());
    let faults: Vec<([usize; 2], bool)> = (0..down * across)
        .into_par_iter()
        .filter_map(|position| {
            let index = [position / across, position % across];
            match matrix.chunk(index) {
                Ok(StoredChunk::There(values)) => {
                    lock(&not_finite).extend(rows_not_finite(&matrix, index, &values));
                    None
                }
                Ok(StoredChunk::Missing) => Some(Ok((index, false))),
                Ok(StoredChunk::Damaged(_)) => Some(Ok((index, true))),
                Err(error) => Some(Err(error)),
            }
        })
        .collect::<Result<_>>()?;
    let of = |damaged: bool| {
        let faults = faults.iter().filter(|fault| fault.1 == damaged);
        faults.map(|fault| fault.0).collect()
    };
    let reports = ReportArrays::open(&group, matrix.grid())
        .map_err(|source| Error::store(&group.name, "open the reports", source))?;
    let lacks = |row: &usize| reports.as_ref().is_some_and(|reports| !reports.has(*row));
    Ok(Verification {
        chunks: down * across,
        missing: of(false),
        damaged: of(true),
        without_reports: (0..down).filter(lacks).collect(),
        not_finite: lock(&not_finite).iter().copied().collect(),
        complete: attributes[OWN]["complete"] == true,
    })
}

/// How chunks that were computed again compare with those stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// The chunks compared.
    pub chunks: Vec<[usize; 2]>,
    /// How many numbers differ in any bit.
    pub differing: usize,
    /// The largest difference.
    pub largest_difference: f64,
    /// The largest magnitude stored.
    pub largest_value: f64,
}

/// Some chunks of stored influences, against which the same chunks are held.
pub(crate) struct Sample {
    matrix: StoredMatrix,
    wanted: BTreeSet<[usize; 2]>,
    outcome: Mutex<Comparison>,
}

impl Sample {
    /// Draws this many chunks among those that are there.
    pub(crate) fn draw(location: &Location, chunks: usize) -> Result<Self> {
        let expected = "influences written by this library";
        let (_, _, matrix) = open(&location.open()?, &[INFLUENCES], expected)?;
        // Sorting by keyed hashes shuffles, without a generator of random numbers.
        let random = RandomState::new();
        let mut all: Vec<[usize; 2]> = matrix.grid().chunks().map(|chunk| chunk.index).collect();
        all.sort_by_cached_key(|index| random.hash_one(index));
        let mut wanted = BTreeSet::new();
        for index in all {
            if wanted.len() == chunks {
                break;
            }
            if matches!(matrix.chunk(index)?, StoredChunk::There(_)) {
                wanted.insert(index);
            }
        }
        Ok(Self {
            matrix,
            wanted,
            outcome: Mutex::default(),
        })
    }

    pub(crate) fn matrix(&self) -> &StoredMatrix {
        &self.matrix
    }

    pub(crate) fn into_comparison(self) -> Comparison {
        let outcome = self.outcome.into_inner();
        Comparison {
            chunks: self.wanted.into_iter().collect(),
            ..outcome.unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl Sink for Sample {
    fn has(&self, index: [usize; 2]) -> bool {
        !self.wanted.contains(&index)
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        let StoredChunk::There(stored) = self.matrix.chunk(chunk.index)? else {
            return Err(self.matrix.missing(chunk.index));
        };
        let mut outcome = lock(&self.outcome);
        for (stored, &value) in stored.iter().zip(values) {
            let value = self.matrix.as_stored(value);
            if stored.to_bits() != value.to_bits() {
                outcome.differing += 1;
                let difference = (stored - value).abs();
                // Not `f64::max`, which would hide NaN.
                if difference.total_cmp(&outcome.largest_difference).is_gt() {
                    outcome.largest_difference = difference;
                }
            }
            outcome.largest_value = outcome.largest_value.max(stored.abs());
        }
        Ok(())
    }
}

/// Refuses to compare with an output of another shape or in other chunks, on which the bits depend.
pub(crate) fn check_grid(location: &Location, stored: &ChunkGrid, given: &ChunkGrid) -> Result<()> {
    let differences = [
        ("influence.shape", stored.shape(), given.shape()),
        (
            "influence.chunks",
            stored.chunk_shape(),
            given.chunk_shape(),
        ),
    ];
    match differences
        .iter()
        .find(|(_, stored, given)| stored != given)
    {
        None => Ok(()),
        Some((setting, stored, given)) => Err(Error::Differs {
            path: location.to_string(),
            setting: (*setting).to_owned(),
            stored: format!("{stored:?}"),
            given: format!("{given:?}"),
        }),
    }
}

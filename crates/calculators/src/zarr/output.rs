//! Writing an output, in three steps: declare, attach, seal.
//!
//! ```text
//! Claim::new        the place is looked at and locked; nothing is written but the lock
//! Output::declare   shape, chunks, coordinates, attributes: everything but the numbers
//! Output::attach    which chunks are there already, undamaged; they are not computed again
//!   deliver, ...    chunks, whole, in any order, from any thread
//! Output::seal      the summary of the solver, `complete`, consolidated metadata
//! ```
//!
//! *State.* There is no journal. A chunk that exists and passes its checksum is finished, one that
//! is missing or damaged is computed again, and to compute one twice does no harm, since the grid
//! fixes its bits. This rests on values that appear whole or not at all
//! ([`DurableStore`](super::DurableStore)) and on chunks that are written whole: the part beyond
//! the edge of the matrix is filled with NaN, so that no write reads the bytes of another.
//!
//! *After a kill.* During `declare` the mark `declared: false` is in the attributes, so that a
//! half-erased or half-declared output is recognised and declared again. Afterwards the attributes
//! are those of the output; a run with other ones is refused, with the first difference named.
//! Reports of the solver are written before the chunks of their rows, and a chunk counts only
//! together with them: rows stored without a report are solved again.
//!
//! *Why consolidated metadata come last.* They are one copy of all metadata that readers prefer. As
//! long as they are absent, no reader can hold a copy that is out of date.
//!
//! *Several processes, one output.* Declaring writes the same bytes whenever it is repeated,
//! attaching writes nothing, and sealing writes only the metadata of the group: so the steps can be
//! taken apart. One process declares; any number *join*, each with its share of the chunks, and
//! neither erase, sweep, declare nor seal; one resumes, which computes what is missing, and seals.
//! Those that join share the lock, the first and the last have it alone. No more is needed: the
//! bytes of a chunk depend on nothing but its position, so that twins and late workers do no harm.

mod claim;
mod declaration;
mod options;
mod scratch;

use std::ops::Range;

use influence_core::{Chunk, Precision, solver::Report};
use ndarray::{ArrayD, ArrayViewD, Axis};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde_json::{Map, Value, json};
use zarrs::array::{Element, ZARR_NAN_F32, ZARR_NAN_F64};

use super::{
    durable::sweep,
    format::OWN,
    layout::{
        ReportArrays, SCRATCH, codec_options, create_group, erase, erase_node, is_node, store_group,
    },
    place::{Lock, OpenGroup},
    read::{StoredChunk, StoredMatrix, rows_not_finite},
};
use crate::{Error, Result, SolveSummary, error::BoxError, sink::Sink};
use declaration::Arrays;

pub use claim::Claim;
pub(super) use claim::check_same;
pub(crate) use declaration::Declaration;
pub use options::{Compression, ZarrOptions};
pub(crate) use scratch::Scratch;

/// A group that is being written.
pub(crate) struct Output {
    group: OpenGroup,
    declaration: Declaration,
    arrays: Arrays,
    matrix: StoredMatrix,
    attributes: Map<String, Value>,
    /// Whether it resumes or joins an earlier run.
    resumes: bool,
    /// Whether it is written together with other runs.
    joins: bool,
    /// Which chunks of those to attach an earlier run has written, row by row.
    finished: Vec<bool>,
    /// Held until the output is complete or given up.
    _lock: Option<Lock>,
}

impl Output {
    /// Declares the output: everything but the numbers. Of one that is resumed or joined, what is
    /// declared must be the same; one that is joined is opened as it is.
    pub(crate) fn declare(
        claim: Claim,
        declaration: Declaration,
        options: &ZarrOptions,
    ) -> Result<Self> {
        let codecs = options.codecs()?;
        declaration.check_labels(options)?;
        let Claim {
            group,
            earlier,
            lock,
            joins,
            is_vacant,
        } = claim;
        let attributes = declaration.attributes(options);
        let failed = |source| Error::store(&group.name, "declare the output", source);
        if let Some(earlier) = &earlier {
            check_same(&group.name, earlier, &attributes, options.remarks())?;
        }
        let arrays = if joins {
            Arrays::open(&group, &declaration).map_err(failed)?
        } else {
            if earlier.is_none() {
                mark(&group, &attributes, is_vacant)?;
            }
            sweep_folder(&group).map_err(failed)?;
            declaration
                .arrays(&group, options, &codecs)
                .map_err(failed)?
        };
        if earlier.is_none() {
            store_group(&group, &attributes, None).map_err(failed)?;
        }
        Ok(Self {
            matrix: StoredMatrix::open(&group, declaration.layout)?,
            group,
            declaration,
            arrays,
            attributes,
            resumes: earlier.is_some(),
            joins,
            finished: Vec::new(),
            _lock: lock,
        })
    }

    /// Finds the chunks that are there already, of a part of the grid, which are then not computed
    /// again; they go `beside` too.
    pub(crate) fn attach(&mut self, beside: &dyn Sink, part: &[Range<usize>; 2]) -> Result<()> {
        if self.resumes {
            self.finished = self.survey(beside, part)?;
        }
        tracing::info!(
            place = self.group.name,
            finished = self.finished(),
            chunks = part.iter().map(ExactSizeIterator::len).product::<usize>(),
            "output open"
        );
        Ok(())
    }

    /// Which chunks are there and undamaged, of rows on which there are reports.
    fn survey(&self, beside: &dyn Sink, [rows, columns]: &[Range<usize>; 2]) -> Result<Vec<bool>> {
        let [down, across] = self.declaration.grid.counts();
        let reported: Vec<bool> = (0..down)
            .into_par_iter()
            .map(|row| rows.contains(&row) && self.is_reported(row))
            .collect();
        // Reading and checking is bound by decompression, so every chunk is read by any thread.
        (0..down * across)
            .into_par_iter()
            .map(|position| {
                let index = [position / across, position % across];
                if !reported[index[0]] || !columns.contains(&index[1]) {
                    return Ok(false);
                }
                let StoredChunk::There(values) = self.matrix.chunk(index)? else {
                    return Ok(false);
                };
                let chunk = self.declaration.grid.chunk(index);
                // Of two shares that write the report of a row at once, one may undo the mark of
                // the other.
                if !self.joins {
                    self.spoilt(&rows_not_finite(&self.matrix, index, &values))?;
                }
                beside.deliver(&chunk, values.view())?;
                Ok(true)
            })
            .collect()
    }

    /// Whether the reports on a row of chunks are complete.
    fn is_reported(&self, row: usize) -> bool {
        let reports = self.arrays.reports.as_ref();
        reports.is_none_or(|reports| reports.has(row))
    }

    /// How many chunks an earlier run has written.
    pub(crate) fn finished(&self) -> usize {
        self.finished.iter().filter(|finished| **finished).count()
    }

    /// Whether it is written together with other runs.
    pub(crate) fn joins(&self) -> bool {
        self.joins
    }

    /// The group that is written.
    fn group(&self) -> &OpenGroup {
        &self.group
    }

    /// Seals the output: all chunks are there. Gives how all rows were solved, those of earlier
    /// runs included.
    ///
    /// An output that is joined is left as it is, and the rows are those solved so far, in any
    /// share.
    pub(crate) fn seal(mut self) -> Result<SolveSummary> {
        let failed = |source| Error::store(&self.group.name, "finish the output", source);
        let summary = self.arrays.reports.as_ref().map(ReportArrays::summary);
        let summary = summary.transpose().map_err(failed)?.unwrap_or_default();
        if self.joins {
            return Ok(summary);
        }
        erase_node(&self.group, SCRATCH).map_err(failed)?;
        let own = &mut self.attributes[OWN];
        own["complete"] = true.into();
        if !summary.rows_by_status().is_empty() {
            own["solver"] = json!({ "rows": summary.rows_by_status(), "worst_residual": summary.worst_residual() });
        }
        store_group(&self.group, &self.attributes, Some(self.arrays.metadata())).map_err(failed)?;
        tracing::info!(place = self.group.name, "output complete");
        Ok(summary)
    }

    fn store<T: Element>(&self, chunk: &Chunk, padded: &ArrayD<T>) -> Result<()> {
        let index = chunk.index.map(|index| index as u64);
        let dimensions = self.declaration.layout.dimensions.len();
        let axes = vec![0; self.declaration.axes.len()];
        let index = [&index[..dimensions], &axes].concat();
        self.arrays
            .values
            .store_chunk_opt(&index, padded, &codec_options())
            .map_err(|source| Error::store(&self.group.name, "write a chunk", source))
    }

    fn write(&self, chunk: &Chunk, values: &ArrayViewD<'_, f64>) -> Result<()> {
        let grid = self.declaration.grid.chunk_shape();
        let shape: Vec<usize> = self.declaration.sides(grid).collect();
        match self.declaration.precision {
            Precision::F32 => self.store(chunk, &padded(&shape, values, ZARR_NAN_F32, single)),
            Precision::F64 => {
                self.store(chunk, &padded(&shape, values, ZARR_NAN_F64, |value| value))
            }
        }
    }
}

impl Sink for Output {
    fn has(&self, index: [usize; 2]) -> bool {
        let across = self.declaration.grid.counts()[1];
        self.finished.get(index[0] * across + index[1]) == Some(&true)
    }

    fn solved(&self, rows: &Range<usize>, reports: &[Report]) -> Result<()> {
        let row = rows.start / self.declaration.grid.chunk_shape()[0];
        match &self.arrays.reports {
            None => Ok(()),
            Some(arrays) => arrays
                .write(row, reports)
                .map_err(|source| Error::store(&self.group.name, "write reports", source)),
        }
    }

    fn spoilt(&self, rows: &[usize]) -> Result<()> {
        match &self.arrays.reports {
            None => Ok(()),
            Some(arrays) => arrays
                .mark_spoilt(rows)
                .map_err(|source| Error::store(&self.group.name, "write reports", source)),
        }
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.write(chunk, &values)
    }
}

/// Marks a place as that of an output to be declared, and leaves nothing else there.
fn mark(group: &OpenGroup, attributes: &Map<String, Value>, is_vacant: bool) -> Result<()> {
    let failed = |source| Error::store(&group.name, "declare the output", source);
    // The mark comes first, so that an output that is half erased or half declared is recognised.
    let mut mark = attributes.clone();
    mark[OWN]["declared"] = false.into();
    if is_vacant {
        // Where nothing is locked, of two runs that found nothing only one begins.
        if !create_group(group, &mark).map_err(failed)? {
            return Err(Error::Locked {
                path: group.name.clone(),
            });
        }
    } else {
        store_group(group, &mark, None).map_err(failed)?;
    }
    erase(group).map_err(failed)
}

/// Removes what killed writers left behind in a folder that no other run writes to.
fn sweep_folder(group: &OpenGroup) -> Result<(), BoxError> {
    let Some(folder) = &group.folder else {
        return Ok(());
    };
    // Other folders may be other outputs, which other runs are writing.
    Ok(sweep(folder, &is_node)?)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the model computed in this precision"
)]
fn single(value: f64) -> f32 {
    value as f32
}

/// A whole chunk with the values in its first corner.
fn padded<T: Copy>(
    shape: &[usize],
    values: &ArrayViewD<'_, f64>,
    fill: T,
    convert: impl Fn(f64) -> T,
) -> ArrayD<T> {
    // Whole chunks only: to write a part, the rest would have to be read first.
    let mut whole = ArrayD::from_elem(shape, fill);
    let mut corner = whole.view_mut();
    for (axis, &length) in values.shape().iter().enumerate() {
        corner.slice_axis_inplace(Axis(axis), (0..length).into());
    }
    corner.zip_mut_with(values, |place, &value| *place = convert(value));
    whole
}

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
//! Declaring writes the same bytes whenever it is repeated, attaching writes nothing, and sealing
//! writes only the metadata of the group: so the steps can be taken apart once several processes
//! write one output.

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
    layout::{ReportArrays, SCRATCH, codec_options, erase, erase_node, is_node, store_group},
    place::{Lock, OpenGroup},
    read::{StoredChunk, StoredMatrix},
};
use crate::{Error, Result, SolveSummary, sink::Sink};
use claim::check_same;
use declaration::Arrays;

pub use claim::Claim;
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
    /// Whether it resumes an earlier run.
    resumes: bool,
    /// Which chunks an earlier run has written, row by row.
    finished: Vec<bool>,
    /// Held until the output is complete or given up.
    _lock: Option<Lock>,
}

impl Output {
    /// Declares the output: everything but the numbers. Of one that is resumed, what is declared
    /// must be the same.
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
        } = claim;
        let attributes = declaration.attributes(options);
        let failed = |source| Error::store(&group.name, "declare the output", source);
        clear(&group, earlier.as_ref(), &attributes, options)?;
        let arrays = declaration
            .arrays(&group, options, &codecs)
            .map_err(failed)?;
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
            finished: Vec::new(),
            _lock: lock,
        })
    }

    /// Finds the chunks that are there already, which are then not computed again; they go `beside`
    /// too.
    pub(crate) fn attach(&mut self, beside: &dyn Sink) -> Result<()> {
        if self.resumes {
            self.finished = self.survey(beside)?;
        }
        tracing::info!(
            place = self.group.name,
            finished = self.finished(),
            chunks = self.declaration.grid.len(),
            "output open"
        );
        Ok(())
    }

    /// Which chunks are there and undamaged, of rows on which there are reports.
    fn survey(&self, beside: &dyn Sink) -> Result<Vec<bool>> {
        let [down, across] = self.declaration.grid.counts();
        let reported: Vec<bool> = (0..down)
            .into_par_iter()
            .map(|row| self.is_reported(row))
            .collect();
        // Reading and checking is bound by decompression, so every chunk is read by any thread.
        (0..down * across)
            .into_par_iter()
            .map(|position| {
                let index = [position / across, position % across];
                if !reported[index[0]] {
                    return Ok(false);
                }
                let StoredChunk::There(values) = self.matrix.chunk(index)? else {
                    return Ok(false);
                };
                let chunk = self.declaration.grid.chunk(index);
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

    /// The group that is written.
    fn group(&self) -> &OpenGroup {
        &self.group
    }

    /// Seals the output: all chunks are there. Gives how all rows were solved, those of earlier
    /// runs included.
    pub(crate) fn seal(mut self) -> Result<SolveSummary> {
        let failed = |source| Error::store(&self.group.name, "finish the output", source);
        erase_node(&self.group, SCRATCH).map_err(failed)?;
        let summary = self.arrays.reports.as_ref().map(ReportArrays::summary);
        let summary = summary.transpose().map_err(failed)?.unwrap_or_default();
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

/// Leaves nothing in a place but an output with the same attributes, if there is one: `earlier`.
fn clear(
    group: &OpenGroup,
    earlier: Option<&Map<String, Value>>,
    attributes: &Map<String, Value>,
    options: &ZarrOptions,
) -> Result<()> {
    let failed = |source| Error::store(&group.name, "declare the output", source);
    if let Some(earlier) = earlier {
        check_same(&group.name, earlier, attributes, options.remarks())?;
    } else {
        // The mark comes first, so that an output that is half erased or half declared is
        // recognised.
        let mut mark = attributes.clone();
        mark[OWN]["declared"] = false.into();
        store_group(group, &mark, None).map_err(failed)?;
        erase(group).map_err(failed)?;
    }
    let Some(folder) = &group.folder else {
        return Ok(());
    };
    // Other folders may be other outputs, which other runs are writing.
    sweep(folder, &is_node).map_err(|source| failed(source.into()))
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

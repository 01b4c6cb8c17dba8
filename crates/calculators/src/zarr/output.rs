use std::ops::Range;

use influence_core::{Chunk, Precision, solver::Report};
use ndarray::{ArrayD, ArrayViewD, Axis};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde_json::{Map, Value, json};
use zarrs::array::{Element, ZARR_NAN_F32, ZARR_NAN_F64};

use super::{
    Claim, Kind, OWN, Place, ZarrOptions,
    claim::check_same,
    declare::{Arrays, Declaration, NODES, SCRATCH, codec_options, erase, erase_node, store_group},
    durable::sweep,
    lock::Lock,
    matrix::{Chunked, Matrix},
    reports::ReportArrays,
};
use crate::{Error, Result, SolveSummary, sink::Sink};

/// A group that is being written.
pub(crate) struct Output {
    place: Place,
    declaration: Declaration,
    arrays: Arrays,
    matrix: Matrix,
    attributes: Map<String, Value>,
    /// Which chunks an earlier run has written, row by row.
    finished: Vec<bool>,
    /// Held until the output is complete or given up.
    _lock: Option<Lock>,
}

impl Output {
    /// Declares the output, everything but the numbers, or goes on with one that was made in the same way, whose chunks go `beside` too.
    pub(crate) fn open(
        claim: Claim,
        declaration: Declaration,
        options: &ZarrOptions,
        beside: &dyn Sink,
    ) -> Result<Self> {
        let codecs = options.codecs()?;
        declaration.check_labels(options)?;
        let Claim {
            place,
            earlier,
            lock,
        } = claim;
        let attributes = declaration.attributes(options);
        let failed = |source| Error::store(&place.name, "declare the output", source);
        clear(&place, earlier.as_ref(), &attributes, options)?;
        let arrays = declaration
            .arrays(&place, options, &codecs)
            .map_err(failed)?;
        if earlier.is_none() {
            store_group(&place, &attributes, None).map_err(failed)?;
        }
        let matrix = Matrix::open(&place, declaration.kind)?;
        let mut output = Self {
            place,
            declaration,
            arrays,
            matrix,
            attributes,
            finished: Vec::new(),
            _lock: lock,
        };
        if earlier.is_some() {
            output.finished = output.survey(beside)?;
        }
        tracing::info!(
            place = output.place.name,
            finished = output.finished(),
            chunks = output.declaration.grid.len(),
            "output open"
        );
        Ok(output)
    }

    /// Which chunks are there and undamaged, of rows on which there are reports.
    fn survey(&self, beside: &dyn Sink) -> Result<Vec<bool>> {
        let [down, across] = self.declaration.grid.counts();
        let reported: Vec<bool> = (0..down)
            .into_par_iter()
            .map(|row| self.is_reported(row))
            .collect();
        (0..down * across)
            .into_par_iter()
            .map(|position| {
                let index = [position / across, position % across];
                if !reported[index[0]] {
                    return Ok(false);
                }
                let Chunked::There(values) = self.matrix.chunk(index)? else {
                    return Ok(false);
                };
                let chunk = self.declaration.grid.chunk(index);
                beside.deliver(&chunk, values.view())?;
                Ok(true)
            })
            .collect()
    }

    /// Whether nothing is missing of what is to be known about how a row of chunks was solved.
    pub(super) fn is_reported(&self, row: usize) -> bool {
        let reports = self.arrays.reports.as_ref();
        reports.is_none_or(|reports| reports.has(row))
    }

    /// How many chunks an earlier run has written.
    pub(crate) fn finished(&self) -> usize {
        self.finished.iter().filter(|finished| **finished).count()
    }

    /// The group for what is kept while this output is computed.
    pub(super) fn scratch(&self) -> Place {
        self.place.within(SCRATCH)
    }

    /// Says that all chunks are there; how all rows were solved, those of earlier runs included.
    pub(crate) fn finish(mut self) -> Result<SolveSummary> {
        let failed = |source| Error::store(&self.place.name, "finish the output", source);
        erase_node(&self.place, SCRATCH).map_err(failed)?;
        let summary = self.arrays.reports.as_ref().map(ReportArrays::summary);
        let summary = summary.transpose().map_err(failed)?.unwrap_or_default();
        let own = &mut self.attributes[OWN];
        own["complete"] = true.into();
        if !summary.rows_by_status().is_empty() {
            own["solver"] = json!({ "rows": summary.rows_by_status(), "worst_residual": summary.worst_residual() });
        }
        store_group(&self.place, &self.attributes, Some(self.arrays.metadata())).map_err(failed)?;
        tracing::info!(place = self.place.name, "output complete");
        Ok(summary)
    }

    fn store<T: Element>(&self, chunk: &Chunk, padded: &ArrayD<T>) -> Result<()> {
        let index = chunk.index.map(|index| index as u64);
        let dimensions = self.declaration.kind.dimensions().len();
        let axes = vec![0; self.declaration.axes.len()];
        let index = [&index[..dimensions], &axes].concat();
        self.arrays
            .values
            .store_chunk_opt(&index, padded, &codec_options())
            .map_err(|source| Error::store(&self.place.name, "write a chunk", source))
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
                .map_err(|source| Error::store(&self.place.name, "write reports", source)),
        }
    }

    fn spoilt(&self, rows: &[usize]) -> Result<()> {
        match &self.arrays.reports {
            None => Ok(()),
            Some(arrays) => arrays
                .mark_spoilt(rows)
                .map_err(|source| Error::store(&self.place.name, "write reports", source)),
        }
    }

    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        match self.declaration.kind {
            Kind::SelfInfluences => self.write(chunk, &values.index_axis(Axis(1), 0)),
            Kind::Influences | Kind::Factors => self.write(chunk, &values),
        }
    }
}

/// Leaves nothing in a place but an output with the same attributes, if there is one: `earlier`.
fn clear(
    place: &Place,
    earlier: Option<&Map<String, Value>>,
    attributes: &Map<String, Value>,
    options: &ZarrOptions,
) -> Result<()> {
    let failed = |source| Error::store(&place.name, "declare the output", source);
    if let Some(earlier) = earlier {
        check_same(&place.name, earlier, attributes, options.remarks())?;
    } else {
        // The mark comes first: an output that is only half erased or declared is known for what it is.
        let mut mark = attributes.clone();
        mark[OWN]["declared"] = false.into();
        store_group(place, &mark, None).map_err(failed)?;
        erase(place).map_err(failed)?;
    }
    let Some(folder) = &place.folder else {
        return Ok(());
    };
    // Other folders may be outputs of their own, which other runs are writing.
    sweep(folder, &|name| NODES.contains(&name)).map_err(|source| failed(source.into()))
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
    let mut whole = ArrayD::from_elem(shape, fill);
    let mut corner = whole.view_mut();
    for (axis, &length) in values.shape().iter().enumerate() {
        corner.slice_axis_inplace(Axis(axis), (0..length).into());
    }
    corner.zip_mut_with(values, |place, &value| *place = convert(value));
    whole
}

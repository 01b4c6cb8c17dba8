//! How test rows were solved, kept beside their numbers: a run that is resumed knows the rows of
//! earlier runs.

use std::sync::Mutex;

use influence_core::{
    ChunkGrid,
    solver::{Report, Status},
};
use serde_json::{Map, Value, json};
use zarrs::array::{Array, ArrayCreateError, ZARR_NAN_F64, data_type};

use super::{
    array::{Codecs, StoredArray, codec_options, declare_array},
    kinds::ArrayLayout,
};
use crate::{SolveSummary, error::BoxError, sink::lock, zarr::place::OpenGroup};

pub(super) const STATUS: &str = "solver_status";
pub(super) const RESIDUAL: &str = "solver_residual";
pub(super) const ITERATIONS: &str = "solver_iterations";

/// The values where no row was solved.
const NO_STATUS: u8 = u8::MAX;
const NO_COUNT: i64 = -1;
/// The status where numbers of a row are not finite.
const NOT_FINITE: u8 = Status::NotFinite.code();

/// Status, true relative residual and iterations of each test row, in chunks as its factors.
pub(crate) struct ReportArrays {
    status: StoredArray,
    residual: StoredArray,
    iterations: StoredArray,
    chunk: usize,
    /// Held while statuses are written, which may depend on those that are there.
    writing: Mutex<()>,
}

impl ReportArrays {
    pub(crate) fn declare(
        group: &OpenGroup,
        grid: &ChunkGrid,
        of: &ArrayLayout,
        codecs: Codecs<'_>,
    ) -> Result<Self, BoxError> {
        let chunk = grid.chunk_shape()[0];
        let [length, side] = [grid.shape()[0], chunk].map(|side| side as u64);
        let declare = |name, kind, attributes: Value| {
            let attributes = attributes.as_object().cloned().unwrap_or_else(Map::new);
            declare_array(
                group,
                name,
                (&[length], &[side]),
                kind,
                &of.dimensions[..1],
                attributes,
                codecs,
            )
        };
        // Flags of the climate and forecast conventions (CF), which xarray understands.
        let flags = json!({
            "flag_values": (0..Status::NAMES.len()).collect::<Vec<_>>(),
            "flag_meanings": Status::NAMES.join(" "),
        });
        let none = Value::Null;
        Ok(Self {
            status: declare(STATUS, (data_type::uint8(), NO_STATUS.into()), flags)?,
            residual: declare(
                RESIDUAL,
                (data_type::float64(), ZARR_NAN_F64.into()),
                none.clone(),
            )?,
            iterations: declare(ITERATIONS, (data_type::int64(), NO_COUNT.into()), none)?,
            chunk,
            writing: Mutex::default(),
        })
    }

    /// The reports of an output, if it has any.
    pub(crate) fn open(group: &OpenGroup, grid: &ChunkGrid) -> Result<Option<Self>, BoxError> {
        let open = |name| match Array::open(group.storage.clone(), &group.array(name)) {
            Ok(array) => Ok(Some(array)),
            Err(ArrayCreateError::MissingMetadata) => Ok(None),
            Err(error) => Err(BoxError::from(error)),
        };
        let (status, residual, iterations) = (open(STATUS)?, open(RESIDUAL)?, open(ITERATIONS)?);
        let chunk = grid.chunk_shape()[0];
        let all = status.zip(residual).zip(iterations);
        Ok(all.map(|((status, residual), iterations)| Self {
            status,
            residual,
            iterations,
            chunk,
            writing: Mutex::default(),
        }))
    }

    pub(crate) fn all(&self) -> [&StoredArray; 3] {
        [&self.status, &self.residual, &self.iterations]
    }

    /// Writes the reports on a row of chunks; rows known not to be finite stay so, as numbers made
    /// of them may be there already.
    pub(crate) fn write(&self, row: usize, reports: &[Report]) -> Result<(), BoxError> {
        let (at, options) = ([row as u64], codec_options());
        let statuses = reports.iter().map(|report| report.status.code());
        let residuals = reports.iter().map(|report| report.residual);
        let counts = reports
            .iter()
            .map(|report| i64::try_from(report.iterations))
            .collect::<Result<Vec<_>, _>>()?;
        // The last chunk is filled up like all others.
        let [status, residual, iterations] = self.all();
        let _writing = lock(&self.writing);
        let earlier = status
            .retrieve_chunk_if_exists_opt::<Vec<u8>>(&at, &options)
            .unwrap_or_default();
        let mut statuses = self.padded(statuses, NO_STATUS);
        for (now, earlier) in statuses.iter_mut().zip(earlier.unwrap_or_default()) {
            if earlier == NOT_FINITE {
                *now = NOT_FINITE;
            }
        }
        status.store_chunk_opt(&at, statuses, &options)?;
        residual.store_chunk_opt(&at, self.padded(residuals, f64::NAN), &options)?;
        iterations.store_chunk_opt(&at, self.padded(counts, NO_COUNT), &options)?;
        Ok(())
    }

    /// Gives rows that have been reported the status of those that are not finite.
    pub(crate) fn mark_spoilt(&self, rows: &[usize]) -> Result<(), BoxError> {
        let options = codec_options();
        let _writing = lock(&self.writing);
        for &row in rows {
            let at = [(row / self.chunk) as u64];
            let mut statuses: Vec<u8> = self.status.retrieve_chunk_opt(&at, &options)?;
            match statuses.get_mut(row % self.chunk) {
                Some(status) if *status != NOT_FINITE => *status = NOT_FINITE,
                _ => continue,
            }
            self.status.store_chunk_opt(&at, statuses, &options)?;
        }
        Ok(())
    }

    fn padded<T: Copy>(&self, values: impl IntoIterator<Item = T>, fill: T) -> Vec<T> {
        let values = values.into_iter().chain(std::iter::repeat(fill));
        values.take(self.chunk).collect()
    }

    /// Whether the reports on a row of chunks are there, undamaged.
    pub(crate) fn has(&self, row: usize) -> bool {
        let (at, options) = ([row as u64], codec_options());
        let status = self
            .status
            .retrieve_chunk_if_exists_opt::<Vec<u8>>(&at, &options);
        let residual = self
            .residual
            .retrieve_chunk_if_exists_opt::<Vec<f64>>(&at, &options);
        let iterations = self
            .iterations
            .retrieve_chunk_if_exists_opt::<Vec<i64>>(&at, &options);
        matches!(
            (status, residual, iterations),
            (Ok(Some(_)), Ok(Some(_)), Ok(Some(_)))
        )
    }

    /// The summary of the reports on all rows.
    pub(crate) fn summary(&self) -> Result<SolveSummary, BoxError> {
        let mut summary = SolveSummary::default();
        let rows = self.status.shape()[0].div_ceil(self.chunk as u64);
        for row in 0..rows {
            let (at, options) = ([row], codec_options());
            let status: Vec<u8> = self.status.retrieve_chunk_opt(&at, &options)?;
            let residual: Vec<f64> = self.residual.retrieve_chunk_opt(&at, &options)?;
            let solved = status.into_iter().zip(residual);
            solved
                .filter(|(status, _)| *status != NO_STATUS)
                .for_each(|(status, residual)| summary.add_row(status, residual));
        }
        Ok(summary)
    }
}

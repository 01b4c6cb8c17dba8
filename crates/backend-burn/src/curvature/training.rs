//! The training data of a fit.

use std::{fmt, ops::Range, sync::Arc};

use influence_core::{Dataset, Error as CoreError, Result as CoreResult};

use crate::{Batch, FitStep, observe::FitProgress, panic::caught};

/// Training data, in the batches over which curvatures are summed. The partition depends on nothing
/// but the settings, so that sums have the same bits in every run.
#[derive(Clone)]
pub(crate) struct TrainingData {
    dataset: Arc<dyn Dataset<Batch = Batch>>,
    batch_size: usize,
    pub(crate) watch: FitProgress,
}

impl fmt::Debug for TrainingData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingData")
            .field("samples", &self.samples())
            .field("batch_size", &self.batch_size)
            .finish_non_exhaustive()
    }
}

impl TrainingData {
    pub(crate) fn new(
        dataset: Arc<dyn Dataset<Batch = Batch>>,
        batch_size: usize,
    ) -> CoreResult<Self> {
        let bad = |name, requirement, got: usize| {
            Err(CoreError::Setting {
                name,
                requirement,
                got: got.to_string(),
            })
        };
        match (dataset.len(), batch_size) {
            (0, _) => bad("training data", "at least one sample", 0),
            (_, 0) => bad("batch size", "at least 1", 0),
            _ => Ok(Self {
                dataset,
                batch_size,
                watch: FitProgress::default(),
            }),
        }
    }

    pub(crate) fn watched(self, watch: FitProgress) -> Self {
        Self { watch, ..self }
    }

    /// Reports that a batch is begun, read or cached.
    pub(super) fn begun(&self, index: usize) {
        self.watch.fitting(FitStep::Batches, index, self.batches());
    }

    pub(crate) fn samples(&self) -> usize {
        self.dataset.len()
    }

    pub(crate) fn batches(&self) -> usize {
        self.samples().div_ceil(self.batch_size)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = (index * self.batch_size).min(self.samples());
        start..(start + self.batch_size).min(self.samples())
    }

    /// The number of the first sample of a batch.
    pub(crate) fn first(&self, index: usize) -> usize {
        self.range(index).start
    }

    pub(crate) fn batch(&self, index: usize) -> CoreResult<Batch> {
        self.begun(index);
        self.read(self.range(index))
    }

    /// A batch that is examined before the fit begins, without a report.
    pub(crate) fn glimpse(&self, index: usize) -> CoreResult<Batch> {
        self.read(self.range(index))
    }

    /// A few samples from the start.
    pub(crate) fn head(&self, samples: usize) -> CoreResult<Batch> {
        self.read(0..samples.min(self.samples()))
    }

    /// Readers are the user's code: a panic becomes an error, and so does a wrong number of
    /// samples.
    fn read(&self, range: Range<usize>) -> CoreResult<Batch> {
        let samples = range.len();
        let batch = caught(|| self.dataset.batch(range));
        let batch = batch.unwrap_or_else(|message| Err(CoreError::dataset(message)))?;
        CoreError::check_size("reading a batch", "samples", samples, batch.len())?;
        Ok(batch)
    }
}

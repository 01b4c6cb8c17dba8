//! The training data of a fit, and sums over them.

use std::{fmt, ops::Range, sync::Arc};

use influence_core::{
    Dataset, Error as CoreError, Result as CoreResult,
    summation::{Alone, DataPass, Summation, Sums},
};

use crate::{Batch, FitStep, observe::FitProgress, panic::caught};

/// Batches of a leaf, which are added in order, before leaves are added as a tree. Batches that are
/// [cut](TrainingData::in_batches_of) stay in one leaf.
const LEAF: usize = 8;

/// Training data, in the batches over which curvatures are summed. The partition depends on nothing
/// but the settings, so that sums have the same bits in every run.
#[derive(Clone)]
pub(crate) struct TrainingData {
    dataset: Arc<dyn Dataset<Batch = Batch>>,
    batch_size: usize,
    /// How many of these batches one was [cut](Self::in_batches_of) into.
    pieces: usize,
    summation: Arc<dyn Summation>,
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
                pieces: 1,
                summation: Arc::new(Alone),
                watch: FitProgress::default(),
            }),
        }
    }

    pub(crate) fn watched(self, watch: FitProgress) -> Self {
        Self { watch, ..self }
    }

    /// The same data in batches of at most this many samples: each batch is cut into pieces of
    /// about the same length.
    pub(crate) fn in_batches_of(self, most: usize) -> Self {
        let pieces = self.batch_size.div_ceil(most.max(1));
        Self {
            batch_size: self.batch_size.div_ceil(pieces),
            pieces: self.pieces * pieces,
            ..self
        }
    }

    pub(crate) fn summed_by(self, summation: Arc<dyn Summation>) -> Self {
        Self { summation, ..self }
    }

    /// Begins a fit that depends on this, by name.
    pub(crate) fn begin(
        &self,
        identity: &dyn Fn() -> CoreResult<Vec<(&'static str, String)>>,
    ) -> CoreResult<()> {
        self.summation.begin(identity)
    }

    /// The sum over all data of what `part` computes of some batches. All processes of a fit apply
    /// the same `operand`.
    pub(crate) fn sum(
        &self,
        name: &str,
        operand: &dyn Fn() -> CoreResult<Sums>,
        part: &dyn Fn(Range<usize>) -> CoreResult<Sums>,
    ) -> CoreResult<Sums> {
        self.summation.sum(&DataPass {
            name,
            operand,
            leaves: self.leaves(),
            leaf: &|leaf| part(self.batches_of(&(leaf..leaf + 1))),
        })
    }

    /// Gives `visit` what `part` computes of each batch, in order, where processes compute them
    /// together; returns whether they do.
    pub(super) fn in_order(
        &self,
        name: &str,
        operand: &dyn Fn() -> CoreResult<Sums>,
        part: &dyn Fn(usize) -> CoreResult<Sums>,
        visit: &mut dyn FnMut(Sums) -> CoreResult<()>,
    ) -> CoreResult<bool> {
        let pass = DataPass {
            name,
            operand,
            leaves: self.batches(),
            leaf: part,
        };
        self.summation.in_order(&pass, visit)
    }

    /// Batches of a leaf.
    fn leaf(&self) -> usize {
        LEAF * self.pieces
    }

    fn leaves(&self) -> usize {
        self.batches().div_ceil(self.leaf())
    }

    fn batches_of(&self, leaves: &Range<usize>) -> Range<usize> {
        let leaf = self.leaf();
        leaves.start * leaf..(leaves.end * leaf).min(self.batches())
    }

    /// The batches that sums ask this process for.
    pub(crate) fn own(&self) -> Range<usize> {
        self.batches_of(&self.summation.own(self.leaves()))
    }

    /// How many sums are held at a time besides the one that is made.
    pub(crate) fn sums_held(&self) -> usize {
        self.leaves().next_power_of_two().ilog2() as usize
    }

    /// Reports that a batch is begun, read or cached.
    pub(super) fn begun(&self, index: usize) {
        let own = self.own();
        let (done, total) = if own.contains(&index) {
            (index - own.start, own.len())
        } else {
            (index, self.batches())
        };
        self.watch.fitting(FitStep::Batches, done, total);
    }

    pub(crate) fn samples(&self) -> usize {
        self.dataset.len()
    }

    pub(crate) fn batches(&self) -> usize {
        self.samples().div_ceil(self.batch_size)
    }

    /// How many batches there were before they were cut.
    pub(super) fn uncut(&self) -> usize {
        self.batches().div_ceil(self.pieces)
    }

    /// The batches that one was cut into.
    pub(super) fn pieces_of(&self, uncut: usize) -> Range<usize> {
        uncut * self.pieces..((uncut + 1) * self.pieces).min(self.batches())
    }

    /// The number of samples in a batch that is not the last.
    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
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

    /// Few samples, from all over the data, that tell data sets apart.
    pub(crate) fn spread(&self) -> impl Iterator<Item = CoreResult<Batch>> {
        const PLACES: usize = 16;
        let samples = self.samples();
        let step = samples.div_ceil(PLACES).max(1);
        let places = (0..samples).step_by(step).chain(samples.checked_sub(1));
        places.map(|place| self.read(place..place + 1))
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

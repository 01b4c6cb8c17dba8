//! A model that is watched and can be made to fail.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use influence_core::{
    Error, FactorForm, Footprint, InfluenceModel, Precision, Result, ThreadSafe,
    solver::{Solution, Status},
    testing::Samples,
    wrapper::ModelWrapper,
};
use ndarray::{Array2, ArrayD, ArrayView2};

use super::Model;

/// Answers as another model does, counts the calls, and fails where a sample has the marked target,
/// or after this many scores.
pub(super) struct Watched {
    pub(super) model: Model,
    pub(super) precision: Precision,
    pub(super) solved: AtomicUsize,
    pub(super) gradients: AtomicUsize,
    pub(super) scored: AtomicUsize,
    /// How many chunks can be scored before the model fails.
    pub(super) lasts: AtomicUsize,
    /// The footprint that it claims.
    pub(super) footprint: Footprint,
    pub(super) faults: Vec<(f64, Fault)>,
    pub(super) workers: Mutex<std::collections::BTreeSet<String>>,
}

/// What happens at a marked sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Unsolved,
    SolveError,
    GradientError,
    GradientPanic,
    /// A factor that is not finite and called solved all the same.
    NotFinite,
}

impl Watched {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model,
            precision: Precision::F64,
            solved: AtomicUsize::new(0),
            gradients: AtomicUsize::new(0),
            scored: AtomicUsize::new(0),
            lasts: AtomicUsize::new(usize::MAX),
            footprint: Footprint::dense(super::DIM, Precision::F64),
            faults: Vec::new(),
            workers: Mutex::default(),
        }
    }

    pub(super) fn counts(&self) -> [usize; 2] {
        [self.solved.load(Relaxed), self.gradients.load(Relaxed)]
    }

    fn count_scores(&self) -> Result<()> {
        if self.scored.fetch_add(1, Relaxed) >= self.lasts.load(Relaxed) {
            return Err(Error::backend("scores", "out of memory"));
        }
        Ok(())
    }

    fn has(&self, batch: &Samples, fault: Fault) -> bool {
        self.faults.iter().any(|(mark, of)| {
            *of == fault
                && batch
                    .targets
                    .iter()
                    .any(|target| target.total_cmp(mark).is_eq())
        })
    }
}

impl ModelWrapper for Watched {
    type Inner = Model;

    fn inner(&self) -> &Model {
        &self.model
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn gradients(&self, batch: &Samples) -> Result<Array2<f64>> {
        self.gradients.fetch_add(1, Relaxed);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.workers
            .lock()
            .expect("no panic while held")
            .insert(name);
        assert!(!self.has(batch, Fault::GradientPanic), "out of luck");
        if self.has(batch, Fault::GradientError) {
            return Err(Error::backend("gradients", "out of memory"));
        }
        self.model.gradients(batch)
    }

    fn factors(&self, batch: &Samples) -> Result<Solution<Array2<f64>>> {
        self.solved.fetch_add(1, Relaxed);
        if self.has(batch, Fault::SolveError) {
            return Err(Error::backend("factors", "out of memory"));
        }
        let mut solution = self.model.factors(batch)?;
        for (target, report) in batch.targets.iter().zip(&mut solution.reports) {
            if self
                .faults
                .iter()
                .any(|(mark, fault)| *fault == Fault::Unsolved && target.total_cmp(mark).is_eq())
            {
                (report.status, report.residual) = (Status::IterationLimit, 0.5);
            }
        }
        for (row, target) in batch.targets.iter().enumerate() {
            let spoils = |(mark, fault): &(f64, Fault)| {
                *fault == Fault::NotFinite && target.total_cmp(mark).is_eq()
            };
            if self.faults.iter().any(spoils) {
                solution.rows.row_mut(row).fill(f64::NAN);
            }
        }
        Ok(solution)
    }

    fn scores(&self, factors: &Array2<f64>, gradients: &Array2<f64>) -> Result<ArrayD<f64>> {
        self.count_scores()?;
        self.model.scores(factors, gradients)
    }

    fn self_scores(&self, factors: &Array2<f64>, gradients: &Array2<f64>) -> Result<ArrayD<f64>> {
        self.count_scores()?;
        self.model.self_scores(factors, gradients)
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Ok(array.to_owned())
    }

    fn footprint(&self, _sample: &Samples, _form: FactorForm) -> Result<Footprint> {
        Ok(self.footprint)
    }
}

impl ThreadSafe for Watched {}

//! Fitting what a [`Trace`] records.

use std::{fmt, fs, io, num::NonZero, path::Path, sync::Arc};

use burn::tensor::Tensor;
use influence_core::{
    Dataset, Error as CoreError, Footprint, Result as CoreResult,
    block::{Block, BlockStructure},
    durable,
};

use super::{
    Fit, Settings, Traced,
    problem::{CHECKED_SAMPLES, FitProblem, Influence, InversionMethod},
};
use crate::{
    Batch, Curvature, Gradients, ModelGradients, Task, curvature::TrainingData, engine::float_type,
    saved, trace::Trace,
};

impl<T: Task> Fit<T> {
    /// The measurement of each sample of a batch, in the precision of these settings.
    ///
    /// [`Evaluator`](crate::Evaluator) measures by burn itself, in 32 bits. There the loss of a
    /// sample that is learnt is rounding once it is below about `1e-7`.
    ///
    /// # Errors
    /// [`Backend`](CoreError::Backend) when the model cannot be recorded, or the batch does not fit
    /// the task.
    pub fn measurements(self, module: &T::Module, batch: &Batch) -> CoreResult<Vec<f64>> {
        let Fit { subject, settings } = self.traced(module);
        let source = ModelGradients::new(subject.0, &settings.device, settings.precision)?;
        source.measurements(batch)
    }
}

impl Fit<Traced> {
    /// As [`Fit::new`], for a model that need not be a burn module: what its trace records is
    /// fitted [on](Self::on) training data.
    pub fn of(trace: Arc<dyn Trace>) -> Self {
        Self {
            subject: Traced(trace),
            settings: Settings::default(),
        }
    }

    /// Completes the settings by the training data.
    pub fn on(self, train: Arc<dyn Dataset<Batch = Batch>>) -> TracedFit {
        TracedFit {
            trace: self.subject.0,
            settings: self.settings,
            train,
        }
    }
}

/// A trace, training data and settings, ready to be fitted; see [`Fit::on`].
pub struct TracedFit {
    trace: Arc<dyn Trace>,
    settings: Settings,
    train: Arc<dyn Dataset<Batch = Batch>>,
}

impl fmt::Debug for TracedFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedFit")
            .field("trace", &self.trace)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl TracedFit {
    /// Fits the influence model, see [`Fit::fit`].
    ///
    /// # Errors
    /// Those of [`Fit::fit`].
    pub fn fit(self) -> CoreResult<Influence> {
        self.problem()?.fit()
    }

    /// Fits the influence model, and keeps its expensive part in a file, see [`Fit::fit_and_save`].
    ///
    /// # Errors
    /// Those of [`Fit::fit_and_save`].
    pub fn fit_and_save(self, path: impl AsRef<Path>) -> CoreResult<Influence> {
        self.fit_and_save_by(path, &durable::write)
    }

    /// As [`fit_and_save`](Self::fit_and_save), written by `write`, see [`Fit::fit_and_save_by`].
    ///
    /// # Errors
    /// Those of [`Fit::fit_and_save`].
    pub fn fit_and_save_by(
        self,
        path: impl AsRef<Path>,
        write: &dyn Fn(&Path, &[u8]) -> io::Result<()>,
    ) -> CoreResult<Influence> {
        let problem = self.problem()?;
        let influence = problem.fit()?;
        // Only now, since it reads all data, which a process with a share of them is spared.
        let provenance = problem.provenance()?;
        let states = influence.prepared();
        let states =
            states.map(|(block, prepared)| Ok((block.name().to_owned(), prepared.state()?)));
        let states = states.collect::<CoreResult<Vec<_>>>()?;
        saved::write(path.as_ref(), &provenance, &states, write)?;
        Ok(influence)
    }

    /// The influence model that [`fit_and_save`](Self::fit_and_save) kept, to the bit, under the
    /// damping of these settings.
    ///
    /// # Errors
    /// Those of [`Fit::load`].
    pub fn load(self, path: impl AsRef<Path>) -> CoreResult<Influence> {
        self.load_by(path, &|path| fs::read(path))
    }

    /// As [`load`](Self::load), read by `read`, see [`Fit::load_by`].
    ///
    /// # Errors
    /// Those of [`Fit::load`].
    pub fn load_by(
        self,
        path: impl AsRef<Path>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> CoreResult<Influence> {
        let problem = self.problem()?;
        let states = saved::read(path.as_ref(), &problem.provenance()?, read)?;
        problem.restore(&states)
    }

    /// Memory and cost per sample of the fitted model, see [`Fit::footprint`].
    ///
    /// # Errors
    /// Those of [`Fit::footprint`].
    pub fn footprint(self) -> CoreResult<Footprint> {
        let settings = self.settings;
        let sample = TrainingData::new(self.train, settings.batch_size)?.head(CHECKED_SAMPLES)?;
        let source = ModelGradients::new(self.trace, &settings.device, settings.precision)?;
        let factors = Gradients::dense(Tensor::zeros(
            [1, source.layout().dim()],
            (&source.device, float_type(settings.precision)),
        ));
        let footprint = source.footprint_of(&sample, &factors)?;
        let method = settings.method;
        // Blocks are not known yet: one that has all parameters would take most.
        let workspace = method.workspace(footprint.factor, settings.precision);
        let footprint = footprint
            .with_solver(method.stacks())
            .with_workspace(workspace);
        if settings.exact_residuals {
            let vector = source.layout().dim() * settings.precision.bytes();
            return Ok(footprint.with_reference(vector));
        }
        Ok(Footprint {
            immediate: method.is_immediate(),
            ..footprint
        })
    }

    /// Bytes that the fit takes, an upper bound, see [`Fit::fit_bytes`].
    ///
    /// # Errors
    /// Those of [`Fit::fit_bytes`].
    pub fn fit_bytes(mut self, dampings: usize) -> CoreResult<usize> {
        let settings = &mut self.settings;
        let InversionMethod::Solver(solver) = &settings.method else {
            settings.compared_with_burn = false;
            return self.problem()?.kronecker_bytes(dampings);
        };
        let blocks = settings.blocks.clone().unwrap_or(BlockStructure::Full);
        let blocks = blocks.resolve(self.trace.layout())?;
        // Eigenvectors, and what they are found in, take the place of factors.
        let matrices = settings.cut_off.map_or(dampings, |_| 2);
        let of_block = |block: &Block| solver.fit_bytes(block.dim(), settings.precision, matrices);
        let all = blocks.iter().map(of_block).fold(0, usize::saturating_add);
        // Blocks are prepared one after another.
        let sums = blocks.iter().map(|block| solver.sum_bytes(block.dim()));
        let held = TrainingData::new(self.train, settings.batch_size)?.sums_held();
        Ok(all.saturating_add(sums.max().unwrap_or(0).saturating_mul(held)))
    }

    /// The start of fitting and loading: gradients that are checked, and the blocks.
    pub(super) fn problem(self) -> CoreResult<FitProblem> {
        let settings = self.settings;
        settings.check()?;
        let data = TrainingData::new(self.train, settings.batch_size)?
            .watched(settings.watch)
            .summed_by(settings.summation);
        let sample = data.head(CHECKED_SAMPLES)?;
        let source = ModelGradients::new(self.trace, &settings.device, settings.precision)?;
        let reference = settings.exact_residuals.then(|| settings.curvature.exact());
        let mut source = source;
        let factored = matches!(settings.method, InversionMethod::Preconditioned(..));
        let factored = factored.then(|| settings.curvature.factorable());
        let others = reference.into_iter().chain(factored);
        let others = others.filter(|other| *other != settings.curvature);
        for curvature in [settings.curvature].into_iter().chain(others) {
            source = source.checked_for(curvature, &sample)?;
            if curvature.needs_outputs() {
                source = source.with_curved_outputs(&data.glimpse(0)?)?;
            }
        }
        if settings.compared_with_burn {
            source = source.compared_with_burn(&sample)?;
        }
        source.look_for_kinks(&data)?;
        let blocks = settings.blocks.unwrap_or(match settings.method {
            InversionMethod::Kronecker(_) => BlockStructure::LayerWise,
            InversionMethod::Solver(_) | InversionMethod::Preconditioned(..) => {
                BlockStructure::Full
            }
        });
        Ok(FitProblem {
            curvature: settings.curvature,
            method: settings.method,
            damping: settings.damping,
            cut_off: settings.cut_off,
            tolerance: settings.tolerance,
            threads: threads(settings.threads),
            blocks: blocks.resolve(source.layout())?,
            memory: settings.memory,
            reference,
            source,
            data,
        })
    }
}

impl Settings {
    fn check(&self) -> CoreResult<()> {
        let bad = |name, requirement, got| {
            Err(CoreError::Setting {
                name,
                requirement,
                got,
            })
        };
        if let Curvature::Fisher { draws: 0, .. } = self.curvature {
            return bad("draws", "at least 1", "0".into());
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            let got = self.tolerance.to_string();
            return bad("tolerance", "at least 0 and below 1", got);
        }
        Ok(())
    }
}

/// The number given, else that of the caller's thread pool.
fn threads(given: Option<NonZero<usize>>) -> usize {
    given.map_or_else(rayon::current_num_threads, NonZero::get)
}

//! Unrolling a training with the settings of a fit.

use influence_core::Result as CoreResult;

use super::{Fit, Traced, problem::CHECKED_SAMPLES};
use crate::{Curvature, ModelGradients, Task, TrainingSteps, Unrolled};

impl Fit<Traced> {
    /// See [`Fit::unrolled`], of a model behind a trace.
    ///
    /// # Errors
    /// Those of [`Fit::unrolled`].
    pub fn unrolled_trace(self, descent: TrainingSteps) -> CoreResult<Unrolled> {
        let settings = self.settings;
        let head: Vec<usize> = (0..descent.samples.min(CHECKED_SAMPLES)).collect();
        let sample = (descent.gather)(&head)?;
        let source = ModelGradients::new(self.subject.0, &settings.device, settings.precision)?;
        let mut source = source.checked_for(Curvature::Hessian, &sample)?;
        if settings.compared_with_burn {
            source = source.compared_with_burn(&sample)?;
        }
        Unrolled::new(source, descent, settings.memory, settings.watch)
    }
}

impl<T: Task> Fit<T> {
    /// The influence model of a training that begins at the parameters of a module as they are now,
    /// by the exact derivative of the measurement after it by the weight of each training sample.
    ///
    /// The module is trained in inference mode: a model whose training mode differs, by dropout or
    /// batch norm, goes another way when it is trained. The settings that count are the precision,
    /// the device, and the [memory](Self::with_gradient_memory), which the states of the training
    /// are kept in.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit) that recording finds;
    /// [`NotFinite`](influence_core::Error::NotFinite) when the training diverges.
    pub fn unrolled(self, module: &T::Module, descent: TrainingSteps) -> CoreResult<Unrolled> {
        self.traced(module).unrolled_trace(descent)
    }
}

//! The training itself: the state before each step, kept or computed again.

use burn::tensor::Tensor;
use influence_core::{Error as CoreError, Precision, Result as CoreResult};

use super::{
    TrainingSteps,
    update::{StepState, UpdateRule},
};
use crate::{
    Batch, FitStep, ModelGradients,
    engine::float_type,
    observe::FitProgress,
    tensors::{host, tensor},
    trace::Function,
};

/// A training that has been gone through once.
#[derive(Debug)]
pub(crate) struct FollowedTraining {
    pub(super) source: ModelGradients,
    pub(super) descent: TrainingSteps,
    /// The state before every `stride`-th step.
    kept: Vec<StepState>,
    stride: usize,
    /// The state after the last step.
    pub(super) end: StepState,
    pub(super) watch: FitProgress,
}

impl FollowedTraining {
    /// Goes through the training, and keeps as many states as fit in the memory: all of them, or
    /// one in `√T`.
    pub(super) fn new(
        source: ModelGradients,
        descent: TrainingSteps,
        memory: usize,
        watch: FitProgress,
    ) -> CoreResult<Self> {
        let size = (source.layout().dim(), source.precision);
        let steps = descent.steps.len();
        let stride = stride(bytes(size, descent.rule), steps, memory);
        let mut kept = Vec::new();
        let mut keep = |taken: usize, state: &StepState| {
            if taken < steps && taken.is_multiple_of(stride) {
                kept.push(state.clone());
            }
        };
        let training = Self::through(source, descent, watch, &mut keep)?;
        Ok(Self {
            kept,
            stride,
            ..training
        })
    }

    /// Goes through the training, and gives the parameters after some numbers of steps, which
    /// ascend. No state is kept.
    pub(crate) fn checkpoints(
        source: ModelGradients,
        descent: TrainingSteps,
        watch: FitProgress,
        after: &[usize],
    ) -> CoreResult<Vec<Tensor<1>>> {
        let mut found = Vec::with_capacity(after.len());
        let mut keep = |taken: usize, state: &StepState| {
            if after.contains(&taken) {
                found.push(state.parameters.clone());
            }
        };
        Self::through(source, descent, watch, &mut keep)?;
        Ok(found)
    }

    /// Takes the steps. `see` is shown every state, with the number of steps that have been taken.
    fn through(
        source: ModelGradients,
        descent: TrainingSteps,
        watch: FitProgress,
        see: &mut dyn FnMut(usize, &StepState),
    ) -> CoreResult<Self> {
        let values = source.trained_values();
        let shape = [values.len()];
        let values = tensor(values.into_iter(), shape, &source.device, source.precision);
        let steps = descent.steps.len();
        let mut training = Self {
            end: descent.rule.begin(values),
            source,
            descent,
            kept: Vec::new(),
            stride: 1,
            watch,
        };
        for step in 0..steps {
            training.watch.fitting(FitStep::Steps, step, steps);
            see(step, &training.end);
            training.end = training.after(step, training.end.clone())?;
        }
        see(steps, &training.end);
        training.watch.fitting(FitStep::Steps, steps, steps);
        training.check_end()?;
        Ok(training)
    }

    /// The states before the steps, the last step first, each with its number.
    pub(super) fn backwards(&self) -> impl Iterator<Item = CoreResult<(usize, StepState)>> {
        let segments = self.kept.iter().enumerate().rev();
        segments.flat_map(|(segment, begin)| {
            let states = self.segment(segment * self.stride, begin.clone());
            let (states, error) = match states {
                Ok(states) => (states, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            error.into_iter().chain(states.into_iter().rev().map(Ok))
        })
    }

    /// The states before the steps from one whose state is kept to the next.
    fn segment(&self, first: usize, begin: StepState) -> CoreResult<Vec<(usize, StepState)>> {
        let last = (first + self.stride).min(self.descent.steps.len()) - 1;
        let mut states = vec![(first, begin.clone())];
        let mut state = begin;
        for step in first..last {
            state = self.after(step, state)?;
            states.push((step + 1, state.clone()));
        }
        Ok(states)
    }

    fn after(&self, step: usize, state: StepState) -> CoreResult<StepState> {
        let source = self.source.moved_to(&state.parameters)?;
        let gradient = self.gradient(&source, &state, &self.batch(step)?)?;
        let TrainingSteps { rule, steps, .. } = &self.descent;
        Ok(rule.step(state, gradient, steps[step].learning_rate, step + 1))
    }

    /// The samples of a step.
    pub(super) fn batch(&self, step: usize) -> CoreResult<Batch> {
        (self.descent.gather)(&self.descent.steps[step].batch)
    }

    /// The gradient of a step, the weight decay included; the source is at the parameters of the
    /// state.
    pub(super) fn gradient(
        &self,
        source: &ModelGradients,
        state: &StepState,
        batch: &Batch,
    ) -> CoreResult<Tensor<1>> {
        let mean = source.mean_gradient(batch)?;
        let decay = self.descent.weight_decay;
        Ok(if decay > 0.0 {
            state.parameters.clone().mul_scalar(decay) + mean
        } else {
            mean
        })
    }

    fn check_end(&self) -> CoreResult<()> {
        let values = host(&self.end.parameters)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(place) => Err(CoreError::NotFinite {
                op: "unroll a training",
                what: format!("number {place} of the parameters at its end"),
            }),
        }
    }
}

/// The bytes of a state.
pub(super) fn bytes((dim, precision): (usize, Precision), rule: UpdateRule) -> usize {
    (1 + rule.moments()).saturating_mul(dim.saturating_mul(precision.bytes()))
}

/// From one state that is kept to the next, with states of these bytes.
pub(super) fn stride(bytes: usize, steps: usize, memory: usize) -> usize {
    if bytes.saturating_mul(steps) <= memory {
        1
    } else {
        steps.isqrt().max(1)
    }
}

impl ModelGradients {
    /// The gradient of the mean loss of a batch, `(dim)`.
    fn mean_gradient(&self, batch: &Batch) -> CoreResult<Tensor<1>> {
        let graph = self.trace.graph(Function::Loss, batch)?;
        let all: Vec<usize> = (0..self.layout().parameters().len()).collect();
        let place = (&self.device, float_type(self.precision));
        let weights = Tensor::full([batch.len(), 1], 1.0 / batch.len() as f64, place);
        let gradients = self
            .engine
            .summed_gradient(&graph, batch, &all, Some(&weights))?;
        Ok(Tensor::cat(gradients, 0))
    }
}

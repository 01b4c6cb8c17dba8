//! A burn module with a task: it runs once per form of batch, on a device that records.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{LazyLock, Mutex, PoisonError},
};

use burn::{
    backend::capture::{CaptureScope, CapturedGraph, CompletedCaptureScope, TensorId},
    module::{Module, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::block::ParameterLayout;

use super::{
    Trace,
    graph::{DeclaredOutputs, Function, Recording},
    parameters::{
        CapturedParameters, GradientVisitor, InInferenceMode, InRecordedType, ModuleParameters,
        WithValues, captured_id,
    },
};
use crate::{Batch, Error, Result, Task, panic::caught, task::Inputs};

/// The trace of a burn module with a task, as [`Fit::new`](crate::Fit::new) makes it.
///
/// # Examples
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor}};
/// use influence_backend_burn::{Regression, trace::{ModuleTrace, Trace}};
///
/// #[derive(Module, Debug)]
/// struct Line { layer: Linear }
///
/// let line = Line { layer: LinearConfig::new(3, 1).init(&Device::flex()) };
/// let task = Regression::new(|line: &Line, x: Tensor<2>| line.layer.forward(x));
/// let trace = ModuleTrace::new(task, &line);
/// assert_eq!(trace.layout().parameters()[0].name, "layer.weight");
/// ```
pub struct ModuleTrace<T: Task> {
    task: T,
    values: Vec<TensorData>,
    layout: ParameterLayout,
    indices: HashMap<ParamId, usize>,
    /// In inference mode, and in the type in which models are recorded. Modules cannot be shared
    /// between threads, hence the lock.
    module: Mutex<T::Module>,
}

/// A recording device serves one recording at a time, and a process may make only 65,536 of them:
/// so there is one.
static RECORDING: LazyLock<Mutex<Device>> = LazyLock::new(|| Mutex::new(Device::capture()));

impl<T: Task> Debug for ModuleTrace<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleTrace")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl<T: Task> ModuleTrace<T> {
    /// Copies the module as it is now; it is recorded in inference mode.
    pub fn new(task: T, module: &T::Module) -> Self {
        let ModuleParameters {
            layout,
            values,
            indices,
        } = ModuleParameters::of(module);
        let module = module.valid().map(&mut InRecordedType);
        Self {
            task,
            values,
            layout,
            indices,
            module: Mutex::new(module),
        }
    }

    /// Runs the function on the recording device.
    fn run(
        &self,
        scope: CaptureScope,
        device: &Device,
        module: T::Module,
        (function, batch): (Function, &Batch),
        seen: &mut Seen,
    ) -> CompletedCaptureScope {
        let module = module.to_device(device);
        let mut ids = CapturedParameters {
            indices: &self.indices,
            found: Vec::new(),
        };
        module.visit(&mut ids);
        seen.parameters = ids.found;
        let inputs = match T::Inputs::read(batch.fields(), device) {
            Ok(inputs) => inputs,
            Err(error) => {
                seen.error = Some(error);
                return scope.complete([], []);
            }
        };
        seen.inputs = inputs.captured().unwrap_or_default();
        let output = match function {
            Function::Loss => captured_id(self.task.loss(&module, inputs)),
            Function::Measurement => captured_id(self.task.measurement(&module, inputs)),
            Function::Outputs => {
                let outputs = self.task.outputs(&module, inputs);
                outputs.and_then(|outputs| {
                    seen.declared = Some(DeclaredOutputs {
                        loss: outputs.loss,
                        weighted: outputs.weights.is_some(),
                    });
                    captured_id(outputs.values)
                })
            }
            Function::OutputWeights => {
                let outputs = self.task.outputs(&module, inputs);
                outputs.and_then(|outputs| captured_id(outputs.weights?))
            }
        };
        scope.complete(seen.inputs.clone(), output)
    }
}

impl<T: Task> Trace for ModuleTrace<T> {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn values(&self) -> &[TensorData] {
        &self.values
    }

    fn record(&self, function: Function, batch: &Batch) -> Result<Option<Recording>> {
        let module = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        let device = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = Seen::default();
        let scope = |scope: CaptureScope| {
            // `valid` rather than `clone`: clones share their running statistics, which would stay
            // on the recording device.
            let module = module.valid();
            self.run(scope, &device, module, (function, batch), &mut seen)
        };
        let captured = caught(|| device.capture_scope(scope));
        let fail = |message: String| Error::Capture {
            samples: batch.len(),
            message,
        };
        let captured = match captured {
            Ok(captured) => captured.map_err(|error| fail(error.to_string())),
            Err(message) => Err(fail(message)),
        };
        if let Some(error) = seen.error {
            return Err(error);
        }
        Ok(seen.recording(captured?))
    }

    /// By burn's own autodiff of the unrecorded module, in inference mode; `None` where burn does
    /// not manage.
    fn independent_gradient(
        &self,
        batch: &Batch,
        values: &[TensorData],
        weights: &[f64],
    ) -> Option<Vec<Vec<f64>>> {
        let module = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        let device = module.devices().first()?.clone().inner().autodiff();
        let mut with_values = WithValues {
            indices: &self.indices,
            values: values.get(..self.layout.parameters().len())?,
        };
        let differentiate = || {
            let module = module.valid().map(&mut with_values);
            let module = module.train().map(&mut InInferenceMode);
            let inputs = T::Inputs::read(batch.fields(), &device).ok()?;
            let weights = Tensor::<1>::from_floats(weights, &device);
            let loss = self.task.loss(&module, inputs) * weights;
            let gradients = loss.sum().backward();
            let mut found = GradientVisitor::new(&self.layout, &self.indices, &gradients);
            module.visit(&mut found);
            Some(found.into_values())
        };
        caught(differentiate).ok().flatten()
    }
}

/// The part of a recording that burn's recorder does not give.
#[derive(Default)]
struct Seen {
    parameters: Vec<(TensorId, usize)>,
    inputs: Vec<TensorId>,
    declared: Option<DeclaredOutputs>,
    error: Option<Error>,
}

impl Seen {
    /// The recording, if there is an output.
    fn recording(self, captured: CapturedGraph) -> Option<Recording> {
        let output = *captured.graph.outputs.first()?;
        let known = |id: &TensorId| {
            self.inputs.contains(id) || self.parameters.iter().any(|(other, _)| other == id)
        };
        let constants = captured.values.into_iter();
        let constants = constants.filter(|(id, _)| !known(id)).collect();
        Some(Recording {
            operations: captured.graph.operations,
            constants,
            parameters: self.parameters,
            inputs: captured.graph.inputs,
            output,
            declared: self.declared,
        })
    }
}

//! From a task to a graph: the model runs once per shape of batch, on a device that records.

mod chain;
mod head;
mod parameters;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use burn::{
    backend::{
        capture::{CaptureBackend, CaptureScope, CapturedGraph, CompletedCaptureScope, TensorId},
        ir::{OperationIr, TensorIr},
    },
    module::{Module, ParamId},
    tensor::{DType, Device, Tensor, TensorData},
};
use influence_core::block::ParameterLayout;

use crate::{
    Batch, Error, OutputLoss, Result, Task,
    taps::{Tap, Taps},
    task::Inputs,
};
pub(crate) use chain::Link;
pub(crate) use head::Head;
pub(crate) use parameters::InRecordedType;

use parameters::{CapturedParameters, Found, GradientVisitor, InInferenceMode, Moved, Parameters};

/// Which function of the task is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    Loss,
    Measurement,
    Outputs,
    /// The weights that the task declares for the loss of its outputs.
    OutputWeights,
}

/// The recorded computation of one function on a batch of one shape.
#[derive(Debug)]
pub(crate) struct Graph {
    /// In order of execution.
    pub(crate) operations: Vec<OperationIr>,
    /// Tensors that the model makes from data of its own.
    pub(crate) constants: Vec<(TensorId, TensorData)>,
    /// Which tensor is which parameter (index into the values of the trace).
    pub(crate) parameters: Vec<(TensorId, usize)>,
    /// One tensor per field of the batch.
    pub(crate) inputs: Vec<TensorId>,
    /// The losses `(n)` or outputs `(n, c)`.
    pub(crate) output: TensorIr,
    /// What the task says of its outputs, for [`Function::Outputs`].
    pub(crate) declared: Option<Declared>,
    /// Where the parameters are consumed.
    pub(crate) taps: Taps,
}

/// What a task says of its outputs.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) loss: OutputLoss,
    /// Whether it has [weights](Function::OutputWeights).
    pub(crate) weighted: bool,
}

impl Graph {
    /// What to do about the operation at an index besides executing it.
    pub(crate) fn tap(&self, operation: usize) -> Option<&Tap> {
        self.taps.at(operation)
    }
}

/// A task and its module, recorded on demand; erases their types.
pub(crate) trait Trace: Debug + Send + Sync {
    /// The parameters in order of the module, first those that are trained: `values()[..layout.parameters().len()]`.
    fn values(&self) -> &[TensorData];

    /// The trained parameters.
    fn layout(&self) -> &ParameterLayout;

    /// The graph of a function on batches shaped as this one.
    fn graph(&self, function: Function, batch: &Batch) -> Result<Arc<Graph>>;

    /// What the loss makes of the outputs, on batches shaped as this one.
    fn head(&self, batch: &Batch) -> Result<Arc<Head>>;

    /// The gradient of the sum of losses times weights by burn's own autodiff of the unrecorded
    /// module in inference mode, with other values of its trained parameters: one flat vector for
    /// each of them; `None` where burn does not manage.
    fn own_gradient(
        &self,
        batch: &Batch,
        values: &[TensorData],
        weights: &[f64],
    ) -> Option<Vec<Vec<f64>>>;
}

type Key = (Function, Form);

/// The types and shapes of the fields of a batch.
type Form = Vec<(DType, Vec<usize>)>;

fn form(batch: &Batch) -> Form {
    let fields = batch.fields().iter();
    fields
        .map(|field| (field.dtype(), field.shape().to_vec()))
        .collect()
}

/// The trained parameters of a module, in the order in which gradients have them.
///
/// # Examples
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
///
/// let layout = influence_backend_burn::parameters(&LinearConfig::new(3, 2).init(&Device::flex()));
/// assert_eq!(layout.dim(), 8);
/// assert_eq!(layout.parameters()[0].name, "weight");
/// ```
pub fn parameters<M: Module>(module: &M) -> ParameterLayout {
    found(module).0
}

fn found<M: Module>(module: &M) -> Found {
    let mut found = Parameters::default();
    // In training mode a parameter requires gradients exactly if it is trained, whatever the device.
    module.valid().train().visit(&mut found);
    found.in_order()
}

/// The recorder of one task and module.
pub(crate) struct ModuleTrace<T: Task> {
    task: T,
    values: Vec<TensorData>,
    layout: ParameterLayout,
    indices: HashMap<ParamId, usize>,
    recorder: Mutex<Recorder<T::Module>>,
}

/// The module to be recorded, and what has been recorded.
struct Recorder<M> {
    module: M,
    graphs: HashMap<Key, Arc<Graph>>,
    heads: HashMap<Form, Arc<Head>>,
}

/// A recording device serves one recording at a time, and a process may make only 65,536 of them: so there is one.
static RECORDING: LazyLock<Mutex<Device>> = LazyLock::new(|| Mutex::new(Device::capture()));

impl<T: Task> Debug for ModuleTrace<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleTrace")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl<T: Task> ModuleTrace<T> {
    pub(crate) fn new(task: T, module: &T::Module) -> Self {
        let (layout, values, indices) = found(module);
        let module = module.valid().map(&mut InRecordedType);
        let recorder = Recorder {
            module,
            graphs: HashMap::new(),
            heads: HashMap::new(),
        };
        Self {
            task,
            values,
            layout,
            indices,
            recorder: Mutex::new(recorder),
        }
    }

    fn record(
        &self,
        recorder: &Recorder<T::Module>,
        function: Function,
        batch: &Batch,
    ) -> Result<Graph> {
        let device = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recorded = Recorded::default();
        let scope = |scope: CaptureScope| {
            // `valid` rather than `clone`: clones share their running statistics, which would stay on the recording device.
            self.run(
                scope,
                &device,
                recorder.module.valid(),
                (function, batch),
                &mut recorded,
            )
        };
        let captured = catch_unwind(AssertUnwindSafe(|| device.capture_scope(scope)));
        let fail = |message: String| Error::Capture {
            samples: batch.len(),
            message,
        };
        let captured = match captured {
            Ok(captured) => captured.map_err(|error| fail(error.to_string())),
            Err(panic) => Err(fail(crate::engine::panic_message(&*panic))),
        };
        if let Some(error) = recorded.error {
            return Err(error);
        }
        self.assemble(function, batch, captured?, recorded)
    }

    /// Runs the function on the recording device.
    fn run(
        &self,
        scope: CaptureScope,
        device: &Device,
        module: T::Module,
        (function, batch): (Function, &Batch),
        recorded: &mut Recorded,
    ) -> CompletedCaptureScope {
        let module = module.to_device(device);
        let mut ids = CapturedParameters {
            indices: &self.indices,
            found: Vec::new(),
        };
        module.visit(&mut ids);
        recorded.parameters = ids.found;
        let inputs = match T::Inputs::read(batch.fields(), device) {
            Ok(inputs) => inputs,
            Err(error) => {
                recorded.error = Some(error);
                return scope.complete([], []);
            }
        };
        recorded.inputs = inputs.captured().unwrap_or_default();
        let output = match function {
            Function::Loss => captured_id(self.task.loss(&module, inputs)),
            Function::Measurement => captured_id(self.task.measurement(&module, inputs)),
            Function::Outputs => {
                let outputs = self.task.outputs(&module, inputs);
                outputs.and_then(|outputs| {
                    recorded.declared = Some(Declared {
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
        recorded.output = output;
        scope.complete(recorded.inputs.clone(), output)
    }

    fn assemble(
        &self,
        function: Function,
        batch: &Batch,
        captured: CapturedGraph,
        recorded: Recorded,
    ) -> Result<Graph> {
        let Some(&id) = captured.graph.outputs.first() else {
            return Err(Error::NoOutputs {
                curvature: "gauss-newton",
            });
        };
        let operations = captured.graph.operations;
        let output = produced(&operations, id).ok_or(Error::MissingTensor {
            tensor: id.value(),
            kind: "output",
        })?;
        check_output(function, batch.len(), &output)?;
        let known = |id: &TensorId| {
            recorded.inputs.contains(id) || recorded.parameters.iter().any(|(other, _)| other == id)
        };
        let constants: Vec<_> = captured
            .values
            .into_iter()
            .filter(|(id, _)| !known(id))
            .collect();
        let trained: BTreeMap<TensorId, usize> = recorded
            .parameters
            .iter()
            .copied()
            .filter(|&(_, index)| index < self.layout.parameters().len())
            .collect();
        let taps = Taps::find(&operations, &trained, &captured.graph.inputs, batch.len());
        Ok(Graph {
            operations,
            constants,
            parameters: recorded.parameters,
            inputs: captured.graph.inputs,
            output,
            declared: recorded.declared,
            taps,
        })
    }
}

impl<T: Task> Trace for ModuleTrace<T> {
    fn values(&self) -> &[TensorData] {
        &self.values
    }

    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn graph(&self, function: Function, batch: &Batch) -> Result<Arc<Graph>> {
        let key = (function, form(batch));
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(graph) = recorder.graphs.get(&key) {
            return Ok(graph.clone());
        }
        let graph = Arc::new(self.record(&recorder, function, batch)?);
        recorder.graphs.insert(key, graph.clone());
        Ok(graph)
    }

    fn head(&self, batch: &Batch) -> Result<Arc<Head>> {
        let loss = self.graph(Function::Loss, batch)?;
        let outputs = self.graph(Function::Outputs, batch)?;
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = recorder.heads.get(&form(batch)) {
            return Ok(head.clone());
        }
        let head = Arc::new(Head::find(&loss, &outputs, &self.layout)?);
        recorder.heads.insert(form(batch), head.clone());
        Ok(head)
    }

    fn own_gradient(
        &self,
        batch: &Batch,
        values: &[TensorData],
        weights: &[f64],
    ) -> Option<Vec<Vec<f64>>> {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let device = recorder
            .module
            .devices()
            .first()?
            .clone()
            .inner()
            .autodiff();
        let mut moved = Moved {
            indices: &self.indices,
            values: values.get(..self.layout.parameters().len())?,
        };
        let differentiate = || {
            let module = recorder.module.valid().map(&mut moved);
            let module = module.train().map(&mut InInferenceMode);
            let inputs = T::Inputs::read(batch.fields(), &device).ok()?;
            let weights = Tensor::<1>::from_floats(weights, &device);
            let loss = self.task.loss(&module, inputs) * weights;
            let gradients = loss.sum().backward();
            let mut found = GradientVisitor::new(&self.layout, &self.indices, &gradients);
            module.visit(&mut found);
            Some(found.into_values())
        };
        catch_unwind(AssertUnwindSafe(differentiate)).ok().flatten()
    }
}

/// What a recording learns besides its operations.
#[derive(Default)]
struct Recorded {
    parameters: Vec<(TensorId, usize)>,
    inputs: Vec<TensorId>,
    output: Option<TensorId>,
    declared: Option<Declared>,
    error: Option<Error>,
}

fn captured_id<const D: usize>(tensor: Tensor<D>) -> Option<TensorId> {
    Some(tensor.try_into_primitive::<CaptureBackend>().ok()?.id())
}

/// The description of a tensor by the operation that makes it.
fn produced(operations: &[OperationIr], id: TensorId) -> Option<TensorIr> {
    operations
        .iter()
        .flat_map(|operation| operation.outputs().cloned().collect::<Vec<_>>())
        .find(|tensor| tensor.id == id)
}

fn check_output(function: Function, samples: usize, output: &TensorIr) -> Result<()> {
    let shape = output.shape.to_vec();
    let (what, fits, expected) = match function {
        Function::Loss => ("the loss", shape == [samples], format!("[{samples}]")),
        Function::Measurement => (
            "the measurement",
            shape == [samples],
            format!("[{samples}]"),
        ),
        Function::Outputs => (
            "the outputs",
            shape.len() == 2 && shape[0] == samples,
            format!("[{samples}, outputs]"),
        ),
        Function::OutputWeights => (
            "the weights of the outputs",
            shape.len() == 2 && shape[0] == samples,
            format!("[{samples}, 1] or [{samples}, positions]"),
        ),
    };
    if fits {
        Ok(())
    } else {
        Err(Error::TaskShape {
            what,
            samples,
            expected,
            got: shape,
        })
    }
}

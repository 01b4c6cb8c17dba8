//! Which networks are trained on the host: what a recording shows, held against burn.

use std::sync::Arc;

use burn::{
    backend::{
        DispatchDevice,
        ir::{ActivationOperationIr, FloatOperationIr, OperationIr, TensorId},
    },
    module::Module,
    tensor::{DType, Device, TensorData},
};
use ndarray::{Array1, Array2};

use super::{HostActivation, HostLayer, HostLoss, HostMlp};
use crate::{
    Batch, OutputLoss, Result, Task,
    panic::guarded,
    task::Inputs,
    trace::{
        DeclaredOutputs, DenseLayer, Function, GradientVisitor, Graph, ModuleParameters,
        ModuleTrace, Trace,
    },
};

/// The largest relative difference between the gradient of a parameter and that of burn.
const TOLERANCE: f64 = 1e-4;

/// The layers and the loss of a multilayer perceptron, without its weights.
#[derive(Debug, Clone)]
pub struct MlpShape {
    layers: Vec<DenseShape>,
    loss: HostLoss,
    places: Vec<(usize, bool)>,
}

/// A layer, by the numbers of its parameters.
#[derive(Debug, Clone)]
struct DenseShape {
    weight: usize,
    transposed: bool,
    bias: Option<usize>,
    activation: HostActivation,
    /// `[in, out]`.
    sides: [usize; 2],
}

impl MlpShape {
    /// The shape of the network that a module is, if it is one that can be trained on the host: on
    /// a CPU, dense layers with activations between them, and the cross-entropy or the squared
    /// error of the outputs, as the task declares it. The numbers of the batch do not count.
    pub fn find<T: Task>(task: &Arc<T>, module: &T::Module, batch: &Batch) -> Option<Self> {
        let devices = module.devices();
        if !devices.iter().all(is_host) || batch.fields().len() != 2 {
            return None;
        }
        let trace = ModuleTrace::new(Arc::clone(task), module);
        let trained = trace.layout().parameters().len();
        // What cannot be recorded is trained by burn, which says what is wrong with it.
        let recording = trace.record(Function::Outputs, batch).ok()??;
        let graph = Graph::new(recording, Function::Outputs, trained, batch.len()).ok()?;
        let dense = graph.dense_layers(trained, batch.len())?;
        let loss = loss(graph.declared.as_ref()?)?;
        let mut layers = Vec::with_capacity(dense.len());
        for (index, layer) in dense.iter().enumerate() {
            let target = dense
                .get(index + 1)
                .map_or(graph.output.id, |next| next.input.id);
            layers.push(DenseShape {
                weight: layer.weight,
                transposed: layer.transposed,
                bias: layer.bias,
                activation: activation(&graph, layer, target)?,
                sides: [layer.input.shape[1], layer.output.shape[1]],
            });
        }
        let places = (0..trained)
            .map(|parameter| place(&layers, parameter))
            .collect::<Option<_>>()?;
        Some(Self {
            layers,
            loss,
            places,
        })
    }

    /// The network with the weights of a module, if its loss and gradient on these samples are
    /// those that burn gives for the module in training mode.
    ///
    /// # Errors
    /// [`Error::Field`](crate::Error::Field) when the batch does not have the fields that the task
    /// reads, [`Error::Engine`](crate::Error::Engine) when burn gives up.
    pub fn host<T: Task>(
        &self,
        task: &T,
        module: &T::Module,
        batch: &Batch,
    ) -> Result<Option<HostMlp>> {
        let parameters = ModuleParameters::of(module);
        let Some(mut host) = self.with_values(&parameters.values) else {
            return Ok(None);
        };
        let Ok(own) = host.differentiate(batch, None) else {
            return Ok(None);
        };
        let (loss, gradients) = guarded(|| by_burn(task, module, &parameters, batch))?;
        let mut agrees = (own - loss).abs() <= TOLERANCE * loss.abs();
        host.update(|index, _, gradient| {
            let (mut off, mut size) = (0.0, 0.0);
            for (&own, &other) in gradient.iter().zip(&gradients[index]) {
                off += (f64::from(own) - other).powi(2);
                size += other * other;
            }
            agrees &= off <= TOLERANCE * TOLERANCE * size;
        });
        if !agrees {
            tracing::debug!(
                own,
                loss,
                "a perceptron that burn computes otherwise: trained by burn"
            );
        }
        Ok(agrees.then_some(host))
    }

    /// `None` where a parameter is not in 32 bits.
    fn with_values(&self, values: &[TensorData]) -> Option<HostMlp> {
        let numbers = |index: usize| {
            let data = values
                .get(index)
                .filter(|data| data.dtype() == DType::F32)?;
            Some(data.iter::<f32>().collect::<Vec<_>>())
        };
        let layer = |layer: &DenseShape| {
            let [input, output] = layer.sides;
            let stored = if layer.transposed {
                (output, input)
            } else {
                (input, output)
            };
            let bias = match layer.bias {
                Some(bias) => Some(Array1::from_vec(numbers(bias)?)),
                None => None,
            };
            Some(HostLayer {
                weight: Array2::from_shape_vec(stored, numbers(layer.weight)?).ok()?,
                transposed: layer.transposed,
                bias,
                activation: layer.activation,
                outputs: Array2::zeros((0, output)),
                deltas: Array2::zeros((0, output)),
                weight_gradient: Array2::zeros(stored),
                bias_gradient: Array1::zeros(output),
            })
        };
        Some(HostMlp {
            layers: self.layers.iter().map(layer).collect::<Option<_>>()?,
            loss: self.loss,
            places: self.places.clone(),
        })
    }
}

/// The mean loss and the gradient of each parameter by burn's autodiff, in training mode.
fn by_burn<T: Task>(
    task: &T,
    module: &T::Module,
    parameters: &ModuleParameters,
    batch: &Batch,
) -> Result<(f64, Vec<Vec<f64>>)> {
    let device = module.devices().first().cloned().unwrap_or_default();
    let device = device.inner().autodiff();
    let module = module.valid().fork(&device).train();
    let inputs = T::Inputs::read(batch.fields(), &device)?;
    let loss = task.loss(&module, inputs).mean();
    let value = loss.clone().into_scalar::<f64>();
    let gradients = loss.backward();
    let mut found = GradientVisitor::new(&parameters.layout, &parameters.indices, &gradients);
    module.visit(&mut found);
    Ok((value, found.into_values()))
}

/// Whether the tensors of a device lie in the memory of the host.
fn is_host(device: &Device) -> bool {
    match device.as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => true,
        _ => false,
    }
}

/// The loss of outputs that are declared without weights.
fn loss(declared: &DeclaredOutputs) -> Option<HostLoss> {
    match declared.loss {
        _ if declared.weighted => None,
        OutputLoss::CrossEntropy => Some(HostLoss::CrossEntropy),
        OutputLoss::MeanSquaredError => Some(HostLoss::SquaredError),
        _ => None,
    }
}

/// The function that leads from a layer to what the next one reads.
fn activation(graph: &Graph, layer: &DenseLayer, target: TensorId) -> Option<HostActivation> {
    let output = layer.output.id;
    if output == target {
        return Some(HostActivation::Identity);
    }
    let makes = |operation: &&OperationIr| operation.outputs().any(|made| made.id == target);
    let operation = graph.operations.iter().find(makes)?;
    let mut read = operation.inputs();
    if !(read.next().is_some_and(|read| read.id == output) && read.next().is_none()) {
        return None;
    }
    match operation {
        OperationIr::Activation(ActivationOperationIr::Relu(_)) => Some(HostActivation::Relu),
        OperationIr::Activation(ActivationOperationIr::Sigmoid(_)) => Some(HostActivation::Sigmoid),
        OperationIr::Float(_, FloatOperationIr::Tanh(_)) => Some(HostActivation::Tanh),
        _ => None,
    }
}

/// The layer of a parameter, and whether it is the bias; `None` where no layer or several use it.
fn place(layers: &[DenseShape], parameter: usize) -> Option<(usize, bool)> {
    let uses = layers.iter().enumerate().flat_map(|(index, layer)| {
        let weight = (layer.weight == parameter).then_some((index, false));
        let bias = (layer.bias == Some(parameter)).then_some((index, true));
        weight.into_iter().chain(bias)
    });
    let mut uses = uses;
    let first = uses.next()?;
    uses.next().is_none().then_some(first)
}

//! What a model makes of samples, by burn itself.

use std::fmt::{self, Debug};

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use influence_core::Values;
use ndarray::Array2;

use crate::{
    Batch, Error, Inputs, OutputLoss, Outputs, Result, Task, panic::guarded, trace::InRecordedType,
};

/// What a model says of samples: their losses and outputs, by burn itself, in inference mode and in
/// 32 bits.
///
/// For showing what influences are about. Influences themselves are computed from recorded graphs,
/// see [`Fit`](crate::Fit).
///
/// # Examples
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, TensorData}};
/// use influence_backend_burn::{Classification, Evaluator, batch_of};
///
/// #[derive(Module, Debug)]
/// struct Softmax { layer: Linear }
///
/// let device = Device::flex();
/// let model = Softmax { layer: LinearConfig::new(2, 3).init(&device) };
/// let task = Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x));
/// let evaluator = Evaluator::new(task, &model, &device);
/// let batch = batch_of(vec![TensorData::from([[1.0_f32, 0.0], [0.0, 1.0]]), TensorData::from([0_i64, 2])])?;
/// assert_eq!(evaluator.losses(&batch)?.len(), 2);
/// let outputs = evaluator.outputs(&batch)?.expect("classifications have outputs");
/// assert_eq!(outputs.values.dim(), (2, 3));
/// # Ok::<(), influence_backend_burn::Error>(())
/// ```
pub struct Evaluator<T: Task> {
    task: T,
    module: T::Module,
    device: Device,
}

impl<T: Task> Debug for Evaluator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").finish_non_exhaustive()
    }
}

impl<T: Task> Evaluator<T> {
    /// Takes a task, and a module as it is now, to a device.
    pub fn new(task: T, module: &T::Module, device: &Device) -> Self {
        let module = module.valid().map(&mut InRecordedType).fork(device);
        Self {
            task,
            module,
            device: device.clone(),
        }
    }

    /// The training loss of each sample.
    ///
    /// # Errors
    /// [`Error::Field`] when the batch does not have the fields that the task reads,
    /// [`Error::Engine`] when burn gives up.
    pub fn losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        let inputs = T::Inputs::read(batch.fields(), &self.device)?;
        let losses = guarded(|| Ok(self.task.loss(&self.module, inputs).into_data()))?;
        Ok(losses.iter::<f64>().collect())
    }

    /// The measurement of each sample: its loss, unless the task explains something else.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn measurements(&self, batch: &Batch) -> Result<Vec<f64>> {
        let inputs = T::Inputs::read(batch.fields(), &self.device)?;
        let measured = guarded(|| Ok(self.task.measurement(&self.module, inputs).into_data()))?;
        Ok(measured.iter::<f64>().collect())
    }

    /// The outputs of the samples and the loss that is taken of them, if the task declares them.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn outputs(&self, batch: &Batch) -> Result<Option<EvaluatedOutputs>> {
        let inputs = T::Inputs::read(batch.fields(), &self.device)?;
        let outputs = guarded(|| Ok(self.task.outputs(&self.module, inputs)))?;
        outputs
            .map(|outputs| EvaluatedOutputs::new(outputs, batch.len()))
            .transpose()
    }
}

/// [`Outputs`](crate::Outputs) of some samples, as host arrays.
#[derive(Debug)]
pub struct EvaluatedOutputs {
    /// One row per sample, `(n, outputs)`.
    pub values: Array2<f64>,
    /// The loss of a row.
    pub loss: OutputLoss,
    /// The weights of the loss, `(n, 1)` or `(n, positions)`; `None` is 1 everywhere.
    pub weights: Option<Array2<f64>>,
    /// The class of each position, `(n, positions)`, where no field of the batch has it.
    pub targets: Option<Values>,
}

impl EvaluatedOutputs {
    fn new(outputs: Outputs, samples: usize) -> Result<Self> {
        guarded(|| {
            let weights = outputs.weights.map(Tensor::into_data);
            let weights = weights.map(|weights| matrix(&weights, samples));
            let targets = outputs.targets.map(|targets| {
                let shape = targets.dims();
                let classes = targets.into_data().iter::<i64>().collect();
                Values::new::<i64>(classes, &shape)
            });
            Ok(Self {
                values: matrix(&outputs.values.into_data(), samples)?,
                loss: outputs.loss,
                weights: weights.transpose()?,
                targets: targets.transpose()?,
            })
        })
    }
}

fn matrix(values: &TensorData, samples: usize) -> Result<Array2<f64>> {
    let got = values.shape().to_vec();
    let columns = got.last().copied().unwrap_or(0);
    let numbers = values.iter::<f64>().collect();
    Array2::from_shape_vec((samples, columns), numbers).map_err(|_| Error::TaskShape {
        what: "the outputs",
        samples,
        expected: format!("[{samples}, outputs]"),
        got,
    })
}

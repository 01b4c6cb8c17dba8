//! What a model makes of samples, by burn itself.

use std::fmt::{self, Debug};

use burn::{
    module::Module,
    tensor::{Device, TensorData},
};
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
/// let (outputs, _) = evaluator.outputs(&batch)?.expect("classifications have outputs");
/// assert_eq!(outputs.dim(), (2, 3));
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

    /// The outputs of each sample, `(n, outputs)`, and the loss that is taken of them, if the task
    /// declares them.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn outputs(&self, batch: &Batch) -> Result<Option<(Array2<f64>, OutputLoss)>> {
        let inputs = T::Inputs::read(batch.fields(), &self.device)?;
        let outputs = guarded(|| {
            let outputs = self.task.outputs(&self.module, inputs);
            Ok(outputs.map(|Outputs { values, loss, .. }| (values.into_data(), loss)))
        })?;
        let Some((values, loss)) = outputs else {
            return Ok(None);
        };
        Ok(Some((matrix(&values, batch.len())?, loss)))
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

use std::{fmt, marker::PhantomData};

use burn::{
    module::Module,
    tensor::{Int, Tensor, activation::log_softmax},
};

use super::{Field, OutputLoss, Outputs, Task};

/// Classification by cross-entropy: inputs `I`, a tensor of any kind and rank, integer targets
/// `(n)`, logits `(n, classes)`.
///
/// # Examples
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor}};
/// use influence_backend_burn::{Classification, Task};
///
/// #[derive(Module, Debug)]
/// struct Softmax { layer: Linear }
///
/// let task = Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x));
/// let device = Device::flex();
/// let model = Softmax { layer: LinearConfig::new(4, 3).init(&device) };
/// let loss = task.loss(&model, (Tensor::ones([2, 4], &device), Tensor::from_data([0, 2], &device)));
/// assert_eq!(loss.dims(), [2]);
///
/// // What is explained of a test point is the logit of the first class.
/// let task = task.with_measurement(|logits, _| logits.narrow(1, 0, 1).squeeze_dim(1));
/// let measured = task.measurement(&model, (Tensor::ones([2, 4], &device), Tensor::from_data([0, 2], &device)));
/// assert_eq!(measured.dims(), [2]);
/// ```
pub struct Classification<M, I, F> {
    forward: F,
    measurement: Option<MeasuredOutputs<Tensor<1, Int>>>,
    module: PhantomData<fn(&M, I)>,
}

/// Regression by squared error, **mean** over outputs: inputs `I`, a tensor of any kind and rank,
/// targets and predictions `(n, outputs)`.
pub struct Regression<M, I, F> {
    forward: F,
    measurement: Option<MeasuredOutputs<Tensor<2>>>,
    module: PhantomData<fn(&M, I)>,
}

/// What is measured of outputs and targets.
type MeasuredOutputs<T> = Box<dyn Fn(Tensor<2>, T) -> Tensor<1> + Send + Sync>;

macro_rules! ready_made {
    ($task:ident, $targets:ty) => {
        impl<M, I: Field, F: Fn(&M, I) -> Tensor<2>> $task<M, I, F> {
            /// The task of a module with this forward pass.
            pub fn new(forward: F) -> Self {
                Self {
                    forward,
                    measurement: None,
                    module: PhantomData,
                }
            }

            /// Measures something else than the loss: a function of the outputs `(k, c)` and the
            /// targets, with a number for each sample, `(k)`.
            #[must_use]
            pub fn with_measurement(
                self,
                measurement: impl Fn(Tensor<2>, $targets) -> Tensor<1> + Send + Sync + 'static,
            ) -> Self {
                Self {
                    measurement: Some(Box::new(measurement)),
                    ..self
                }
            }
        }

        impl<M, I, F> fmt::Debug for $task<M, I, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($task)).finish_non_exhaustive()
            }
        }
    };
}

ready_made!(Classification, Tensor<1, Int>);
ready_made!(Regression, Tensor<2>);

impl<M, I, F> Task for Classification<M, I, F>
where
    M: Module + 'static,
    I: Field + 'static,
    F: Fn(&M, I) -> Tensor<2> + Send + Sync + 'static,
{
    type Module = M;
    type Inputs = (I, Tensor<1, Int>);

    fn loss(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        let log_probabilities = log_softmax((self.forward)(module, inputs), 1);
        log_probabilities
            .gather(1, targets.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }

    fn measurement(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        match &self.measurement {
            Some(measurement) => measurement((self.forward)(module, inputs), targets),
            None => self.loss(module, (inputs, targets)),
        }
    }

    fn outputs(&self, module: &M, (inputs, _): Self::Inputs) -> Option<Outputs> {
        let logits = (self.forward)(module, inputs);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

impl<M, I, F> Task for Regression<M, I, F>
where
    M: Module + 'static,
    I: Field + 'static,
    F: Fn(&M, I) -> Tensor<2> + Send + Sync + 'static,
{
    type Module = M;
    type Inputs = (I, Tensor<2>);

    fn loss(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        let residual = (self.forward)(module, inputs) - targets;
        residual.square().mean_dim(1).squeeze_dim(1)
    }

    fn measurement(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        match &self.measurement {
            Some(measurement) => measurement((self.forward)(module, inputs), targets),
            None => self.loss(module, (inputs, targets)),
        }
    }

    fn outputs(&self, module: &M, (inputs, _): Self::Inputs) -> Option<Outputs> {
        let predictions = (self.forward)(module, inputs);
        Some(Outputs::new(predictions, OutputLoss::MeanSquaredError))
    }
}

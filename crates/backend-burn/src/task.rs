//! The functions of a model: its training loss, the measurement, and its outputs.

mod inputs;
mod ready_made;

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Int, Tensor},
};
use influence_core::FieldForm;

pub use inputs::{Field, Inputs};
pub use ready_made::{Classification, Regression};

/// The functions of a model whose gradients and curvature count.
///
/// The methods run ordinary burn code on an unmodified module; the code is recorded once per shape
/// of batch and must not read the values of tensors. Losses are **unreduced**: one number per
/// sample, the loss of a batch of one. What is summed, averaged, weighted or masked *within* a
/// sample is in the recorded loss, and every curvature is that of the recorded loss. Curvatures are
/// means over training samples.
///
/// Recording does not see `detach`: gradients would flow through it, so that [`Fit`](crate::Fit)
/// refuses a task whose gradient differs from burn's own. Float tensors made inside these methods
/// are rounded to 32 bits; put data that need 64 into the batch or into a frozen parameter.
///
/// # Examples
/// ```
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor}};
/// use influence_backend_burn::Task;
///
/// #[derive(Module, Debug)]
/// struct Line { layer: Linear }
///
/// struct AbsoluteError;
///
/// impl Task for AbsoluteError {
///     type Module = Line;
///     type Inputs = (Tensor<2>, Tensor<2>);
///
///     fn loss(&self, line: &Line, (x, y): Self::Inputs) -> Tensor<1> {
///         (line.layer.forward(x) - y).abs().mean_dim(1).squeeze_dim(1)
///     }
/// }
///
/// let device = Device::flex();
/// let line = Line { layer: LinearConfig::new(3, 1).init(&device) };
/// let loss = AbsoluteError.loss(&line, (Tensor::ones([5, 3], &device), Tensor::ones([5, 1], &device)));
/// assert_eq!(loss.dims(), [5]);
/// ```
pub trait Task: Send + Sync + 'static {
    /// The model.
    type Module: Module + 'static;
    /// A batch of samples as tensors, samples along the first axis of each: a tuple such as
    /// `(Tensor<2>, Tensor<1, Int>)`.
    type Inputs: Inputs;

    /// What each field of a batch must be: by default what the type of the inputs says. A task
    /// whose inputs are known at run time only says it here.
    fn forms(&self) -> Vec<FieldForm> {
        Self::Inputs::forms()
    }

    /// The training loss of each sample, `(n)`.
    fn loss(&self, module: &Self::Module, inputs: Self::Inputs) -> Tensor<1>;

    /// The quantity explained for each test sample, `(k)`: its loss by default, or for example a
    /// margin, a logit, a log-probability.
    fn measurement(&self, module: &Self::Module, inputs: Self::Inputs) -> Tensor<1> {
        self.loss(module, inputs)
    }

    /// The outputs `(n, c)` on which the training loss acts, and how; the Gauss-Newton curvature
    /// needs them.
    ///
    /// Compute them as [`loss`](Self::loss) does, best by one function that both call: they are
    /// found again in the recorded loss, and their second derivative is taken from there or held
    /// against it.
    fn outputs(&self, _module: &Self::Module, _inputs: Self::Inputs) -> Option<Outputs> {
        None
    }
}

impl<T: Task> Task for Arc<T> {
    type Module = T::Module;
    type Inputs = T::Inputs;

    fn forms(&self) -> Vec<FieldForm> {
        (**self).forms()
    }

    fn loss(&self, module: &T::Module, inputs: T::Inputs) -> Tensor<1> {
        (**self).loss(module, inputs)
    }

    fn measurement(&self, module: &T::Module, inputs: T::Inputs) -> Tensor<1> {
        (**self).measurement(module, inputs)
    }

    fn outputs(&self, module: &T::Module, inputs: T::Inputs) -> Option<Outputs> {
        (**self).outputs(module, inputs)
    }
}

/// The outputs of a model, and the loss that acts on them.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use influence_backend_burn::{OutputLoss, Outputs};
///
/// let logits = Tensor::<2>::ones([4, 3], &Device::flex());
/// let of_samples = Tensor::<2>::from_data([[1.0], [5.0], [1.0], [0.0]], &Device::flex());
/// let outputs = Outputs::new(logits, OutputLoss::CrossEntropy).with_weights(of_samples);
/// assert!(outputs.weights.is_some());
/// ```
#[derive(Debug)]
pub struct Outputs {
    /// One row per sample, `(n, c)`; computed by the same operations as in the loss, which is a
    /// function of them and of the targets.
    pub values: Tensor<2>,
    /// The loss of a row.
    pub loss: OutputLoss,
    /// The weights of the loss: `(n, 1)` for a weight of each sample, `(n, positions)` for
    /// one of each position of a sequence, or of each output where outputs are lost on one by one.
    /// `None` is 1 everywhere.
    pub weights: Option<Tensor<2>>,
    /// The class of each position, `(n, positions)`, where the task makes targets of its inputs,
    /// such as the next tokens of a sequence; `None` where they are the last field of a batch. Only
    /// those who say how good a model is read it.
    pub targets: Option<Tensor<2, Int>>,
}

impl Outputs {
    /// Outputs `(n, c)` and their loss, each sample and position with a weight of 1.
    pub fn new(values: Tensor<2>, loss: OutputLoss) -> Self {
        Self {
            values,
            loss,
            weights: None,
            targets: None,
        }
    }

    /// Declares the weights of the loss, `(n, 1)` or `(n, positions)`: class weights, or zeros
    /// where a position is masked.
    ///
    /// The second derivative is right without it, since it is compared with the recorded loss;
    /// declaring them avoids a warning.
    #[must_use]
    pub fn with_weights(self, weights: Tensor<2>) -> Self {
        Self {
            weights: Some(weights),
            ..self
        }
    }

    /// Says which classes, `(n, positions)`, the loss takes for targets, where no field of the
    /// batch has them.
    #[must_use]
    pub fn with_targets(self, targets: Tensor<2, Int>) -> Self {
        Self {
            targets: Some(targets),
            ..self
        }
    }
}

/// A loss of outputs, characterised by its second derivative with respect to them.
///
/// The declaration is a short cut. It is compared with the recorded loss on every batch; where
/// the two differ by a factor for each sample or position (a sum in place of a mean, class weights,
/// masks), the factor is found and used, and where they differ otherwise the second derivative is
/// taken from the recorded loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLoss {
    /// Cross-entropy of the softmax of the outputs; second derivative `diag(p) − p pᵀ`.
    CrossEntropy,
    /// Squared error, **mean** over the `c` outputs; second derivative `2/c · I`, that of a normal
    /// distribution.
    MeanSquaredError,
    /// Binary cross-entropy of the sigmoids of the outputs, **mean** over the `c` outputs; second
    /// derivative `diag(p (1 − p)) / c`.
    BinaryCrossEntropy,
    /// Cross-entropy at each position of a sequence, **mean** over the positions: outputs
    /// `(n, positions · classes)`, those of a position side by side; second derivative
    /// `(diag(p) − p pᵀ) / positions` at each position.
    SequenceCrossEntropy {
        /// The number of classes of each position.
        classes: usize,
    },
    /// Any other loss: its second derivative is taken from the recorded loss, as a matrix `(c, c)`
    /// for each sample, or as one number for each output where outputs do not interact. For up to
    /// 512 outputs that interact.
    Derived,
}

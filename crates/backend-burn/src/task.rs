//! What is asked of a model: its training loss, the measurement, and its outputs.

mod evaluator;
mod inputs;
mod ready_made;

use std::sync::Arc;

use burn::{module::Module, tensor::Tensor};

pub use evaluator::Evaluator;
pub use inputs::{Field, FieldForm, FieldKind, Inputs};
pub use ready_made::{Classification, Regression};

/// The functions of a model whose gradients and curvature count.
///
/// The methods run ordinary burn code on an unmodified module; the code is recorded once per shape of batch and must not
/// read the values of tensors. Losses are **unreduced**: one number per sample, the loss of a batch of one, so that no
/// reduction can be got wrong. Curvatures are means over training samples.
///
/// Recording does not see `detach`: gradients would flow through it, so that [`Fit`](crate::Fit) refuses a task whose gradient differs from
/// burn's own. Float tensors made inside these methods are rounded to 32 bits; put data that need 64 into the batch or into a
/// frozen parameter.
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
    /// A batch of samples as tensors, samples along the first axis of each: a tuple such as `(Tensor<2>, Tensor<1, Int>)`.
    type Inputs: Inputs;

    /// The training loss of each sample, `(n)`.
    fn loss(&self, module: &Self::Module, inputs: Self::Inputs) -> Tensor<1>;

    /// What is asked about a test sample, `(k)`: its loss unless said otherwise, or a margin, a logit, a log-probability.
    fn measurement(&self, module: &Self::Module, inputs: Self::Inputs) -> Tensor<1> {
        self.loss(module, inputs)
    }

    /// The outputs `(n, c)` on which the training loss acts, and how; the Gauss-Newton curvature needs them.
    fn outputs(&self, _module: &Self::Module, _inputs: Self::Inputs) -> Option<Outputs> {
        None
    }
}

impl<T: Task> Task for Arc<T> {
    type Module = T::Module;
    type Inputs = T::Inputs;

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

/// Model outputs and the loss that is taken of them.
#[derive(Debug)]
pub struct Outputs {
    /// One row per sample, `(n, c)`.
    pub values: Tensor<2>,
    /// The loss of a row.
    pub loss: OutputLoss,
}

/// A loss whose second derivative with respect to the outputs is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLoss {
    /// Cross-entropy of the softmax of the outputs; second derivative `diag(p) − p pᵀ`.
    CrossEntropy,
    /// Squared error, **mean** over the `c` outputs; second derivative `2/c · I`, that of a normal distribution.
    MeanSquaredError,
    /// Binary cross-entropy of the sigmoids of the outputs, **mean** over the `c` outputs; second derivative `diag(p (1 − p)) / c`.
    BinaryCrossEntropy,
    /// Cross-entropy at each position of a sequence, **mean** over the positions: outputs `(n, positions · classes)`, those of a position side by
    /// side; second derivative `(diag(p) − p pᵀ) / positions` at each position.
    SequenceCrossEntropy {
        /// Among how many classes each position chooses.
        classes: usize,
    },
}

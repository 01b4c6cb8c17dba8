use std::{fmt, marker::PhantomData};

use burn::{
    module::Module,
    tensor::{Int, Tensor, activation::log_softmax},
};

use super::{OutputLoss, Outputs, Task};

/// Classification by cross-entropy: inputs of rank `D`, integer targets `(n)`, logits `(n, classes)`.
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
/// ```
pub struct Classification<M, const D: usize, F> {
    forward: F,
    module: PhantomData<fn(&M)>,
}

/// Regression by squared error, **mean** over outputs: inputs of rank `D`, targets and predictions `(n, outputs)`.
pub struct Regression<M, const D: usize, F> {
    forward: F,
    module: PhantomData<fn(&M)>,
}

macro_rules! ready_made {
    ($task:ident) => {
        impl<M, const D: usize, F: Fn(&M, Tensor<D>) -> Tensor<2>> $task<M, D, F> {
            /// The task of a module with this forward pass.
            pub fn new(forward: F) -> Self {
                Self {
                    forward,
                    module: PhantomData,
                }
            }
        }

        impl<M, const D: usize, F> fmt::Debug for $task<M, D, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($task)).finish_non_exhaustive()
            }
        }
    };
}

ready_made!(Classification);
ready_made!(Regression);

impl<M, const D: usize, F> Task for Classification<M, D, F>
where
    M: Module + 'static,
    F: Fn(&M, Tensor<D>) -> Tensor<2> + Send + Sync + 'static,
{
    type Module = M;
    type Inputs = (Tensor<D>, Tensor<1, Int>);

    fn loss(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        let log_probabilities = log_softmax((self.forward)(module, inputs), 1);
        log_probabilities
            .gather(1, targets.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }

    fn outputs(&self, module: &M, (inputs, _): Self::Inputs) -> Option<Outputs> {
        Some(Outputs {
            values: (self.forward)(module, inputs),
            loss: OutputLoss::CrossEntropy,
        })
    }
}

impl<M, const D: usize, F> Task for Regression<M, D, F>
where
    M: Module + 'static,
    F: Fn(&M, Tensor<D>) -> Tensor<2> + Send + Sync + 'static,
{
    type Module = M;
    type Inputs = (Tensor<D>, Tensor<2>);

    fn loss(&self, module: &M, (inputs, targets): Self::Inputs) -> Tensor<1> {
        let residual = (self.forward)(module, inputs) - targets;
        residual.square().mean_dim(1).squeeze_dim(1)
    }

    fn outputs(&self, module: &M, (inputs, _): Self::Inputs) -> Option<Outputs> {
        Some(Outputs {
            values: (self.forward)(module, inputs),
            loss: OutputLoss::MeanSquaredError,
        })
    }
}

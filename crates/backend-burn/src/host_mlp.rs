//! Small multilayer perceptrons that are trained on the host.
//!
//! Of a step of a small network, a tensor library spends most of the time on its own affairs: a
//! node of a graph for each operation, a tensor for each result, a table of gradients, an optimiser
//! that looks up each parameter. For 64-64-10 units and 64 samples the arithmetic is a fraction of
//! it. Experiments that retrain a network hundreds of times need the arithmetic alone, so it is
//! written out here: layer by layer into arrays that are made once,
//!
//! ```text
//! h_0 = x        h_{l+1} = f_l(h_l W_l + b_l)        ℓ = mean_i w_i loss(h_L, y)_i
//! δ_{L-1} = ∂ℓ/∂h_L ∘ f'        δ_{l-1} = (δ_l W_lᵀ) ∘ f'_{l-1}
//! ∂ℓ/∂W_l = h_lᵀ δ_l            ∂ℓ/∂b_l = Σ_i δ_l
//! ```
//!
//! The derivative of each activation is a function of its own value, so nothing else is kept. All
//! matrix products run in the calling thread: as many networks can be trained at a time as there
//! are cores, and each gives the bits that it gives alone.
//!
//! *What it is trusted for.* The layers are found in the recorded outputs of a task
//! ([`MlpShape::find`]), not in the types of its module. Between them there may be one of a few
//! activations, and the loss is the one that the task declares, where that is the cross-entropy or
//! the squared error without weights. What a recording does not show (dropout, another target, a
//! scaled input, a smoothed label) is found out by comparison: on the first samples of a training
//! the loss and the gradient must be those that burn's autodiff gives for the module itself in
//! training mode ([`MlpShape::host`]). Everything else is trained by burn.

mod find;
mod passes;
mod steps;
#[cfg(test)]
mod tests;

use burn::{module::Module, tensor::TensorData};
use ndarray::{Array1, Array2, ArrayView2};

use crate::trace::{ModuleParameters, WithValues};

pub use find::MlpShape;
pub use steps::{HostSteps, StepRule};

/// A multilayer perceptron with its loss, on the host, in 32 bits.
#[derive(Debug, Clone)]
pub struct HostMlp {
    layers: Vec<HostLayer>,
    loss: HostLoss,
    /// The layer of each trained parameter, and whether it is the bias, in the order of the layout.
    places: Vec<(usize, bool)>,
}

/// A loss of the outputs of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostLoss {
    CrossEntropy,
    /// The mean over the outputs.
    SquaredError,
}

/// An elementwise function whose derivative is a function of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostActivation {
    Identity,
    Relu,
    Tanh,
    Sigmoid,
}

/// A dense layer with the function behind it.
#[derive(Debug, Clone)]
struct HostLayer {
    /// `(in, out)`, or `(out, in)` if it is stored transposed.
    weight: Array2<f32>,
    transposed: bool,
    bias: Option<Array1<f32>>,
    activation: HostActivation,
    /// `f(h W + b)`, a row for each sample of the largest batch so far.
    outputs: Array2<f32>,
    /// The derivative of the loss by `h W + b`.
    deltas: Array2<f32>,
    weight_gradient: Array2<f32>,
    bias_gradient: Array1<f32>,
}

/// A weight as `(in, out)`.
fn oriented(weight: &Array2<f32>, transposed: bool) -> ArrayView2<'_, f32> {
    if transposed {
        weight.t()
    } else {
        weight.view()
    }
}

impl HostMlp {
    /// How many numbers an input has.
    fn width(&self) -> usize {
        let first = self.layers.first();
        first.map_or(0, |layer| oriented(&layer.weight, layer.transposed).nrows())
    }

    /// Calls `step` with the number, the values and the gradient of each trained parameter, in the
    /// order of the layout.
    fn update(&mut self, mut step: impl FnMut(usize, &mut [f32], &[f32])) {
        for (index, &(layer, is_bias)) in self.places.iter().enumerate() {
            let layer = &mut self.layers[layer];
            let (values, gradient) = match (&mut layer.bias, is_bias) {
                (Some(bias), true) => (bias.as_slice_mut(), layer.bias_gradient.as_slice()),
                _ => (
                    layer.weight.as_slice_mut(),
                    layer.weight_gradient.as_slice(),
                ),
            };
            if let (Some(values), Some(gradient)) = (values, gradient) {
                step(index, values, gradient);
            }
        }
    }

    /// The module with these values of its trained parameters, in inference mode.
    pub fn module<M: Module>(&self, of: &M) -> M {
        let ModuleParameters {
            layout, indices, ..
        } = ModuleParameters::of(of);
        let places = self.places.iter().zip(layout.parameters());
        let values = places.map(|(&(layer, is_bias), parameter)| {
            let layer = &self.layers[layer];
            let numbers: Vec<f32> = match (&layer.bias, is_bias) {
                (Some(bias), true) => bias.to_vec(),
                _ => layer.weight.iter().copied().collect(),
            };
            TensorData::new(numbers, parameter.shape.clone())
        });
        let values: Vec<TensorData> = values.collect();
        of.valid().map(&mut WithValues {
            indices: &indices,
            values: &values,
        })
    }
}

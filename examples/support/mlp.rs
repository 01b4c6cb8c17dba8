//! A small network and its training in ordinary burn code, for several examples.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use influence::{Classification, Task};

use crate::digits::Digits;

/// 64 pixels, 16 hidden units, 10 classes.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    hidden: Linear,
    last: Linear,
}

/// Cross-entropy of the classes.
pub(crate) fn task() -> impl Task<Module = Mlp, Inputs = (Tensor<2>, Tensor<1, burn::tensor::Int>)>
{
    Classification::new(|model: &Mlp, x: Tensor<2>| {
        model.last.forward(model.hidden.forward(x).tanh())
    })
}

/// Trains a network with Adam; the result is the same each time.
pub(crate) fn trained(digits: &Digits) -> Mlp {
    const BATCH: usize = 50;
    let device = Device::flex().autodiff();
    device.seed(0);
    let mut model = Mlp {
        hidden: LinearConfig::new(64, 16).init(&device),
        last: LinearConfig::new(16, 10).init(&device),
    };
    let mut optimiser = AdamConfig::new().init();
    for _ in 0..20 {
        for (pixels, labels) in digits
            .pixels
            .chunks(64 * BATCH)
            .zip(digits.labels.chunks(BATCH))
        {
            let n = labels.len();
            let x = Tensor::from_data(TensorData::new(pixels.to_vec(), [n, 64]), &device);
            let y = Tensor::from_data(TensorData::new(labels.to_vec(), [n]), &device);
            let gradients = task().loss(&model, (x, y)).mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimiser.step(0.01, model, gradients);
        }
    }
    model.valid()
}

//! The whole command line for a custom burn model.
//!
//! ```sh
//! cargo build --release --example own_model && cd examples
//! ../target/release/examples/own_model train own_model.toml   # writes own_model.safetensors
//! ../target/release/examples/own_model run own_model.toml     # writes own_model.zarr
//! ../target/release/examples/own_model report own_model.zarr  # writes own_model.html
//! ```

use std::process::ExitCode;

use burn::{
    module::Module,
    nn::{
        Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
        pool::{AvgPool2d, AvgPool2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};
use influence::Classification;
use influence_cli::{OwnModel, run_with};

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: AvgPool2d,
    head: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        Self {
            conv1: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            conv2: Conv2dConfig::new([4, 8], [3, 3]).init(device),
            pool: AvgPool2dConfig::new([2, 2]).init(),
            head: LinearConfig::new(8 * 2 * 2, 10).init(device),
        }
    }

    /// Images `(n, 1, 8, 8)` to logits `(n, 10)`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let hidden = relu(self.conv2.forward(relu(self.conv1.forward(images))));
        self.head.forward(self.pool.forward(hidden).flatten(1, 3))
    }
}

fn main() -> ExitCode {
    let task = Classification::new(|cnn: &Cnn, images: Tensor<4>| cnn.forward(images));
    run_with(&OwnModel::new(task, Cnn::new), std::env::args_os())
}

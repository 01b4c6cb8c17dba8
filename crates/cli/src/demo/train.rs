//! Training the network of the demonstration.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams, decay::WeightDecayConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_backend_burn::{Classification, Task};
use rand::{Rng, RngExt, seq::SliceRandom};

use super::digits::{CLASSES, PIXELS, Points};
use crate::{
    config::Layer,
    model::{Architecture, Sequential},
    weights::Weights,
};

const HIDDEN: usize = 32;
const EPOCHS: usize = 40;
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 0.01;
/// Keeps the network from learning the flipped labels by heart.
const WEIGHT_DECAY: f32 = 1e-3;

/// A network 64-32-10, trained with Adam on the labels that the points claim.
pub(super) fn train(points: &Points, device: &Device, random: &mut impl Rng) -> Result<Sequential> {
    let device = device.clone().autodiff();
    let mut model = initial(&device, random)?;
    let task = Classification::new(|model: &Sequential, x: Tensor<2>| model.forward(x));
    let mut optimiser = AdamConfig::new()
        .with_weight_decay(Some(WeightDecayConfig::new(WEIGHT_DECAY)))
        .init();
    let mut order: Vec<usize> = (0..points.len()).collect();
    for _ in 0..EPOCHS {
        order.shuffle(random);
        for batch in order.chunks(BATCH) {
            let (images, labels) = points.tensors(batch);
            let inputs = (
                Tensor::from_data(images, &device),
                Tensor::from_data(labels, &device),
            );
            let gradients = task.loss(&model, inputs).mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimiser.step(LEARNING_RATE, model, gradients);
        }
    }
    Ok(model.valid())
}

/// The class that the model gives each point.
pub(super) fn predict(model: &Sequential, points: &Points, device: &Device) -> Result<Vec<usize>> {
    let (images, _) = points.tensors(&(0..points.len()).collect::<Vec<_>>());
    let classes = model
        .forward(Tensor::from_data(images, device))
        .argmax(1)
        .into_data();
    let class =
        |class: i64| usize::try_from(class).map_err(|_| anyhow!("the class {class} is negative"));
    classes.iter::<i64>().map(class).collect()
}

fn initial(device: &Device, random: &mut impl Rng) -> Result<Sequential> {
    let mut tensors = BTreeMap::new();
    for (name, outputs, inputs) in [("fc1", HIDDEN, PIXELS), ("fc2", CLASSES, HIDDEN)] {
        tensors.insert(
            format!("{name}.weight"),
            uniform(&[outputs, inputs], inputs, random),
        );
        tensors.insert(format!("{name}.bias"), uniform(&[outputs], inputs, random));
    }
    let weights = Weights::new("the demonstration", tensors);
    let layers = [
        Layer::Linear { name: "fc1".into() },
        Layer::Tanh {},
        Layer::Linear { name: "fc2".into() },
    ];
    Architecture::plan(&layers, &weights, &[PIXELS])?.build(&weights, device)
}

/// Numbers between plus and minus `1/√inputs`, as PyTorch begins.
fn uniform(shape: &[usize], inputs: usize, random: &mut impl Rng) -> TensorData {
    let bound = (inputs as f32).sqrt().recip();
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (random.random::<f32>() * 2.0 - 1.0) * bound)
        .collect();
    TensorData::new(values, shape.to_vec())
}

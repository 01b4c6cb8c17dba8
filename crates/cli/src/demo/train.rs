//! Training the network of the demonstration.

use anyhow::{Result, anyhow};
use burn::tensor::{Device, Tensor};
use influence_backend_burn::{Batch, Classification};
use rand::Rng;

use super::digits::{CLASSES, PIXELS, Points};
use crate::{
    config::{Layer, Training},
    model::{Architecture, Sequential, initial_weights},
    train::{Gather, descend},
};

const HIDDEN: usize = 32;
const EPOCHS: usize = 40;
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 0.01;
/// Keeps the network from learning the flipped labels by heart.
const WEIGHT_DECAY: f32 = 1e-3;

/// A network 64-32-10, trained with Adam on the labels that the points claim.
pub(super) fn train(points: &Points, device: &Device, random: &mut impl Rng) -> Result<Sequential> {
    let layer = |name: &str, outputs| Layer::Linear {
        name: name.into(),
        outputs: Some(outputs),
        bias: None,
    };
    let layers = [layer("fc1", HIDDEN), Layer::Tanh {}, layer("fc2", CLASSES)];
    let weights = initial_weights(&layers, &[PIXELS], random)?;
    let model = Architecture::plan(&layers, &weights, &[PIXELS])?.build(&weights, device)?;
    let task = Classification::new(|model: &Sequential, x: Tensor<2>| model.forward(x));
    let settings = Training {
        learning_rate: LEARNING_RATE,
        epochs: EPOCHS,
        batch: BATCH,
        weight_decay: WEIGHT_DECAY,
        ..Training::default()
    };
    descend(
        (&task, model),
        device,
        &settings,
        points,
        random,
        &mut |_| Ok(()),
    )
}

impl Gather for Points {
    fn count(&self) -> usize {
        self.len()
    }

    fn gather(&self, points: &[usize]) -> Result<Batch> {
        let (images, labels) = self.tensors(points);
        Ok(Batch::new(vec![images, labels])?)
    }
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

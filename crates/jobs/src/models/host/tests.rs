use std::sync::Arc;

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use influence_backend_burn::{Batch, Classification, MlpShape, batch_of};

use super::*;
use crate::{config::Schedule, models::descent};

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    last: Linear,
}

fn wave(count: usize, seed: f32) -> Vec<f32> {
    let wave = (1..=count).map(|index| (12.9898 * index as f32 + 78.233 * seed).sin() * 0.7);
    wave.collect()
}

impl Net {
    fn new() -> Self {
        let device = Device::flex();
        let layer = |input: usize, output: usize, seed| {
            let weight = TensorData::new(wave(input * output, seed), [input, output]);
            let bias = TensorData::new(wave(output, seed + 0.5), [output]);
            Linear {
                weight: Param::from_tensor(Tensor::from_data(weight, &device)),
                bias: Some(Param::from_tensor(Tensor::from_data(bias, &device))),
            }
        };
        Self {
            first: layer(4, 6, 1.0),
            last: layer(6, 3, 2.0),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x).tanh())
    }

    fn values(&self) -> Vec<f32> {
        let of = |layer: &Linear| {
            let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
            let weight = layer.weight.val().into_data();
            [Some(weight), bias].into_iter().flatten()
        };
        let all = of(&self.first).chain(of(&self.last));
        all.flat_map(|data| data.iter::<f32>().collect::<Vec<_>>())
            .collect()
    }
}

fn points() -> Result<Batch> {
    let classes: Vec<i64> = (0..23).map(|point| point * 7 % 3).collect();
    let inputs = TensorData::new(wave(23 * 4, 3.0), [23, 4]);
    Ok(batch_of(vec![inputs, TensorData::new(classes, [23])])?)
}

/// The weights after a training by burn and on the host, and the losses of the epochs.
fn both(settings: &Training, weights: Option<&[f32]>) -> Result<[(Vec<f32>, Vec<f64>); 2]> {
    let (task, net, points) = (
        Arc::new(Classification::new(Net::forward)),
        Net::new(),
        points()?,
    );
    let course = Course {
        settings,
        seed: 5,
        points: &points,
        weights,
    };
    let mut losses = [Vec::new(), Vec::new()];
    let [by_burn, own] = &mut losses;
    let after = &mut |epoch: descent::Epoch<'_, Net>| {
        by_burn.push(epoch.loss);
        Ok(())
    };
    let burnt = descent::descend((&*task, net.clone()), &Device::flex(), &course, after)?;
    let shape = MlpShape::find(&task, &net, &points).expect("a perceptron");
    let mut host = shape.host(&*task, &net, &points)?.expect("as by burn");
    descend(&mut host, &course, &mut |_, loss, _| {
        own.push(loss);
        Ok(())
    })?;
    let values = [burnt.values(), host.module(&net).values()];
    let mut all = values.into_iter().zip(losses);
    Ok([(); 2].map(|()| all.next().unwrap_or_default()))
}

#[test]
fn trainings_on_the_host_are_those_of_burn() -> Result<()> {
    let sgd = Training {
        optimiser: Optimiser::Sgd,
        learning_rate: 0.1,
        epochs: 6,
        batch: 5,
        ..Training::default()
    };
    let momentum = Training {
        momentum: 0.9,
        weight_decay: 0.02,
        schedule: Schedule::Cosine,
        ..sgd.clone()
    };
    let adam = Training {
        optimiser: Optimiser::Adam,
        learning_rate: 0.02,
        ..sgd.clone()
    };
    let decayed = Training {
        weight_decay: 0.05,
        ..adam.clone()
    };
    let weights: Vec<f32> = (0..23).map(|point| [0.0, 1.0, 2.0][point % 3]).collect();
    let start = Net::new().values();
    for settings in [sgd, momentum, adam, decayed] {
        for weights in [None, Some(&weights[..])] {
            let [(burnt, losses), (own, own_losses)] = both(&settings, weights)?;
            let mut moved = 0.0_f32;
            for ((burnt, own), start) in burnt.iter().zip(&own).zip(&start) {
                assert!((burnt - own).abs() < 2e-5, "{settings:?}: {burnt} {own}");
                moved = moved.max((burnt - start).abs());
            }
            assert!(moved > 0.02, "{settings:?}: {moved}");
            for (loss, own) in losses.iter().zip(&own_losses) {
                assert!((loss - own).abs() < 1e-5, "{settings:?}: {loss} {own}");
            }
            assert_eq!((losses.len(), own_losses.len()), (6, 6));
        }
    }
    Ok(())
}

/// `torch.optim.SGD` with `CosineAnnealingLR`, in 64 bits, from the same weights: six steps on all
/// points at once.
const BY_TORCH: [f32; 3] = [0.669_478, 0.686_511, 0.491_735];

#[test]
fn a_cosine_schedule_gives_the_weights_of_torch() -> Result<()> {
    let settings = Training {
        optimiser: Optimiser::Sgd,
        momentum: 0.9,
        weight_decay: 0.02,
        learning_rate: 0.4,
        schedule: Schedule::Cosine,
        epochs: 6,
        batch: 23,
        ..Training::default()
    };
    for (values, losses) in both(&settings, None)? {
        for (bias, expected) in values.iter().rev().zip(BY_TORCH.iter().rev()) {
            assert!((bias - expected).abs() < 1e-5, "{bias} {expected}");
        }
        assert!((losses[0] - 1.100_123).abs() < 1e-5 && (losses[5] - 1.086_862).abs() < 1e-5);
    }
    let constant = Training {
        schedule: Schedule::Constant,
        ..settings
    };
    let [(values, _), _] = both(&constant, None)?;
    assert!((values[values.len() - 1] - BY_TORCH[2]).abs() > 1e-2);
    Ok(())
}

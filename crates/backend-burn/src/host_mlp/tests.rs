use std::sync::Arc;

use burn::{
    module::Param,
    nn::{Dropout, DropoutConfig, Linear},
    tensor::{Device, Int, Tensor, activation},
};

use super::*;
use crate::{
    Batch, Classification, OutputLoss, Outputs, Regression, Result, Task, batch_of,
    trace::{ModuleTrace, Trace},
};

const SAMPLES: usize = 11;

/// Numbers that look random, of the size of weights.
fn wave(count: usize, seed: f32) -> Vec<f32> {
    (1..=count)
        .map(|index| (12.9898 * index as f32 + 78.233 * seed).sin() * 0.7)
        .collect()
}

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    last: Linear,
    dropout: Dropout,
}

impl Net {
    fn new(classes: usize) -> Self {
        let tensor = |shape: [usize; 2], seed| {
            let data = TensorData::new(wave(shape[0] * shape[1], seed), shape);
            Tensor::<2>::from_data(data, &Device::flex())
        };
        let layer = |[input, output]: [usize; 2], seed| Linear {
            weight: Param::from_tensor(tensor([input, output], seed)),
            bias: Some(Param::from_tensor(
                tensor([1, output], seed + 0.5).squeeze_dim(0),
            )),
        };
        Self {
            first: layer([4, 6], 1.0),
            last: layer([6, classes], 2.0),
            dropout: DropoutConfig::new(0.2).init(),
        }
    }

    fn with(&self, x: Tensor<2>, between: fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        self.last.forward(between(self.first.forward(x)))
    }
}

fn batch(targets: TensorData) -> Result<Batch> {
    batch_of(vec![
        TensorData::new(wave(SAMPLES * 4, 3.0), [SAMPLES, 4]),
        targets,
    ])
}

fn classes() -> TensorData {
    let classes: Vec<i64> = (0..11).map(|sample| sample * 7 % 3).collect();
    TensorData::new(classes, [SAMPLES])
}

fn numbers() -> TensorData {
    TensorData::new(wave(SAMPLES * 2, 4.0), [SAMPLES, 2])
}

fn host<T: Task>(task: &Arc<T>, net: &T::Module, batch: &Batch) -> Result<Option<HostMlp>> {
    match MlpShape::find(task, net, batch) {
        Some(shape) => shape.host(&**task, net, batch),
        None => Ok(None),
    }
}

/// Compares weighted gradients with those of burn, and gives the largest entry.
fn gradients_agree<T: Task>(task: T, net: &T::Module, batch: &Batch) -> Result<()> {
    let task = Arc::new(task);
    let mut host = host(&task, net, batch)?.expect("a perceptron");
    let weights: Vec<f32> = (0..SAMPLES)
        .map(|sample| [0.0, 1.0, 2.5][sample % 3])
        .collect();
    let loss = host.differentiate(batch, Some(&weights))?;
    let trace = ModuleTrace::new(Arc::clone(&task), net);
    let shares: Vec<f64> = weights
        .iter()
        .map(|&weight| f64::from(weight) / SAMPLES as f64)
        .collect();
    let expected = trace
        .independent_gradient(batch, trace.values(), &shares)
        .expect("burn manages");
    let mut largest = 0.0_f64;
    host.update(|index, _, gradient| {
        for (own, other) in gradient.iter().zip(&expected[index]) {
            assert!((f64::from(*own) - other).abs() < 1e-6, "{own} {other}");
            largest = largest.max(other.abs());
        }
    });
    assert!(largest > 0.05, "{largest}");
    // Twice the batch has the same mean.
    let twice: Vec<f32> = [weights.clone(), weights].concat();
    let again = host.differentiate(&batch.doubled(), Some(&twice))?;
    assert!((loss - again).abs() < 1e-6);
    assert!(loss > 0.05);
    Ok(())
}

#[test]
fn gradients_are_those_of_burn() -> Result<()> {
    let activations: [fn(Tensor<2>) -> Tensor<2>; 4] = [
        activation::relu,
        activation::tanh,
        activation::sigmoid,
        |x| x,
    ];
    for between in activations {
        let forward = move |net: &Net, x: Tensor<2>| net.with(x, between);
        gradients_agree(
            Classification::new(forward),
            &Net::new(3),
            &batch(classes())?,
        )?;
        gradients_agree(Regression::new(forward), &Net::new(2), &batch(numbers())?)?;
    }
    Ok(())
}

#[test]
fn the_module_takes_the_weights_of_the_host() -> Result<()> {
    let task = Arc::new(Classification::new(|net: &Net, x| {
        net.with(x, activation::relu)
    }));
    let (net, batch) = (Net::new(3), batch(classes())?);
    let mut host = host(&task, &net, &batch)?.expect("a perceptron");
    host.update(|_, values, _| values.iter_mut().for_each(|value| *value *= 2.0));
    let values = |net: &Net| ModuleTrace::new(Arc::clone(&task), net).values().to_vec();
    for (before, after) in values(&net).iter().zip(values(&host.module(&net))) {
        let doubled: Vec<f32> = before.iter::<f32>().map(|value| 2.0 * value).collect();
        assert_eq!(doubled, after.iter::<f32>().collect::<Vec<_>>());
    }
    Ok(())
}

/// A cross-entropy that does not say all that it does.
struct Undeclared(fn(Tensor<1>) -> Tensor<1>);

impl Task for Undeclared {
    type Module = Net;
    type Inputs = (Tensor<2>, Tensor<1, Int>);

    fn loss(&self, net: &Net, (x, classes): Self::Inputs) -> Tensor<1> {
        let outputs = activation::log_softmax(net.with(x, activation::relu), 1);
        (self.0)(
            outputs
                .gather(1, classes.unsqueeze_dim(1))
                .neg()
                .squeeze_dim(1),
        )
    }

    fn outputs(&self, net: &Net, (x, _): Self::Inputs) -> Option<Outputs> {
        Some(Outputs::new(
            net.with(x, activation::relu),
            OutputLoss::CrossEntropy,
        ))
    }
}

#[test]
fn what_is_computed_otherwise_is_left_to_burn() -> Result<()> {
    let batch = batch(classes())?;
    let refused = |forward: fn(&Net, Tensor<2>) -> Tensor<2>| {
        let host = host(
            &Arc::new(Classification::new(forward)),
            &Net::new(3),
            &batch,
        );
        host.map(|host| host.is_none())
    };
    assert!(refused(|net, x| net.with(x, activation::gelu))?);
    assert!(refused(|net, x| net.with(x * 2.0, activation::relu))?);
    assert!(refused(
        |net, x| net.with(x, |hidden| activation::relu(hidden.clone()) + hidden)
    )?);
    assert!(refused(|net, x| {
        net.last
            .forward(net.dropout.forward(activation::relu(net.first.forward(x))))
    })?);
    let plain = Arc::new(Undeclared(|loss| loss));
    assert!(host(&plain, &Net::new(3), &batch)?.is_some());
    let shifted = Arc::new(Undeclared(|loss| loss * 0.9 + 0.1));
    assert!(host(&shifted, &Net::new(3), &batch)?.is_none());
    Ok(())
}

#[test]
fn classes_without_an_output_are_refused() -> Result<()> {
    let task = Arc::new(Classification::new(|net: &Net, x| {
        net.with(x, activation::relu)
    }));
    let mut host = host(&task, &Net::new(3), &batch(classes())?)?.expect("a perceptron");
    let other = TensorData::new(vec![3_i64; SAMPLES], [SAMPLES]);
    assert!(host.differentiate(&batch(other)?, None).is_err());
    Ok(())
}

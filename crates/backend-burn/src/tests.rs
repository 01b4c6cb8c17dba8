//! Gradients and curvatures of real models against slow, independent ways to compute them.

mod bool_fields;
mod chains;
mod compact;
mod conformance;
mod curvatures;
mod footprint;
mod gauss_newton;
mod kronecker;
mod leverage;
mod likelihood;
mod mixed_products;
mod models;
mod outputs;
mod passes;
mod per_sample_gradients;
mod proximal;
mod recording;
mod saved;
mod taps;
mod traces;
mod unrolled;

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Device, TensorData},
};
use influence_core::Precision;

use crate::{
    ArrayDataset, Batch, ModelGradients, Task, curvature::TrainingData, trace::ModuleTrace,
};

/// Numbers that look random and are the same everywhere.
pub(crate) fn wave(count: usize, seed: f64) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    (1..=count)
        .map(|index| (12.9898 * index as f64 + 78.233 * seed).sin())
        .collect()
}

fn floats(shape: &[usize], seed: f64) -> TensorData {
    TensorData::new(wave(shape.iter().product(), seed), shape)
}

fn labels(samples: usize, classes: usize) -> TensorData {
    let labels: Vec<i64> = (0..samples)
        .map(|sample| i64::try_from((sample * 7 + 1) % classes).unwrap_or(0))
        .collect();
    TensorData::new(labels, [samples])
}

fn source<T: Task>(
    task: T,
    module: &T::Module,
    batch: &Batch,
    precision: Precision,
) -> crate::Result<ModelGradients> {
    ModelGradients::new(
        Arc::new(ModuleTrace::new(task, module)),
        &Device::flex(),
        precision,
    )?
    .checked_for(crate::Curvature::Hessian, batch)
}

fn data(fields: Vec<TensorData>, batch_size: usize) -> TrainingData {
    let dataset = ArrayDataset::new(fields).expect("the fields have as many samples");
    TrainingData::new(Arc::new(dataset), batch_size).expect("there are samples")
}

/// The largest difference, relative to the largest entry of the reference.
fn difference(values: &[f64], reference: &[f64]) -> f64 {
    assert_eq!(values.len(), reference.len());
    let scale = reference
        .iter()
        .fold(0.0_f64, |scale, value| scale.max(value.abs()));
    assert!(scale > 0.0, "a reference of zeros tests nothing");
    values
        .iter()
        .zip(reference)
        .fold(0.0_f64, |largest, (a, b)| largest.max((a - b).abs()))
        / scale
}

/// The module with its parameters, in order, moved along a direction.
fn moved<M: Module>(module: &M, direction: &[f64], step: f64) -> M {
    models::Move::along(direction, step).apply(module.clone())
}

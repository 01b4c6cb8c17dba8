//! Digests that tie a fitted state to the model and the data it was made from.

use burn::tensor::TensorData;
use influence_core::{Result as CoreResult, Values, block::ParameterLayout};
use sha2::{Digest, Sha256};

use crate::{
    Batch, FitStep,
    curvature::TrainingData,
    dataset::{dtype, tensor_data},
};

/// The digest of all parameters, trained and frozen, and of the names and shapes of those that are
/// trained.
pub(super) fn of_parameters(layout: &ParameterLayout, values: &[TensorData]) -> String {
    let mut hash = Sha256::new();
    for parameter in layout.parameters() {
        hash.update(format!("{} {:?}\n", parameter.name, parameter.shape));
    }
    for value in values {
        hash.update(format!("{:?} {:?}", value.dtype(), value.shape()));
        hash.update(value.as_bytes());
    }
    shown(hash)
}

/// The digest of all samples, field by field, so that it does not depend on the batches.
pub(super) fn of_data(data: &TrainingData) -> CoreResult<String> {
    let read = |index| {
        let watch = &data.watch;
        watch.fitting(FitStep::Batches, index, data.batches());
        data.glimpse(index)
    };
    of_batches((0..data.batches()).map(read))
}

/// The digest of few samples from all over the data.
pub(super) fn of_spread(data: &TrainingData) -> CoreResult<String> {
    of_batches(data.spread())
}

fn of_batches(batches: impl Iterator<Item = CoreResult<Batch>>) -> CoreResult<String> {
    let mut fields: Vec<Sha256> = Vec::new();
    for batch in batches {
        let batch = batch?;
        if fields.is_empty() {
            fields.extend(batch.fields().iter().map(described));
        }
        for (hash, values) in fields.iter_mut().zip(batch.fields()) {
            hash.update(tensor_data(values).as_bytes());
        }
    }
    let mut whole = Sha256::new();
    for field in fields {
        whole.update(field.finalize());
    }
    Ok(shown(whole))
}

/// A digest begun with the kind of the numbers and the shape of a sample.
fn described(values: &Values) -> Sha256 {
    let sample = &values.shape()[1..];
    Sha256::new_with_prefix(format!("{:?} {sample:?}", dtype(values)))
}

fn shown(hash: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

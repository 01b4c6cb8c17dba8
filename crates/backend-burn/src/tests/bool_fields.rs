//! Truth values that a model reads from a field of a batch.

use burn::tensor::{Bool, Int, Tensor, TensorData, activation::log_softmax};
use influence_core::Precision;

use super::{difference, labels, models::Mlp, source, wave};
use crate::{Batch, Classification, ModelGradients, Task, tensors::host, trace::Function};

const SHAPE: [usize; 2] = [6, 5];

/// Classification of inputs in which some entries count as zero: those that a field marks.
struct Masked;

impl Task for Masked {
    type Module = Mlp;
    type Inputs = (Tensor<2>, Tensor<2, Bool>, Tensor<1, Int>);

    fn loss(&self, module: &Mlp, (x, mask, targets): Self::Inputs) -> Tensor<1> {
        log_softmax(module.tanh(x.mask_fill(mask, 0.0)), 1)
            .gather(1, targets.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }
}

fn gradients(source: &ModelGradients, batch: &Batch) -> Vec<f64> {
    let gradients = source.gradients_of(Function::Loss, batch, None);
    host(&gradients.expect("gradients").to_rows()).expect("rows")
}

#[test]
fn the_truth_values_of_a_field_reach_the_model() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let x = wave(30, 1.0);
    let mask: Vec<bool> = (0..30)
        .map(|index| index % 7 == 2 || index % 4 == 1)
        .collect();
    let zeroed: Vec<f64> = x
        .iter()
        .zip(&mask)
        .map(|(value, masked)| if *masked { 0.0 } else { *value })
        .collect();
    let batch = |fields| crate::batch_of(fields).expect("a batch");
    let masked = batch(vec![
        TensorData::new(x, SHAPE),
        TensorData::new(mask, SHAPE),
        labels(6, 3),
    ]);
    let plain = batch(vec![TensorData::new(zeroed, SHAPE), labels(6, 3)]);
    for (precision, tolerance) in [(Precision::F64, 1e-12), (Precision::F32, 1e-5)] {
        let reads = source(Masked, &mlp, &masked, precision).expect("a source");
        let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
        let expected = source(task, &mlp, &plain, precision).expect("a source");
        let got = gradients(&reads, &masked);
        assert!(difference(&got, &gradients(&expected, &plain)) < tolerance);
    }
}

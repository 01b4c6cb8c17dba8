//! Losses with a known distribution of outputs.

use burn::tensor::{Device, Tensor};
use influence_core::Precision;
use ndarray::{Array2, Axis};

use super::{difference, wave};
use crate::{
    OutputLoss,
    likelihood::{drawn, square_root_factors},
    tensors::{host, tensor},
};

const LOSSES: [OutputLoss; 4] = [
    OutputLoss::CrossEntropy,
    OutputLoss::MeanSquaredError,
    OutputLoss::BinaryCrossEntropy,
    OutputLoss::SequenceCrossEntropy { classes: 3 },
];

fn outputs() -> Tensor<2> {
    tensor(
        wave(12, 3.0).into_iter(),
        [2, 6],
        &Device::flex(),
        Precision::F64,
    )
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

/// The second derivative of the loss by the outputs of one sample.
fn second_derivative(loss: OutputLoss, outputs: &[f64]) -> Array2<f64> {
    let width = outputs.len();
    let mut matrix = Array2::zeros((width, width));
    let classes = match loss {
        OutputLoss::SequenceCrossEntropy { classes } => classes,
        _ => width,
    };
    match loss {
        OutputLoss::MeanSquaredError => matrix.diag_mut().fill(2.0 / width as f64),
        OutputLoss::BinaryCrossEntropy => {
            for (j, logit) in outputs.iter().enumerate() {
                let p = 1.0 / (1.0 + (-logit).exp());
                matrix[[j, j]] = p * (1.0 - p) / width as f64;
            }
        }
        _ => {
            let positions = (width / classes) as f64;
            for (position, logits) in outputs.chunks_exact(classes).enumerate() {
                let p = softmax(logits);
                for (i, j) in (0..classes).flat_map(|i| (0..classes).map(move |j| (i, j))) {
                    let own = if i == j { p[i] } else { 0.0 };
                    let place = [position * classes + i, position * classes + j];
                    matrix[place] = (own - p[i] * p[j]) / positions;
                }
            }
        }
    }
    matrix
}

fn rows(values: &Tensor<2>) -> Array2<f64> {
    Array2::from_shape_vec((2, 6), host(values).expect("values")).expect("rows")
}

/// The sum of outer products of a sample's vectors.
fn moments(vectors: impl Iterator<Item = Array2<f64>>, sample: usize) -> Vec<f64> {
    let mut sum = Array2::<f64>::zeros((6, 6));
    for vector in vectors {
        let column = vector.row(sample).to_owned().insert_axis(Axis(1));
        sum += &column.dot(&column.t());
    }
    sum.into_iter().collect()
}

#[test]
fn roots_multiply_to_the_second_derivative() {
    let values = rows(&outputs());
    for loss in LOSSES {
        for sample in 0..2 {
            let roots = square_root_factors(loss, &outputs()).expect("roots");
            let product = moments(roots.map(|root| rows(&root)), sample);
            let expected = second_derivative(loss, &values.row(sample).to_vec());
            let expected: Vec<f64> = expected.into_iter().collect();
            assert!(difference(&product, &expected) < 1e-12, "{loss:?}");
        }
    }
}

#[test]
fn draws_have_the_second_derivative_as_their_second_moment() {
    let values = rows(&outputs());
    for loss in LOSSES {
        let errors = [100, 10_000].map(|draws: u32| {
            let draw =
                |seed| rows(&drawn(loss, &outputs(), seed, 0, Precision::F64).expect("a draw"));
            let share = 1.0 / f64::from(draws);
            let scaled = (0..u64::from(draws)).map(|seed| draw(seed) * share.sqrt());
            let expected = second_derivative(loss, &values.row(1).to_vec());
            let expected: Vec<f64> = expected.into_iter().collect();
            difference(&moments(scaled, 1), &expected)
        });
        assert!(
            errors[1] < 0.05 && errors[1] < 0.6 * errors[0],
            "{loss:?}: {errors:?}"
        );
    }
}

#[test]
fn draws_depend_on_the_number_of_the_sample_alone() {
    for loss in LOSSES {
        let whole = rows(&drawn(loss, &outputs(), 5, 40, Precision::F64).expect("a draw"));
        let second = outputs().slice([1..2, 0..6]);
        let alone = host(&drawn(loss, &second, 5, 41, Precision::F64).expect("a draw"));
        assert_eq!(alone.expect("values"), whole.row(1).to_vec());
    }
}

#[test]
fn outputs_that_do_not_fall_into_positions_are_refused() {
    for classes in [0, 4] {
        let loss = OutputLoss::SequenceCrossEntropy { classes };
        assert!(square_root_factors(loss, &outputs()).is_err());
        assert!(drawn(loss, &outputs(), 0, 0, Precision::F64).is_err());
    }
}

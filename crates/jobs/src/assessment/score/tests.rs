use influence_backend_burn::{EvaluatedOutputs, OutputLoss};
use influence_core::Values as Targets;
use ndarray::{Array2, array};

use super::*;

fn score(outputs: &Array2<f64>, loss: OutputLoss, targets: &Targets) -> Score {
    weighted(outputs, loss, targets, None).score()
}

fn weighted(
    outputs: &Array2<f64>,
    loss: OutputLoss,
    targets: &Targets,
    weights: Option<Array2<f64>>,
) -> Tally {
    let mut tally = Tally::default();
    let outputs = EvaluatedOutputs {
        values: outputs.clone(),
        loss,
        weights,
        targets: None,
    };
    tally.add(&outputs, targets);
    tally
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.expect("it is known");
    assert!(
        (value - expected).abs() < 1e-12,
        "{value} is not {expected}"
    );
}

#[test]
fn positions_of_a_sequence_are_choices_of_their_own_and_masked_ones_none() {
    let outputs = array![[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 3.0]];
    let targets = Targets::new(vec![1_i64, 1, 0, -100], &[2, 2]).expect("they fit");
    let loss = OutputLoss::SequenceCrossEntropy { classes: 2 };
    let score = score(&outputs, loss, &targets);
    close(score.accuracy(), 2.0 / 3.0);
    close(score.chance(), 2.0 / 3.0);
    let entropy = [
        1.0_f64.exp().ln_1p() - 1.0,
        2.0_f64.exp().ln_1p(),
        1.0_f64.exp().ln_1p() - 1.0,
    ];
    close(
        score.perplexity(),
        (entropy.iter().sum::<f64>() / 3.0).exp(),
    );
    assert!(
        score.to_string().contains("accuracy 66.7 %, perplexity "),
        "{score}"
    );
}

#[test]
fn what_has_no_weight_in_the_loss_does_not_count() {
    let outputs = array![[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 3.0]];
    let classes = Targets::new(vec![1_i64, 1, 1, 1], &[2, 2]).expect("they fit");
    let loss = OutputLoss::SequenceCrossEntropy { classes: 2 };
    let tally = weighted(
        &outputs,
        loss,
        &classes,
        Some(array![[2.0, 0.0], [0.0, 0.0]]),
    );
    close(tally.score().accuracy(), 1.0);
    assert_eq!(tally.uncounted(), 1);
    let numbers = Targets::new(vec![0.0; 8], &[2, 4]).expect("they fit");
    let weights = Some(array![[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]]);
    let loss = OutputLoss::BinaryCrossEntropy;
    let tally = weighted(&outputs, loss, &numbers, weights);
    // Right are the outputs 0, 3 of the first sample and 1 of the second; 0 and 3 of that are not.
    close(tally.score().accuracy(), 3.0 / 7.0);
    assert_eq!(tally.uncounted(), 0);
}

#[test]
fn yes_and_no_have_frequencies_by_output() {
    let outputs = array![[1.0, -2.0], [3.0, -1.0], [-1.0, 1.0], [2.0, -4.0]];
    let targets =
        Targets::new(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0], &[4, 2]).expect("they fit");
    let score = score(&outputs, OutputLoss::BinaryCrossEntropy, &targets);
    // The first output is right on two of four, the second on two.
    close(score.accuracy(), 0.5);
    close(score.chance(), 0.75);
    // −¾ ln ¾ − ¼ ln ¼ for both outputs.
    close(score.constant(), 0.562_335_144_618_808_3);
}

#[test]
fn the_explained_variance_is_a_mean_over_outputs_that_vary() {
    let outputs = array![[1.0, 0.0, 5.0], [2.0, 0.0, 5.0], [4.0, 3.0, 4.0]];
    let targets =
        Targets::new(vec![1.0, 1.0, 5.0, 2.0, 2.0, 5.0, 3.0, 3.0, 5.0], &[3, 3]).expect("they fit");
    let score = score(&outputs, OutputLoss::MeanSquaredError, &targets);
    // 1 − 1/2, 1 − 5/2, and a target that does not vary.
    close(score.r2(), -0.5);
    assert_eq!(
        score.to_string(),
        "R² -0.5000 (mean of 2 outputs, -1.5000 to 0.5000)"
    );
}

/// Fifty points, half of each class: `right` of them are right, and outputs are `apart` from each
/// other.
fn of(right: usize, apart: f64) -> Option<Fault> {
    let outputs = Array2::from_shape_fn((50, 2), |(point, class)| {
        let chosen = (point % 2 == class) == (point < right);
        if chosen { apart } else { 0.0 }
    });
    let targets: Vec<i64> = (0..50).map(|point| point % 2).collect();
    score(
        &outputs,
        OutputLoss::CrossEntropy,
        &Targets::new(targets, &[50]).expect("they fit"),
    )
    .fault()
}

#[test]
fn chance_has_a_margin_and_confidence_a_price() {
    assert_eq!(of(48, 3.0), None);
    assert_eq!(of(0, 3.0), Some(Fault::Chance));
    // 32 of 50 are right: within two standard errors, and not worth the confidence.
    assert_eq!(of(32, 1.0), Some(Fault::Chance));
    assert_eq!(of(33, 0.5), None);
    // Right more often than chance, and sure of it when wrong.
    assert!(matches!(of(40, 30.0), Some(Fault::Loss { .. })));
}

#[test]
fn of_few_points_or_a_single_class_nothing_is_concluded() {
    let fault = |points: usize, class: i64| {
        let outputs = Array2::from_shape_fn((points, 2), |(_, class)| class as f64);
        let targets = Targets::new(vec![class; points], &[points]).expect("they fit");
        score(&outputs, OutputLoss::CrossEntropy, &targets).fault()
    };
    assert_eq!([fault(9, 0), fault(50, 0), fault(50, 1)], [None; 3]);
}

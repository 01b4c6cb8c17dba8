use super::{assert_close, succeed};
use crate::InfluenceModel;

/// Checks that scores are linear in the factors, that factors survive the way to the host and back,
/// and that a model gives the same answer twice.
///
/// `test` should hold more than one sample.
///
/// # Panics
/// When one of these does not hold to `tolerance`.
pub fn model<M: InfluenceModel>(model: &M, test: &M::Batch, train: &M::Batch, tolerance: f64) {
    let factors = succeed(
        "factors",
        succeed("factors", model.factors(test)).converged(),
    );
    let gradients = succeed("gradients", model.gradients(train));
    let scores = succeed("scores", model.scores(&factors, &gradients));
    let array = succeed("factors_to_array", model.factors_to_array(&factors));
    assert_eq!(
        array.ncols(),
        model.factor_len(),
        "factors have the length that the model says"
    );
    assert_eq!(
        (scores.ndim(), scores.shape()[0]),
        (2, array.nrows()),
        "scores have one row per test sample"
    );
    assert!(
        scores.iter().any(|&score| score.abs() > 0.0),
        "the suite needs scores that are not all zero"
    );
    let back = succeed("factors_from_array", model.factors_from_array(array.view()));
    let again = succeed("scores", model.scores(&back, &gradients));
    assert_close("factors by way of the host", &again, &scores, tolerance);
    let scaled = succeed(
        "factors_from_array",
        model.factors_from_array((&array * -2.5).view()),
    );
    let scaled = succeed("scores", model.scores(&scaled, &gradients));
    assert_close("homogeneity", &scaled, &(&scores * -2.5), tolerance);
    let mut reversed = array.clone();
    reversed.invert_axis(ndarray::Axis(0));
    let sum = succeed(
        "factors_from_array",
        model.factors_from_array((&array + &reversed).view()),
    );
    let mut turned = scores.clone();
    turned.invert_axis(ndarray::Axis(0));
    assert_close(
        "additivity",
        &succeed("scores", model.scores(&sum, &gradients)),
        &(&scores + &turned),
        tolerance,
    );
    let repeated = succeed(
        "factors",
        succeed("factors", model.factors(test)).converged(),
    );
    let repeated = succeed("factors_to_array", model.factors_to_array(&repeated));
    assert_eq!(
        repeated, array,
        "the same question must get the same answer"
    );
    let wide = ndarray::Array2::zeros((1, model.factor_len() + 1));
    assert!(
        model.factors_from_array(wide.view()).is_err(),
        "factors of another length must be refused"
    );
}

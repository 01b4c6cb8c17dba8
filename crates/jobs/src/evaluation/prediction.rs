//! The predicted change of a measurement when training points are left out.
//!
//! # What is predicted
//! Let `τ[j, i]` be the influence of training point `i` on test point `j`: minus the derivative of
//! the measurement of `j`, mostly its loss, by the weight of `i`, where each of the `n` training
//! points has the weight 1 and all weights are divided by `n` afterwards.
//! Positive influences are those of points that help: without them the measurement rises.
//!
//! # The divisor
//! A training minimises the mean loss of the points that it has, and weight decay beside it.
//! Without the `m` points of a set `R` the weights of the others rise from `1/n` to `1/(n − m)`,
//! and those of `R` fall from `1/n` to 0. Along the line from one to the other, scaled by `n/(n −
//! m)`, the change of row `j` is
//!
//! ```text
//! Δ[j, R] = (Σ_{i∈R} τ[j, i] − m · mean_i τ[j, i]) / (n − m)
//! ```
//!
//! The second term is what weight decay does. At a minimum the gradients of all points and of
//! weight decay cancel, so without decay the mean influence is zero. With decay the other points
//! gain weight against it, which moves every row by a constant that depends on `m` alone. Within a
//! row it changes no order; where rows are pooled, leaving it out costs most of the correlation.
//!
//! Points that keep their places in the batches with weight 0 leave the weights `1/n` of the others
//! as they are. Then the change is `Σ_{i∈R} τ[j, i] / n`.

use anyhow::{Result, ensure};
use ndarray::{Array2, Axis};

use crate::retraining::Absence;

impl Absence {
    /// What a training without some points minimises.
    pub(super) fn objective(self) -> &'static str {
        match self {
            Self::Removed => "mean loss of the points that are kept, and weight decay",
            Self::Weightless => {
                "sum of the losses of the points that are kept, divided by n, and weight decay"
            }
        }
    }

    /// The formula of the prediction.
    pub(super) fn divisor(self) -> &'static str {
        match self {
            Self::Removed => "n - m: (sum of the m influences - m * mean influence) / (n - m)",
            Self::Weightless => "n: sum of the m influences / n",
        }
    }
}

/// The predicted changes `(rows, sets)` of influences `(rows, n)`, when the points of each set are
/// left out.
///
/// # Errors
/// When a set holds all points.
pub(super) fn predicted_changes(
    influences: &Array2<f64>,
    removed: &[Vec<usize>],
    absence: Absence,
) -> Result<Array2<f64>> {
    let (rows, points) = influences.dim();
    let means = influences.sum_axis(Axis(1)) / points as f64;
    let mut changes = Array2::zeros((rows, removed.len()));
    for (set, mut column) in removed.iter().zip(changes.columns_mut()) {
        ensure!(
            set.len() < points,
            "a set of {} points leaves none of {points}",
            set.len()
        );
        for &point in set {
            column += &influences.column(point);
        }
        match absence {
            Absence::Removed => {
                column.scaled_add(-(set.len() as f64), &means);
                column /= (points - set.len()) as f64;
            }
            Absence::Weightless => column /= points as f64,
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Ridge regression through the origin has a closed form: the derivative of a test loss by the
    /// weights, along the line that the formula names, against central differences of the minimum.
    #[test]
    fn the_formulas_are_derivatives_of_the_retrained_loss() -> Result<()> {
        let (x, y) = ([0.5, -1.0, 2.0, 1.5, 0.3], [1.0, -0.5, 1.0, 2.0, -1.0]);
        let (decay, test) = (0.3, [1.2, 0.7]);
        let minimum = |weights: [f64; 5]| {
            let sums = (0..5).map(|i| (weights[i] * x[i] * y[i], weights[i] * x[i] * x[i]));
            let (xy, xx) = sums.fold((0.0, decay), |(xy, xx), (a, b)| (xy + a, xx + b));
            xy / xx
        };
        let loss = |slope: f64| 0.5 * (slope * test[0] - test[1]).powi(2);
        let (n, removed) = (5.0, vec![1, 3]);
        let slope = minimum([1.0 / n; 5]);
        let curvature = x.iter().map(|x| x * x / n).sum::<f64>() + decay;
        let by_slope = (slope * test[0] - test[1]) * test[0];
        let influence = |i: usize| by_slope * (slope * x[i] - y[i]) * x[i] / curvature;
        let influences = Array2::from_shape_fn((1, 5), |(_, i)| influence(i));
        for (absence, kept) in [
            (Absence::Removed, 1.0 / 3.0),
            (Absence::Weightless, 1.0 / n),
        ] {
            let sets = std::slice::from_ref(&removed);
            let got = predicted_changes(&influences, sets, absence)?[[0, 0]];
            let along = |step: f64| {
                let weight = |i| if removed.contains(&i) { 0.0 } else { kept };
                loss(minimum(std::array::from_fn(|i| {
                    1.0 / n + step * (weight(i) - 1.0 / n)
                })))
            };
            let expected = (along(1e-5) - along(-1e-5)) / 2e-5;
            assert!(
                (got - expected).abs() < 1e-8 * expected.abs(),
                "{absence:?}: {got} {expected}"
            );
        }
        Ok(())
    }

    #[test]
    fn every_set_is_a_column() -> Result<()> {
        let influences = array![[1.0, 2.0, 3.0, 6.0], [0.0, 4.0, 0.0, -4.0]];
        let sets = [vec![3], vec![0, 1], vec![]];
        let removed = array![[1.0, -1.5, 0.0], [-4.0 / 3.0, 2.0, 0.0]];
        let weightless = array![[1.5, 0.75, 0.0], [-1.0, 1.0, 0.0]];
        for (absence, expected) in [
            (Absence::Removed, removed),
            (Absence::Weightless, weightless),
        ] {
            let got = predicted_changes(&influences, &sets, absence)?;
            assert!((&got - &expected).iter().all(|error| error.abs() < 1e-15));
        }
        let all = [vec![0, 1, 2, 3]];
        let error = predicted_changes(&influences, &all, Absence::Removed).expect_err("all");
        assert!(error.to_string().contains("leaves none of 4"), "{error}");
        Ok(())
    }
}

//! `1 / (Λ + λ)` as a sum of few outer products.

use influence_core::{
    Result as CoreResult,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};

/// `1 / (Λ + λ)` in each group as `Σ_r signals_r ⊗ inputs_r`.
#[derive(Debug)]
pub(super) struct LowRank {
    /// `(groups, rank, outputs)`.
    pub(super) signals: Array3<f64>,
    /// `(groups, rank, width)`.
    pub(super) inputs: Array3<f64>,
    /// `((Λ + λ) ∘ Σ_r signals_r ⊗ inputs_r − 1)²`: what is left along each pair of eigenvectors of a right-hand side of 1, squared.
    pub(super) residuals: Array3<f64>,
}

/// How far the relative error of scores may be above the one that is expected.
const MARGIN: f64 = 2.0;
/// Least weight of an eigenvector, relative to the largest: a gradient to come may be longer along it than those of the fit.
const LEAST_WEIGHT: f64 = 1e-6;

impl LowRank {
    /// The sum of fewest terms with which scores keep a relative error below the tolerance, if it is cheaper than the whole matrix.
    pub(super) fn of(
        values: &Array3<f64>,
        damping: f64,
        tolerance: f64,
    ) -> CoreResult<Option<Self>> {
        let (groups, outputs, width) = values.dim();
        // Making the factors has to be paid for, too.
        let most = outputs * width / (2 * (outputs + width)).max(1);
        let mut terms = Vec::with_capacity(groups);
        for values in values.outer_iter() {
            match Group::of(&values, damping, tolerance / MARGIN, most)? {
                Some(found) => terms.push(found),
                None => return Ok(None),
            }
        }
        let rank = terms.iter().map(Group::rank).max().unwrap_or(0);
        let mut found = Self {
            signals: Array3::zeros((groups, rank, outputs)),
            inputs: Array3::zeros((groups, rank, width)),
            residuals: values + damping,
        };
        for (g, terms) in terms.iter().enumerate() {
            let own = terms.rank();
            found
                .signals
                .slice_mut(s![g, ..own, ..])
                .assign(&terms.signals);
            found
                .inputs
                .slice_mut(s![g, ..own, ..])
                .assign(&terms.inputs);
            let mut residuals = found.residuals.index_axis_mut(Axis(0), g);
            residuals *= &terms.signals.t().dot(&terms.inputs);
        }
        let square = |product: f64| (product - 1.0).powi(2);
        found.residuals.mapv_inplace(square);
        Ok(Some(found))
    }
}

/// The terms of one group.
struct Group {
    /// `(rank, outputs)`.
    signals: Array2<f64>,
    /// `(rank, width)`.
    inputs: Array2<f64>,
}

impl Group {
    /// The leading terms, as many as leave a relative error below the tolerance; nothing where that takes more than `most`.
    ///
    /// A score is `Σ_sa x_sa y_sa / (Λ_sa + λ)`, with `x` and `y` two gradients along the eigenvectors. Their variances are `Λ`; were they independent,
    /// an error `E` of the inverse would change scores by `‖Λ ∘ E‖` in the mean square. `Λ` is nearly an outer product, that of its marginals, and
    /// weighted by these the best terms are those of a singular value decomposition.
    fn of(
        values: &ArrayView2<'_, f64>,
        damping: f64,
        tolerance: f64,
        most: usize,
    ) -> CoreResult<Option<Self>> {
        let (outputs, width) = values.dim();
        if outputs > width {
            let turned = Self::of(&values.t(), damping, tolerance, most)?;
            return Ok(turned.map(|terms| Self {
                signals: terms.inputs,
                inputs: terms.signals,
            }));
        }
        let inverse = values.mapv(|value| 1.0 / (value + damping));
        let error = |left: &Array2<f64>| norm((left * values).iter());
        let bound = tolerance * error(&inverse);
        // No error is allowed, or gradients of zero show none.
        if bound <= 0.0 {
            return Ok(None);
        }
        let (rows, columns) = (weights(values, Axis(1)), weights(values, Axis(0)));
        let mut weighted = &inverse * &columns;
        weighted *= &rows.view().insert_axis(Axis(1));
        let Eigen { vectors, .. } = eigen(&weighted.dot(&weighted.t()))?;
        let mut left = inverse.clone();
        let (mut signals, mut inputs) = (Vec::new(), Vec::new());
        for vector in vectors.axis_iter(Axis(1)).rev().take(most) {
            let (signal, input) = term(&inverse, &vector, &rows);
            let column = signal.view().insert_axis(Axis(1));
            left -= &(&column * &input);
            signals.push(signal);
            inputs.push(input);
            if error(&left) <= bound {
                return Ok(Some(Self {
                    signals: stacked(&signals, outputs),
                    inputs: stacked(&inputs, width),
                }));
            }
        }
        Ok(None)
    }

    fn rank(&self) -> usize {
        self.signals.nrows()
    }
}

/// One term of the weighted decomposition, its two factors of equal length.
fn term(
    inverse: &Array2<f64>,
    vector: &ArrayView1<'_, f64>,
    weights: &Array1<f64>,
) -> (Array1<f64>, Array1<f64>) {
    let (signal, input) = (vector / weights, (vector * weights).dot(inverse));
    let balance = (norm(input.iter()) / norm(signal.iter())).sqrt();
    if balance > 0.0 {
        (signal * balance, input / balance)
    } else {
        (signal, input)
    }
}

/// The marginals of the variances, none too small.
fn weights(values: &ArrayView2<'_, f64>, along: Axis) -> Array1<f64> {
    let sums = values.sum_axis(along);
    let least = LEAST_WEIGHT
        * sums
            .iter()
            .fold(f64::MIN_POSITIVE, |most, sum| most.max(*sum));
    sums.mapv(|sum| sum.max(least))
}

fn norm<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn stacked(rows: &[Array1<f64>], width: usize) -> Array2<f64> {
    let mut stack = Array2::zeros((rows.len(), width));
    for (mut row, values) in stack.outer_iter_mut().zip(rows) {
        row.assign(values);
    }
    stack
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer that no training sample reaches has no variances to weight by, and must not end in infinities.
    #[test]
    fn without_variance_or_tolerance_the_inverse_is_exact() {
        let dead = Array3::zeros((1, 40, 30));
        let outer = Array3::from_shape_fn((1, 40, 30), |(_, s, a)| ((s + 1) * (a + 1)) as f64);
        let found = |values: &Array3<f64>, tolerance| {
            LowRank::of(values, 0.1, tolerance).expect("decomposed")
        };
        assert!(found(&dead, 0.1).is_none());
        assert!(found(&outer, 0.0).is_none());
        let some = found(&outer, 0.1).expect("a sum of few terms");
        let all = some.signals.iter().chain(&some.inputs);
        assert!(all.chain(&some.residuals).all(|value| value.is_finite()));
    }
}

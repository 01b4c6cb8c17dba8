//! `1 / (Λ + λ)` as a sum of few outer products, so that factors stay outer products.
//!
//! In the eigenbasis of its Kronecker factors the curvature of a layer is diagonal: one eigenvalue
//! `Λ_sa` for each pair of an output direction `s` and an input direction `a`. The factor of a
//! gradient `δ ⊗ a` is its coordinates `x = δ̃ ⊗ ã (outputs, width)` times `D = 1 / (Λ + λ)`, entry
//! by entry. That is no outer product any more: every later score would cost `2 · outputs · width`
//! operations in place of `2 (outputs + width)`. But with
//!
//! ```text
//! D ≈ Σ_r o_r ⊗ i_r        D ∘ (δ̃ ⊗ ã) ≈ Σ_r (o_r ∘ δ̃) ⊗ (i_r ∘ ã)
//! ```
//!
//! the factor is a sum of `r` outer products, and scores cost `r` times the thin ones.
//!
//! Which approximation. A score is `Σ_sa x_sa y_sa D_sa`, with `x` and `y` two gradients along the
//! eigenvectors. Their mean squares are `Λ_sa`. Were they independent, an error `E` of `D` would
//! change scores by `‖Λ ∘ E‖` in the mean square, so this is the norm to be small in, relative to
//! `‖Λ ∘ D‖`. The plain singular value decomposition is best in `‖E‖`, where the directions that
//! gradients hardly have count most, and is useless here.
//!
//! Best terms in a norm with arbitrary weights are hard to find; with weights `u_s v_a` they are
//! again a singular value decomposition, that of `diag(u) D diag(v)`. `Λ` is nearly of this form
//! (in K-FAC exactly), hence `u` and `v` are its marginals: row and column sums. A left singular
//! vector `q` gives the term `o = q / u`, `i = Dᵀ (u ∘ q)`. The vectors are the eigenvectors of
//! `M Mᵀ` with `M = diag(u) D diag(v)` of the smaller side, which loses digits only of the terms
//! that are left out.
//!
//! How many terms. They are added one by one until `‖Λ ∘ E‖`, computed without the approximation of
//! the weights, is below half the tolerance ([`MARGIN`]). Beyond `outputs · width / 2 (outputs +
//! width)` terms the exact inverse is cheaper, and is used.
//!
//! What is left of each right-hand side is not estimated: `(Λ + λ) ∘ Σ_r o_r ⊗ i_r − 1` is the
//! relative residual along each pair of directions, and [`residuals`](SeparableInverse::residuals)
//! has its squares.
//!
//! Srebro and Jaakkola, *Weighted low-rank approximations*, 2003.

use influence_core::{
    Result as CoreResult,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};

/// `1 / (Λ + λ)` in each group as `Σ_r o_r ⊗ i_r`.
#[derive(Debug)]
pub(super) struct SeparableInverse {
    /// `(groups, rank, outputs)`.
    pub(super) output_factors: Array3<f64>,
    /// `(groups, rank, width)`.
    pub(super) input_factors: Array3<f64>,
    /// `((Λ + λ) ∘ Σ_r o_r ⊗ i_r − 1)²`, `(groups, outputs, width)`: the squared residual along
    /// each pair of eigenvectors for a right-hand side of 1.
    pub(super) residuals: Array3<f64>,
}

/// Safety factor between the expected and the tolerated score error.
const MARGIN: f64 = 2.0;
/// Smallest weight of an eigenvector, relative to the largest: later gradients may be longer along
/// it than those of the fit.
const LEAST_WEIGHT: f64 = 1e-6;

impl SeparableInverse {
    /// The sum of fewest terms with which scores keep a relative error below the tolerance, if it
    /// is cheaper than the whole matrix.
    pub(super) fn of(
        values: &Array3<f64>,
        damping: f64,
        tolerance: f64,
    ) -> CoreResult<Option<Self>> {
        let (groups, outputs, width) = values.dim();
        // Half of the terms at which scores would cost the same: making the factors costs, too.
        let most = outputs * width / (2 * (outputs + width)).max(1);
        let mut terms = Vec::with_capacity(groups);
        for values in values.outer_iter() {
            match GroupTerms::of(&values, damping, tolerance / MARGIN, most)? {
                Some(found) => terms.push(found),
                None => return Ok(None),
            }
        }
        let rank = terms.iter().map(GroupTerms::rank).max().unwrap_or(0);
        let mut found = Self {
            output_factors: Array3::zeros((groups, rank, outputs)),
            input_factors: Array3::zeros((groups, rank, width)),
            residuals: values + damping,
        };
        for (g, terms) in terms.iter().enumerate() {
            let own = terms.rank();
            found
                .output_factors
                .slice_mut(s![g, ..own, ..])
                .assign(&terms.output_factors);
            found
                .input_factors
                .slice_mut(s![g, ..own, ..])
                .assign(&terms.input_factors);
            let mut residuals = found.residuals.index_axis_mut(Axis(0), g);
            residuals *= &terms.output_factors.t().dot(&terms.input_factors);
        }
        let square = |product: f64| (product - 1.0).powi(2);
        found.residuals.mapv_inplace(square);
        Ok(Some(found))
    }
}

/// The terms of one group.
struct GroupTerms {
    /// `(rank, outputs)`.
    output_factors: Array2<f64>,
    /// `(rank, width)`.
    input_factors: Array2<f64>,
}

impl GroupTerms {
    /// The leading terms, as many as leave a relative error below the tolerance; `None` where that
    /// takes more than `most`.
    fn of(
        values: &ArrayView2<'_, f64>,
        damping: f64,
        tolerance: f64,
        most: usize,
    ) -> CoreResult<Option<Self>> {
        let (outputs, width) = values.dim();
        // The matrix that is decomposed has the smaller side.
        if outputs > width {
            let turned = Self::of(&values.t(), damping, tolerance, most)?;
            return Ok(turned.map(|terms| Self {
                output_factors: terms.input_factors,
                input_factors: terms.output_factors,
            }));
        }
        let inverse = values.mapv(|value| 1.0 / (value + damping));
        let error = |left: &Array2<f64>| norm((left * values).iter());
        let bound = tolerance * error(&inverse);
        // Without tolerance no term may be left out; without variance there is nothing to weight
        // by.
        if bound <= 0.0 {
            return Ok(None);
        }
        let (rows, columns) = (weights(values, Axis(1)), weights(values, Axis(0)));
        let mut weighted = &inverse * &columns;
        weighted *= &rows.view().insert_axis(Axis(1));
        let Eigen { vectors, .. } = eigen(&weighted.dot(&weighted.t()))?;
        let mut left = inverse.clone();
        let (mut output_factors, mut input_factors) = (Vec::new(), Vec::new());
        // Eigenvalues ascend: the terms that matter most come last.
        for vector in vectors.axis_iter(Axis(1)).rev().take(most) {
            let (output, input) = term(&inverse, &vector, &rows);
            let column = output.view().insert_axis(Axis(1));
            left -= &(&column * &input);
            output_factors.push(output);
            input_factors.push(input);
            if error(&left) <= bound {
                return Ok(Some(Self {
                    output_factors: stacked(&output_factors, outputs),
                    input_factors: stacked(&input_factors, width),
                }));
            }
        }
        Ok(None)
    }

    fn rank(&self) -> usize {
        self.output_factors.nrows()
    }
}

/// One term `q / u`, `Dᵀ (u ∘ q)` of the weighted decomposition, its two factors of equal norm, so
/// that neither overflows.
fn term(
    inverse: &Array2<f64>,
    vector: &ArrayView1<'_, f64>,
    weights: &Array1<f64>,
) -> (Array1<f64>, Array1<f64>) {
    let (output, input) = (vector / weights, (vector * weights).dot(inverse));
    let balance = (norm(input.iter()) / norm(output.iter())).sqrt();
    if balance > 0.0 {
        (output * balance, input / balance)
    } else {
        (output, input)
    }
}

/// Sums of the eigenvalues along an axis, none smaller than [`LEAST_WEIGHT`] of the largest.
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

    /// A layer that no training sample reaches has no variances to weight by, and must not end in
    /// infinities.
    #[test]
    fn without_variance_or_tolerance_the_inverse_is_exact() {
        let dead = Array3::zeros((1, 40, 30));
        let outer = Array3::from_shape_fn((1, 40, 30), |(_, s, a)| ((s + 1) * (a + 1)) as f64);
        let found = |values: &Array3<f64>, tolerance| {
            SeparableInverse::of(values, 0.1, tolerance).expect("decomposed")
        };
        assert!(found(&dead, 0.1).is_none());
        assert!(found(&outer, 0.0).is_none());
        let some = found(&outer, 0.1).expect("a sum of few terms");
        let all = some.output_factors.iter().chain(&some.input_factors);
        assert!(all.chain(&some.residuals).all(|value| value.is_finite()));
    }
}

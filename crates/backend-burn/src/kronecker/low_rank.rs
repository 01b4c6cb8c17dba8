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
//! vector `q` gives the term `o = q / u`, `i = Dᵀ (u ∘ q)`. Only the leading vectors are computed,
//! by a subspace iteration: singular values fall quickly, and whatever the vectors are, the error
//! of the terms is measured.
//!
//! How many terms. The fewest with which `‖Λ ∘ E‖`, computed without the approximation of the
//! weights, is below half the tolerance ([`MARGIN`]). Beyond `outputs · width / 2 (outputs +
//! width)` terms the exact inverse is cheaper, and is used.
//!
//! What is left of each right-hand side is not estimated: `(Λ + λ) ∘ Σ_r o_r ⊗ i_r − 1` is the
//! relative residual along each pair of directions, and [`residuals`](SeparableInverse::residuals)
//! has its squares.
//!
//! Srebro and Jaakkola, *Weighted low-rank approximations*, 2003.

use influence_core::{
    Result as CoreResult,
    linalg::{leading_left_vectors, product},
};
use ndarray::{Array1, Array2, Array3, ArrayView, ArrayView2, Axis, Dimension, s};

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
/// Terms that are looked for at first; few are enough for most layers.
const FIRST: usize = 16;

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
            residuals *= &terms.sum();
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
        let inverse = values.mapv(|value| 1.0 / (value + damping));
        let bound = tolerance * norm(&(&inverse * values).view());
        // Without tolerance no term may be left out; without variance there is nothing to weight
        // by.
        if bound <= 0.0 {
            return Ok(None);
        }
        let (rows, columns) = (weights(values, Axis(1)), weights(values, Axis(0)));
        let mut weighted = &inverse * &columns;
        weighted *= &rows.view().insert_axis(Axis(1));
        let mut count = FIRST.min(most);
        loop {
            let vectors = leading_left_vectors(&weighted, count)?;
            let terms = Self::along(&vectors, &rows, &inverse);
            let enough = |count| terms.first(count).error(&inverse, values) <= bound;
            if enough(terms.rank()) {
                let fewest = fewest(terms.rank(), enough);
                return Ok(Some(terms.first(fewest)));
            }
            if count == most {
                return Ok(None);
            }
            count = (4 * count).min(most);
        }
    }

    /// One term for each column `q` of `vectors`, `q / u` and `Dᵀ (u ∘ q)`, its two factors of
    /// equal norm, so that neither overflows.
    fn along(vectors: &Array2<f64>, weights: &Array1<f64>, inverse: &Array2<f64>) -> Self {
        let vectors = vectors.t();
        let mut output_factors = &vectors / weights;
        let mut input_factors = product(&(&vectors * weights), inverse);
        let terms = output_factors.outer_iter_mut();
        for (mut output, mut input) in terms.zip(input_factors.outer_iter_mut()) {
            let balance = (norm(&input.view()) / norm(&output.view())).sqrt();
            if balance > 0.0 {
                output *= balance;
                input /= balance;
            }
        }
        Self {
            output_factors,
            input_factors,
        }
    }

    /// The leading terms only.
    fn first(&self, count: usize) -> Self {
        let of = |factors: &Array2<f64>| factors.slice(s![..count, ..]).to_owned();
        Self {
            output_factors: of(&self.output_factors),
            input_factors: of(&self.input_factors),
        }
    }

    /// `‖Λ ∘ E‖`.
    fn error(&self, inverse: &Array2<f64>, values: &ArrayView2<'_, f64>) -> f64 {
        let mut error = self.sum();
        error -= inverse;
        error *= values;
        norm(&error.view())
    }

    /// `Σ_r o_r ⊗ i_r`, `(outputs, width)`.
    fn sum(&self) -> Array2<f64> {
        product(&self.output_factors.t().to_owned(), &self.input_factors)
    }

    fn rank(&self) -> usize {
        self.output_factors.nrows()
    }
}

/// The fewest of `1..=all` that are enough, where `all` are.
fn fewest(all: usize, enough: impl Fn(usize) -> bool) -> usize {
    let (mut short, mut long) = (0, all);
    while long - short > 1 {
        let middle = usize::midpoint(short, long);
        if enough(middle) {
            long = middle;
        } else {
            short = middle;
        }
    }
    long
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

fn norm<D: Dimension>(values: &ArrayView<'_, f64, D>) -> f64 {
    values.fold(0.0, |sum, value| sum + value * value).sqrt()
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

    #[test]
    fn no_term_is_too_much_and_none_too_few() {
        // Eigenvalues that are no outer product, as those of EK-FAC, of both shapes.
        let entry = |i: usize, j: usize| {
            let noise = (i * 37 + j * 91) as f64;
            (0.8_f64.powf(i as f64) * 0.9_f64.powf(j as f64)) * (1.0 + 0.3 * noise.sin())
        };
        for shape in [(40, 70), (70, 40)] {
            let values = Array2::from_shape_fn(shape, |(i, j)| entry(i, j));
            let inverse = values.mapv(|value| 1.0 / (value + 1e-3));
            let whole = norm(&(&inverse * &values).view());
            for tolerance in [0.1, 0.03, 0.01] {
                let found = GroupTerms::of(&values.view(), 1e-3, tolerance, 40);
                let found = found.expect("decomposed").expect("a sum of few terms");
                let error = |terms: &GroupTerms| terms.error(&inverse, &values.view()) / whole;
                assert!(error(&found) <= tolerance);
                assert!(error(&found.first(found.rank() - 1)) > tolerance);
            }
            let short = GroupTerms::of(&values.view(), 1e-3, 0.01, 2);
            assert!(short.expect("decomposed").is_none());
        }
    }
}

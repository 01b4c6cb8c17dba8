//! Solving with a curvature that is known along a few eigenvectors: the end that
//! [`Nystroem`](super::Nystroem) and [`Arnoldi`](super::Arnoldi) share.
//!
//! # The formula
//! The rows of `V`, `(r, dim)`, are orthonormal, and `D = diag(d_1 … d_r)` holds the curvature
//! along each. Along the rest of the space the curvature counts as zero, so that the damped
//! curvature and its inverse are, for rows `B`, `(k, dim)`,
//!
//! ```text
//! A + λI       ≈  Vᵀ (D + λ) V + λ (I − VᵀV)
//! B (A + λI)⁻¹ ≈  B Vᵀ (D + λ)⁻¹ V + (B − B VᵀV) / λ
//!              =  B / λ + C V    with  C = B Vᵀ ((D + λ)⁻¹ − 1/λ),  (k, r)
//! ```
//!
//! The last line is computed. `B Vᵀ` is small and goes to the host, where it is scaled in `f64`;
//! the operator itself is not applied. The sum `B / λ + C V` is left to the backend
//! ([`Rows::plus_combination`]): gradients kept as outer products stay so, with `k · r` numbers
//! beside them, where `B − B VᵀV` would have to be multiplied out. Without the complement, as
//! Schioppa et al. (2022) have it, the term `B / λ` falls away and `C = B Vᵀ (D + λ)⁻¹`.
//!
//! # The residual
//! A true residual would cost a pass over the data, so an upper estimate takes its place, made of
//! what the inversion leaves out:
//! - the curvature along the rest of the space, at most [`outside`](Eigenpairs::outside), which
//!   acts on a solution of length `‖b_⊥‖ / λ` there;
//! - the error of the eigenvectors, at most [`inexact`](Eigenpairs::inexact), which acts on the
//!   part of the solution within the span;
//! - the part of `b` along which `d_i + λ` is zero to rounding: it is not inverted at all.
//!
//! `‖b_⊥‖` is the root of `‖b‖² − ‖V b‖²`, which cancels where `b` is nearly within the span: then
//! the difference of vectors is formed after all.
//!
//! # As a preconditioner
//! `(d_r + λ) Vᵀ (D + λ)⁻¹ V + (I − VᵀV)` is the inverse up to a factor (Frangella, Tropp and
//! Udell, 2023, equation 5.3, with the smallest eigenvalue kept in place of zero along the rest).
//! Conjugate gradients do not see the factor, and no division by a small λ is left.

use std::sync::Arc;

use ndarray::{Array1, Array2, Axis};

use super::{
    Inverse, Prepared, Report, Solution, State, Status,
    subspace::{gram_norms, without},
};
use crate::{
    Error, Result, Rows,
    operator::{Estimate, LinearOperator, check_damping},
};

/// `V diag(values) Vᵀ`, and zero curvature along the rest.
#[derive(Debug, Clone)]
pub(super) struct Eigenpairs<R> {
    pub(super) values: Array1<f64>,
    /// Orthonormal, `(rank, dim)`.
    pub(super) vectors: R,
    /// An estimate from above of the curvature outside of the span.
    pub(super) outside: f64,
    /// By how much the vectors are no eigenvectors: the largest `‖A v − θ v‖`.
    pub(super) inexact: f64,
}

const VALUES: &str = "values";
const VECTORS: &str = "vectors";
const ERRORS: &str = "errors";

impl<R: Rows> Eigenpairs<R> {
    /// What stands for an operator; the complement is the rest of the space, which has curvature
    /// zero, or is left out.
    pub(super) fn prepared(
        self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        complement: bool,
    ) -> Box<dyn Prepared<R>> {
        Box::new(PreparedLowRank {
            op,
            eigenpairs: Arc::new(self),
            complement,
        })
    }

    fn state(&self) -> Result<State> {
        Ok(State::default()
            .with(VALUES, self.values.clone())
            .with(VECTORS, self.vectors.to_host()?)
            .with(ERRORS, Array1::from(vec![self.outside, self.inexact])))
    }

    pub(super) fn restore(op: &dyn LinearOperator<Rows = R>, state: &State) -> Result<Self> {
        let (values, vectors) = (state.vector(VALUES)?, state.matrix(VECTORS)?);
        Error::check_size("low rank", "eigenvectors", values.len(), vectors.nrows())?;
        let errors = state.vector(ERRORS)?;
        Error::check_size("low rank", "errors", 2, errors.len())?;
        Ok(Self {
            values,
            vectors: op.rows(vectors.view())?,
            outside: errors[0],
            inexact: errors[1],
        })
    }
}

/// A low-rank curvature with the operator it approximates.
#[derive(Debug)]
struct PreparedLowRank<R: Rows> {
    op: Arc<dyn LinearOperator<Rows = R>>,
    eigenpairs: Arc<Eigenpairs<R>>,
    complement: bool,
}

impl<R: Rows> Prepared<R> for PreparedLowRank<R> {
    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        let whole = self.eigenpairs.values.len() == self.dim();
        check_damping(
            damping,
            damping > 0.0 || !self.complement || whole,
            "finite, and positive where the rank is below the dimension",
        )?;
        Ok(Box::new(LowRankInverse {
            eigenpairs: Arc::clone(&self.eigenpairs),
            damping,
            complement: self.complement && !whole,
            whole,
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.op.trace()?.over(self.dim() as f64))
    }

    fn state(&self) -> Result<State> {
        self.eigenpairs.state()
    }
}

/// `V (D + λ)⁻¹ Vᵀ b`, with the complement `+ (b − V Vᵀ b) / λ`.
#[derive(Debug)]
struct LowRankInverse<R> {
    eigenpairs: Arc<Eigenpairs<R>>,
    damping: f64,
    complement: bool,
    /// Whether the vectors span the whole space.
    whole: bool,
}

impl<R: Rows> Inverse<R> for LowRankInverse<R> {
    fn dim(&self) -> usize {
        self.eigenpairs.vectors.dim()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        Error::check_size("low-rank solver", "vector length", self.dim(), rhs.dim())?;
        let vectors = &self.eigenpairs.vectors;
        let along = rhs.gram(vectors)?;
        let not_finite = |row: ndarray::ArrayView1<'_, f64>| row.iter().any(|c| !c.is_finite());
        if let Some(row) = along.outer_iter().position(not_finite) {
            return Err(Error::NotFinite {
                op: "low-rank solver",
                what: format!("right-hand side {row}"),
            });
        }
        let inverse = self.inverse_eigenvalues();
        let rest = if self.complement {
            1.0 / self.damping
        } else {
            0.0
        };
        let coefficients = &along * &inverse.mapv(|inverse| inverse - rest);
        let rows = rhs.plus_combination(rest, coefficients.view(), vectors)?;
        let lengths = rhs.norms()?;
        let outside = self.outside(rhs, &along, &lengths)?;
        let reports = along.axis_iter(Axis(0)).zip(lengths.iter().zip(&outside));
        let reports = reports.map(|(along, (&length, &outside))| {
            let inside = along.iter().zip(&inverse).map(|(c, d)| (c * d).powi(2));
            self.report(
                inside.sum::<f64>().sqrt(),
                length,
                outside,
                self.lost(&along),
            )
        });
        Ok(Solution {
            rows,
            reports: reports.collect(),
        })
    }

    /// Scaled so that the rest of the space is left as it is, as Frangella, Tropp and Udell have
    /// it, equation 5.3; eigenvalues below zero count as zero, since a preconditioner must be
    /// positive definite.
    fn precondition(&self, rhs: &R) -> Result<R> {
        Error::check_size("low-rank solver", "vector length", self.dim(), rhs.dim())?;
        let values = self.eigenpairs.values.mapv(|value| value.max(0.0));
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let shrink = values.mapv(|value| {
            let damped = value + self.damping;
            if damped > 0.0 {
                (smallest + self.damping) / damped - 1.0
            } else {
                0.0
            }
        });
        let along = rhs.gram(&self.eigenpairs.vectors)? * &shrink;
        rhs.add_scaled(1.0, &self.eigenpairs.vectors.combine(along.view())?)
    }
}

impl<R: Rows> LowRankInverse<R> {
    /// The length of the part of each right-hand side outside of the span; as a difference of
    /// squares where that is exact enough.
    fn outside(&self, rhs: &R, along: &Array2<f64>, lengths: &[f64]) -> Result<Vec<f64>> {
        /// The share of the square below which rounding in single precision would show.
        const CANCELLED: f64 = 1e-3;
        /// Rows that are multiplied out at a time, which takes several vectors for each.
        const MULTIPLIED_OUT: usize = 8;
        let squares = along.outer_iter().zip(lengths);
        let squares = squares.map(|(along, length)| length * length - along.dot(&along));
        let squares: Vec<f64> = squares.collect();
        let cancelled: Vec<usize> = (0..squares.len())
            .filter(|&row| squares[row] < CANCELLED * lengths[row] * lengths[row])
            .collect();
        let mut outside: Vec<f64> = squares.iter().map(|square| square.sqrt()).collect();
        for rows in cancelled.chunks(MULTIPLIED_OUT) {
            let rest = without(&rhs.select(rows)?, &self.eigenpairs.vectors)?;
            for (&row, length) in rows.iter().zip(gram_norms(&rest)?) {
                outside[row] = length;
            }
        }
        Ok(outside)
    }

    /// `1 / (D + λ)`, zero where that is zero to rounding.
    fn inverse_eigenvalues(&self) -> Array1<f64> {
        let rounding = self.rounding();
        self.eigenpairs.values.mapv(|value| {
            let damped = value + self.damping;
            if damped.abs() > rounding {
                1.0 / damped
            } else {
                0.0
            }
        })
    }

    fn rounding(&self) -> f64 {
        let values = self.eigenpairs.values.iter();
        let largest = values.fold(0.0_f64, |largest, value| largest.max(value.abs()));
        f64::EPSILON * largest.max(self.damping)
    }

    /// The length of the part of a row along which the damped curvature is zero to rounding.
    fn lost(&self, along: &ndarray::ArrayView1<'_, f64>) -> f64 {
        let pairs = along.iter().zip(&self.eigenpairs.values);
        let flat = pairs.filter(|(_, value)| (*value + self.damping).abs() <= self.rounding());
        flat.map(|(along, _)| along * along).sum::<f64>().sqrt()
    }

    /// With `x` inside of the span, `b` as a whole and outside of it.
    fn report(&self, inside: f64, length: f64, outside: f64, lost: f64) -> Report {
        let negative = |&&value: &&f64| value + self.damping < 0.0;
        let negative = self.eigenpairs.values.iter().filter(negative).count();
        let Eigenpairs {
            outside: curvature,
            inexact,
            ..
        } = *self.eigenpairs;
        let missed = if self.whole {
            inexact * inside
        } else if self.complement {
            curvature * outside / self.damping + inexact * inside
        } else {
            outside + inexact * inside
        };
        let residual = missed + lost;
        let residual = if length > 0.0 { residual / length } else { 0.0 };
        let status = if lost > f64::EPSILON.sqrt() * length {
            Status::Breakdown
        } else if negative > 0 && self.whole {
            Status::Indefinite { negative }
        } else if negative > 0 {
            Status::NegativeCurvature
        } else if self.whole {
            Status::Converged
        } else {
            Status::Approximate
        };
        Report {
            iterations: 0,
            residual,
            status,
        }
    }
}

/// The `rank` pairs of largest magnitude of an eigendecomposition in ascending order: which,
/// largest first.
pub(super) fn dominant(values: &Array1<f64>, rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    order.truncate(rank);
    order
}

/// Some columns of a matrix as rows, `(columns, n)`.
pub(super) fn columns_as_rows(matrix: &Array2<f64>, columns: &[usize]) -> Array2<f64> {
    matrix.view().select(Axis(1), columns).reversed_axes()
}

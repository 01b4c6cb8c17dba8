//! A low-rank curvature from one random sketch.
//!
//! # The approximation
//! The rows of `Ω`, `(c, dim)` with `c = rank + oversampling`, are orthonormal and random, `A` is
//! the curvature. Nyström's approximation of a positive semi-definite `A`,
//!
//! ```text
//! A ≈ (Ω A)ᵀ (Ω A Ωᵀ)⁻¹ (Ω A),
//! ```
//!
//! needs nothing but the products `Ω A`. It is never above `A`, and exact where the rows of `Ω`
//! span the range of `A`. Power iterations `Ω ← orthonormal(Ω A)` come before, each at the price of
//! a pass over the data: they multiply the weight of an eigenvector by its eigenvalue, so that the
//! dominant ones stand out where eigenvalues fall slowly.
//!
//! # The steps
//! ```text
//! Y = Ω A,  C = Y Ωᵀ                       (c, dim), (c, c)
//! Y ← Y + σ Ω,  C ← C + σ I                a shift
//! F = C^(-1/2) Y                           (c, dim), so that A + σI ≈ Fᵀ F
//! F Fᵀ = U S Uᵀ                            (c, c)
//! V = S^(-1/2) Uᵀ F,  D = S − σ            the eigenvectors as rows, the eigenvalues
//! ```
//!
//! All decompositions are of `(c, c)` matrices on the host in `f64`; the backend sees products and
//! combinations of rows only. The price is that `F Fᵀ` squares the condition of `F`: eigenvalues
//! below rounding times the largest are lost, and are dropped. They are far below any damping.
//!
//! # Why a shift
//! Where the rank of `A` is below `c`, `C` is singular, and rounding decides the signs of its small
//! eigenvalues, of which the inverse root is then taken. A shift of the size of rounding lifts them
//! above it, and is taken off `S` at the end. Frangella, Tropp and Udell take Cholesky's factor of
//! the shifted core; a root by way of eigenvalues also bears a core that is still singular.
//!
//! An indefinite `A`, such as a Hessian, has no such approximation. Then `σ` is twice the largest
//! magnitude in the core, so that the shifted operator is positive definite as far as the sketch
//! can see, and pairs are chosen by the magnitude of `D`, not of `S`.

use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::{
    Prepared, Solver, State, check_count,
    low_rank::{Eigenpairs, columns_as_rows, dominant},
    product,
    subspace::{orthonormal, precision},
};
use crate::{
    Error, Precision, Result, Rows,
    linalg::{Eigen, eigen},
    operator::LinearOperator,
    random,
};

/// A randomised low-rank approximation of the curvature: its dominant eigenvectors, found with one
/// random sketch. Along the rest of the space the curvature counts as zero.
///
/// ```text
/// A ≈ (A Ω) (Ωᵀ A Ω)⁻¹ (A Ω)ᵀ = V D Vᵀ,    x = V (D + λ)⁻¹ Vᵀ b + (b − V Vᵀ b) / λ
/// ```
///
/// Few applications of the operator, each to `rank + oversampling` vectors at once: one for the
/// sketch and one for each power iteration, which sharpen it. Where the sketch finds negative
/// curvature, the operator is shifted until it finds none, and the shift is taken off the
/// eigenvalues again; negative ones come out negative. Where they exceed the damping, rows are not
/// solved and report [`Status::NegativeCurvature`](super::Status::NegativeCurvature), or
/// [`Status::Indefinite`](super::Status::Indefinite) where the rank is the dimension.
///
/// It is also a preconditioner for [`ConjugateGradient`](super::ConjugateGradient).
///
/// # References
/// Frangella, Tropp and Udell, *Randomized Nyström preconditioning*, 2023, algorithm 2.1. We differ
/// in the square root of the core matrix, which comes from its eigendecomposition, and in the shift
/// for indefinite operators.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Nystroem, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])?);
/// let inverse = Nystroem::new(1)?.invert(op, 1.0)?;
/// let solution = inverse.solve(&array![[5.0, 2.0, 3.0]])?.converged()?;
/// assert!((solution - array![[1.0, 2.0, 3.0]]).iter().all(|error: &f64| error.abs() < 1e-6));
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nystroem {
    rank: usize,
    oversampling: usize,
    power_iterations: usize,
    seed: u64,
}

impl Nystroem {
    /// Keeps this many eigenvectors of a sketch of 8 columns more, after one power iteration.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rank of 0.
    pub fn new(rank: usize) -> Result<Self> {
        check_count("rank", rank)?;
        Ok(Self {
            rank,
            oversampling: 8,
            power_iterations: 1,
            seed: 0,
        })
    }

    /// Columns of the sketch beyond the rank.
    #[must_use]
    pub fn with_oversampling(self, oversampling: usize) -> Self {
        Self {
            oversampling,
            ..self
        }
    }

    /// How often the sketch is multiplied by the operator before it is used: each one brings it
    /// nearer to the dominant eigenvectors.
    #[must_use]
    pub fn with_power_iterations(self, power_iterations: usize) -> Self {
        Self {
            power_iterations,
            ..self
        }
    }

    /// What the sketch is drawn from.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    fn sketch<R: Rows>(&self, op: &dyn LinearOperator<Rows = R>) -> Result<Eigenpairs<R>> {
        let dim = op.dim();
        let columns = self.rank.saturating_add(self.oversampling).min(dim);
        let mut test = op.rows(random::normal((columns, dim), self.seed).view())?;
        let precision = precision(&test)?;
        let not_finite = || Error::NotFinite {
            op: "nystroem",
            what: "the sketch".into(),
        };
        for _ in 0..self.power_iterations {
            test = orthonormal(&test, precision)?.ok_or_else(not_finite)?;
            let image = op.apply_shared(&test)?;
            // An operator of lower rank maps directions to zero, and orthonormal rows would be
            // fewer. A little of each direction keeps all of them; along the others it is below
            // rounding.
            test = image.add_scaled(precision, &test)?;
        }
        let test = orthonormal(&test, precision)?.ok_or_else(not_finite)?;
        let image = op.apply_shared(&test)?;
        let core = test.gram(&image)?;
        if core.iter().any(|value| !value.is_finite()) {
            return Err(not_finite());
        }
        self.factored(&test, &image, &core, precision)
    }

    /// From `Ω`, `Y` and `C` to eigenvalues and eigenvectors.
    fn factored<R: Rows>(
        &self,
        test: &R,
        image: &R,
        core: &Array2<f64>,
        precision: f64,
    ) -> Result<Eigenpairs<R>> {
        let core = (core + &core.t()) * 0.5;
        let Eigen { values, vectors } = eigen(&core)?;
        let largest = values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let smallest = values.first().copied().unwrap_or(0.0);
        // Rounding alone, or negative curvature: then the operator as a whole may be as negative as
        // it is positive.
        let indefinite = smallest < -precision * largest * values.len() as f64;
        let rounding = (precision * largest * (test.dim() as f64).sqrt()).max(f64::MIN_POSITIVE);
        let shift = if indefinite { 2.0 * largest } else { rounding };
        // Y + σ Ω, and the inverse root of C + σ I; what rounding leaves of it below `rounding` is
        // taken as that, or its inverse would drown the others.
        let shifted = image.add_scaled(shift, test)?;
        let roots = values.mapv(|value| 1.0 / (value + shift).max(rounding).sqrt());
        let root = (&vectors * &roots).dot(&vectors.t());
        let factor = shifted.combine(root.view())?;
        // The right singular vectors of F from the eigenvectors of F Fᵀ: F itself stays where it
        // is.
        let Eigen {
            values: squares,
            vectors: mixing,
        } = eigen(&factor.gram(&factor)?)?;
        let found = squares.mapv(|square| square - shift);
        let kept: Vec<usize> = dominant(&found, self.rank)
            .into_iter()
            .filter(|&index| squares[index] > rounding)
            .collect();
        let coefficients = columns_as_rows(&mixing, &kept);
        let lengths: Vec<f64> = kept
            .iter()
            .map(|&index| 1.0 / squares[index].sqrt())
            .collect();
        let vectors = factor.combine(coefficients.view())?.scaled(&lengths)?;
        let values: Array1<f64> = kept.iter().map(|&index| found[index]).collect();
        let values = if indefinite {
            values
        } else {
            values.mapv(|value| value.max(0.0))
        };
        // Fewer than asked for are all there are: the rest of the operator is zero to rounding.
        let exhausted = kept.len() < self.rank || kept.len() == test.dim();
        let smallest = values.last().map_or(0.0, |value| value.abs());
        let error = if exhausted { rounding } else { smallest };
        Ok(Eigenpairs {
            values,
            vectors,
            outside: error,
            inexact: error,
        })
    }
}

impl<R: Rows> Solver<R> for Nystroem {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        Ok(self.sketch(op.as_ref())?.prepared(op, true))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        Ok(Eigenpairs::restore(op.as_ref(), state)?.prepared(op, true))
    }

    fn stacks(&self) -> usize {
        6
    }

    fn is_immediate(&self) -> bool {
        true
    }

    /// The sketch as it is drawn, in `f64`, and as it is multiplied, with the intermediate stacks
    /// and the vectors kept.
    fn fit_bytes(&self, dim: usize, precision: Precision, _inverses: usize) -> usize {
        let columns = self.rank.saturating_add(self.oversampling).min(dim);
        let drawn = product([columns, dim, size_of::<f64>()]);
        drawn.saturating_add(product([columns, dim, 6 * precision.bytes()]))
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        let columns = self.rank.saturating_add(self.oversampling).min(dim);
        product([columns, dim, size_of::<f64>()])
    }
}

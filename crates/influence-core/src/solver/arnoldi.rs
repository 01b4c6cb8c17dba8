//! The dominant eigenvectors by a block Krylov iteration with thick restarts.
//!
//! # The iteration
//! The basis `Q`, `(m, dim)`, has orthonormal rows, and `W = Q A` holds their images. A round is
//!
//! ```text
//! H = Q Wᵀ = U Θ Uᵀ                        (m, m): the operator as the basis sees it
//! v_j = u_jᵀ Q,  A v_j = u_jᵀ W            Ritz vectors and their images, without a product
//! r_j = A v_j − θ_j v_j                    some eigenvalue is within ‖r_j‖ of θ_j
//! Q ← Q and the r_j of up to 4 pairs that have not converged, made orthogonal to Q
//! ```
//!
//! Residuals lie in the span of `Q` and `Q A`, so this is the Krylov space of Lanczos' method;
//! taking residuals of wanted pairs alone spends each product on a pair that needs it. Where all
//! residuals are within the basis to rounding, the space is invariant, and random directions take
//! over: an eigenvector that the first block happens to miss would never be found otherwise.
//!
//! # Thick restarts
//! The basis grows to `2 · rank + 8` rows and then shrinks to the best `rank + 4` Ritz vectors (Wu
//! and Simon, 2000). Their images are combined from `W`, so a restart costs no product, and memory
//! does not grow with the number of rounds. The 4 pairs beyond the rank keep the neighbours of the
//! last wanted one, on whose distance its convergence depends.
//!
//! # Why not a recurrence
//! `H` is block tridiagonal in exact arithmetic, and Lanczos' three-term recurrence would save the
//! inner products with old directions. In floating point it loses orthogonality as soon as a pair
//! converges, and finds that pair again. Here an application of `A` is a pass over the data, beside
//! which `(m, dim)` inner products cost little: so the basis is kept orthonormal in full, and `H`
//! is formed and made symmetric.
//!
//! # Why a block
//! What a pass over the data takes besides its products is shared by the vectors of a block, and
//! eigenvalues that occur several times, which one vector finds only by rounding, are found. A
//! larger block needs more products until the pairs converge: for ten pairs of a small perceptron,
//! whose passes are all products, blocks of 8 took 1.4 times as long as blocks of 4, and blocks of
//! 2 no less than these.
//!
//! The inversion with the pairs, and what it reports, is in the module `low_rank`.

use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::{
    Prepared, Solver, State, check_count, check_fraction,
    low_rank::{Eigenpairs, columns_as_rows, dominant},
    product,
    subspace::{gram_norms, joined, orthonormal, precision, without},
};
use crate::{
    Error, Precision, Result, Rows,
    linalg::{Eigen, eigen},
    operator::LinearOperator,
    random,
};

/// The dominant eigenvectors of the curvature, those of largest magnitude, by a restarted block
/// Krylov iteration; along the rest of the space the curvature counts as zero.
///
/// ```text
/// x = V (D + λ)⁻¹ Vᵀ b + (b − V Vᵀ b) / λ
/// ```
///
/// The operator is symmetric, so this is Lanczos' method; its name in this field is Arnoldi's. A
/// block of vectors is multiplied at a time, since an application is a pass over the data. The
/// basis is kept orthonormal in full, the projected matrix is formed and not taken from a
/// recurrence, and where the basis gets too large it shrinks to the best Ritz vectors (a thick
/// restart). A pair has converged when its true residual `‖A v − θ v‖` is at most the tolerance
/// times the largest `|θ|`.
///
/// Rows report [`Status::Approximate`](super::Status::Approximate) with an upper estimate of their
/// residual, made of the smallest eigenvalue kept and of the residuals of the pairs, also of those
/// that did not converge. Where an eigenvalue is below `−λ`, of the rest of the space nothing is
/// known that would make a solution: rows are
/// [`Status::NegativeCurvature`](super::Status::NegativeCurvature), not solved, or
/// [`Status::Indefinite`](super::Status::Indefinite) where the eigenvectors are all there are.
///
/// # References
/// Schioppa, Zablotskaia, Vilar and Sokolov, *Scaling up influence functions*, 2022; Wu and Simon,
/// *Thick-restart Lanczos method for large symmetric eigenvalue problems*, 2000. The former leave
/// out the complement `(b − V Vᵀ b) / λ`, see [`without_complement`](Self::without_complement).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Arnoldi, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])?);
/// let inverse = Arnoldi::new(1)?.invert(op, 1.0)?;
/// let solution = inverse.solve(&array![[5.0, 2.0, 3.0]])?.converged()?;
/// assert!((solution - array![[1.0, 2.0, 3.0]]).iter().all(|error: &f64| error.abs() < 1e-12));
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Arnoldi {
    rank: usize,
    tolerance: f64,
    max_restarts: usize,
    seed: u64,
    complement: bool,
}

/// Vectors multiplied at a time.
const BLOCK: usize = 4;

impl Arnoldi {
    /// Keeps this many eigenvectors, to a tolerance of `1e-6`, with at most 50 restarts.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rank of 0.
    pub fn new(rank: usize) -> Result<Self> {
        check_count("rank", rank)?;
        Ok(Self {
            rank,
            tolerance: 1e-6,
            max_restarts: 50,
            seed: 0,
            complement: true,
        })
    }

    /// The residual of a pair, relative to the largest eigenvalue, at which it is found.
    ///
    /// # Errors
    /// [`Error::Setting`] outside the open interval from 0 to 1.
    pub fn with_tolerance(self, tolerance: f64) -> Result<Self> {
        check_fraction("tolerance", tolerance)?;
        Ok(Self { tolerance, ..self })
    }

    /// How often the basis may shrink before the pairs are taken as they are.
    #[must_use]
    pub fn with_max_restarts(self, max_restarts: usize) -> Self {
        Self {
            max_restarts,
            ..self
        }
    }

    /// What the first vectors are drawn from.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Leaves out the rest of the space, as Schioppa et al. do: errors are small only where
    /// gradients lie in the span of the eigenvectors.
    #[must_use]
    pub fn without_complement(self) -> Self {
        Self {
            complement: false,
            ..self
        }
    }
}

impl<R: Rows> Solver<R> for Arnoldi {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let low_rank = Krylov::new(self, op.as_ref())?.run()?;
        Ok(low_rank.prepared(op, self.complement))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        let low_rank = Eigenpairs::restore(op.as_ref(), state)?;
        Ok(low_rank.prepared(op, self.complement))
    }

    fn stacks(&self) -> usize {
        6
    }

    fn is_immediate(&self) -> bool {
        true
    }

    /// A basis and its images, old and new side by side as they grow, and the pairs with their
    /// images and residuals.
    fn fit_bytes(&self, dim: usize, precision: Precision, _inverses: usize) -> usize {
        let rank = self.rank.min(dim);
        let basis = rank.saturating_mul(2).saturating_add(2 * BLOCK).min(dim);
        let vectors = basis
            .saturating_mul(4)
            .saturating_add(rank.saturating_mul(3));
        product([vectors, dim, precision.bytes()])
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        product([BLOCK.min(dim), dim, size_of::<f64>()])
    }
}

/// An orthonormal basis with its images under the operator.
struct Krylov<'a, R: Rows> {
    op: &'a dyn LinearOperator<Rows = R>,
    settings: &'a Arnoldi,
    rank: usize,
    precision: f64,
    draws: u64,
    basis: R,
    images: R,
}

/// The wanted Ritz pairs of a basis, largest magnitude first.
struct Ritz<R> {
    values: Array1<f64>,
    vectors: R,
    images: R,
    /// `A v − θ v`, one per pair, with its norms.
    residuals: R,
    norms: Vec<f64>,
}

impl<'a, R: Rows> Krylov<'a, R> {
    fn new(settings: &'a Arnoldi, op: &'a dyn LinearOperator<Rows = R>) -> Result<Self> {
        let dim = op.dim();
        let (rank, block) = (settings.rank.min(dim), BLOCK.min(dim));
        let start = op.rows(random::normal((block, dim), settings.seed).view())?;
        let precision = precision(&start)?;
        let basis = orthonormal(&start, precision)?.ok_or_else(|| Error::NotFinite {
            op: "arnoldi",
            what: "the first basis".into(),
        })?;
        Ok(Self {
            images: op.apply_shared(&basis)?,
            op,
            settings,
            rank,
            precision,
            draws: 0,
            basis,
        })
    }

    /// Grows and shrinks the basis until the wanted pairs have converged or the restarts are used
    /// up.
    fn run(mut self) -> Result<Eigenpairs<R>> {
        let largest_basis = (2 * self.rank + 2 * BLOCK).min(self.op.dim());
        let mut restarts = 0;
        loop {
            let ritz = self.ritz()?;
            let unconverged = self.unconverged(&ritz);
            let complete = self.basis.len() == self.op.dim();
            if complete || (ritz.values.len() == self.rank && unconverged.is_empty()) {
                return Self::found(ritz);
            }
            if self.basis.len() + BLOCK > largest_basis && largest_basis < self.op.dim() {
                if restarts == self.settings.max_restarts {
                    return Self::found(ritz);
                }
                restarts += 1;
                (self.basis, self.images) = (ritz.vectors.clone(), ritz.images.clone());
            }
            let Some(new) = self.directions(&ritz, &unconverged)? else {
                return Self::found(ritz);
            };
            self.images = joined(&self.images, &self.op.apply_shared(&new)?)?;
            self.basis = joined(&self.basis, &new)?;
        }
    }

    /// The Ritz pairs that are wanted, and a block more, so that a restart forgets little.
    fn ritz(&self) -> Result<Ritz<R>> {
        let projected = self.basis.gram(&self.images)?;
        if projected.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                op: "arnoldi",
                what: "the product of the operator with the basis".into(),
            });
        }
        let Eigen { values, vectors } = eigen(&((&projected + &projected.t()) * 0.5))?;
        let kept = dominant(&values, self.rank + BLOCK);
        let coefficients = columns_as_rows(&vectors, &kept);
        let values: Array1<f64> = kept.iter().map(|&index| values[index]).collect();
        let vectors = self.basis.combine(coefficients.view())?;
        let images = self.images.combine(coefficients.view())?;
        let scaled = vectors.combine(Array2::from_diag(&values).view())?;
        let residuals = images.add_scaled(-1.0, &scaled)?;
        let wanted = values.len().min(self.rank);
        Ok(Ritz {
            norms: gram_norms(&residuals)?,
            values: values.slice_move(ndarray::s![..wanted]),
            vectors,
            images,
            residuals,
        })
    }

    /// The wanted pairs that have not converged.
    fn unconverged(&self, ritz: &Ritz<R>) -> Vec<usize> {
        let largest = ritz.values.first().map_or(0.0, |value| value.abs());
        let limit = self.settings.tolerance.max(self.precision) * largest;
        let above = |&pair: &usize| ritz.norms[pair] > limit;
        (0..ritz.values.len()).filter(above).collect()
    }

    /// What the basis grows by: the residuals of pairs that have not converged, else random
    /// directions; nothing where it cannot grow.
    fn directions(&mut self, ritz: &Ritz<R>, unconverged: &[usize]) -> Result<Option<R>> {
        let room = BLOCK.min(self.op.dim() - self.basis.len());
        let residuals = ritz
            .residuals
            .select(&unconverged[..unconverged.len().min(room)])?;
        if let Some(new) = self.outside(&residuals)? {
            return Ok(Some(new));
        }
        self.draws += 1;
        let seed = self.settings.seed.wrapping_add(self.draws);
        let drawn = random::normal((room, self.op.dim()), seed);
        self.outside(&self.op.rows(drawn.view())?)
    }

    /// Orthonormal directions with the part of the rows that lies outside of the basis, if any does
    /// beyond rounding.
    fn outside(&self, rows: &R) -> Result<Option<R>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let before = gram_norms(rows)?;
        let rest = without(rows, &self.basis)?;
        let after = gram_norms(&rest)?;
        let grown = |&row: &usize| after[row] > 10.0 * self.precision * before[row];
        let kept: Vec<usize> = (0..before.len()).filter(grown).collect();
        if kept.is_empty() {
            return Ok(None);
        }
        let Some(new) = orthonormal(&rest.select(&kept)?, self.precision)? else {
            return Ok(None);
        };
        // A small remainder was scaled up to unit length, and with it its rounding errors along the
        // basis, which would spoil the orthogonality of the whole.
        orthonormal(&without(&new, &self.basis)?, self.precision)
    }

    fn found(ritz: Ritz<R>) -> Result<Eigenpairs<R>> {
        let count = ritz.values.len();
        let smallest = ritz.values.last().map_or(0.0, |value| value.abs());
        // A row may have weight on every pair: their errors add up, at worst in quadrature.
        let squares = ritz.norms[..count].iter().map(|norm| norm * norm);
        let worst = squares.sum::<f64>().sqrt();
        let wanted: Vec<usize> = (0..count).collect();
        Ok(Eigenpairs {
            vectors: ritz.vectors.select(&wanted)?,
            values: ritz.values,
            outside: smallest + worst,
            inexact: worst,
        })
    }
}

//! Dense factorisations on the host: the only place that names faer.
//!
//! Everything runs on the calling thread, so the bits do not depend on how many threads there are.

use faer::{
    Accum, Mat, MatMut, MatRef, Par, Spec,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        cholesky::{lblt, llt},
        evd,
        matmul::matmul,
    },
    perm::Perm,
};
use ndarray::{Array1, Array2, ArrayView1};

use crate::{Error, Result, random::normal};

/// The eigendecomposition `A = Σ_j values[j] · v_j v_jᵀ` of a symmetric matrix.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// The eigenvalues, ascending.
    pub values: Array1<f64>,
    /// The eigenvectors `v_j`, one per column.
    pub vectors: Array2<f64>,
}

/// Decomposes a symmetric matrix, of which the upper triangle is read.
///
/// A row of zeros is left out of the work, which grows with the third power of what remains: its
/// eigenvector is the unit vector, exactly. Covariances have many where inputs are always zero,
/// such as the margins of images, the padding of convolutions and units that are off.
///
/// # Errors
/// [`Error::NotFinite`] for a matrix with such entries, [`Error::Factorisation`] when the iteration
/// fails.
pub fn eigen(matrix: &Array2<f64>) -> Result<Eigen> {
    let dim = check(DECOMPOSITION, matrix)?;
    let is_zero = |&i: &usize| (0..dim).all(|j| matrix[[i.min(j), i.max(j)]] == 0.0);
    let (zero, others): (Vec<usize>, Vec<usize>) = (0..dim).partition(is_zero);
    if zero.is_empty() {
        return decomposed(matrix);
    }
    let rest = Array2::from_shape_fn((others.len(), others.len()), |(i, j)| {
        matrix[[others[i], others[j]]]
    });
    let rest = decomposed(&rest)?;
    let negative = rest.values.iter().filter(|&&value| value < 0.0).count();
    let mut values = Array1::zeros(dim);
    let mut vectors = Array2::zeros((dim, dim));
    for (j, (&value, vector)) in rest.values.iter().zip(rest.vectors.columns()).enumerate() {
        let place = if j < negative { j } else { j + zero.len() };
        values[place] = value;
        for (&i, &entry) in others.iter().zip(vector) {
            vectors[[i, place]] = entry;
        }
    }
    for (j, &i) in zero.iter().enumerate() {
        vectors[[i, negative + j]] = 1.0;
    }
    Ok(Eigen { values, vectors })
}

/// The name of an eigendecomposition in errors.
const DECOMPOSITION: &str = "eigendecomposition";

/// Decomposes a symmetric matrix of finite entries.
fn decomposed(matrix: &Array2<f64>) -> Result<Eigen> {
    let (op, dim) = (DECOMPOSITION, matrix.nrows());
    if dim == 0 {
        // faer's estimate of its scratch space subtracts one.
        return Ok(Eigen {
            values: Array1::zeros(0),
            vectors: Array2::zeros((0, 0)),
        });
    }
    let mut values = Diag::zeros(dim);
    let mut vectors = Mat::zeros(dim, dim);
    let scratch = evd::self_adjoint_evd_scratch::<f64>(
        dim,
        evd::ComputeEigenvectors::Yes,
        Par::Seq,
        Spec::default(),
    );
    evd::self_adjoint_evd(
        to_faer(matrix).as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .map_err(|_| Error::Factorisation { op, dim })?;
    let values = Array1::from_shape_fn(dim, |j| values.column_vector()[j]);
    let vectors = Array2::from_shape_fn((dim, dim), |(i, j)| vectors[(i, j)]);
    let finite = values.iter().chain(&vectors).all(|value| value.is_finite());
    if finite {
        Ok(Eigen { values, vectors })
    } else {
        Err(Error::Factorisation { op, dim })
    }
}

/// The leading left singular vectors of a matrix `(m, n)`, one per column, the most important
/// first; all of them where it has no more than `count`.
///
/// They span nearly the space of the true ones where singular values fall quickly, and are exact
/// where the smaller side of the matrix is at most `count`. It takes about `12 m n count`
/// operations.
///
/// Halko, Martinsson and Tropp, *Finding structure with randomness*, 2011.
///
/// # Errors
/// [`Error::NotFinite`] for a matrix with such entries, [`Error::Factorisation`] when the iteration
/// fails.
pub fn leading_left_vectors(matrix: &Array2<f64>, count: usize) -> Result<Array2<f64>> {
    /// Vectors more than are asked for, which make the others exacter.
    const MORE: usize = 8;
    const POWERS: usize = 2;
    const SEED: u64 = 0;
    check_finite("singular vectors", matrix)?;
    let (m, n) = matrix.dim();
    let columns = (count + MORE).min(m).min(n);
    let matrix = matrix.as_standard_layout();
    let start = normal((n, columns), SEED);
    let (Some(matrix), Some(start)) = (matrix.as_slice(), start.as_slice()) else {
        return Ok(Array2::zeros((m, 0)));
    };
    let matrix = MatRef::from_row_major_slice(matrix, m, n);
    let orthonormal = |vectors: Mat<f64>| vectors.qr().compute_thin_Q();
    let mut basis = orthonormal(matrix * MatRef::from_row_major_slice(start, n, columns));
    for _ in 0..POWERS {
        let right = orthonormal(matrix.transpose() * &basis);
        basis = orthonormal(matrix * right);
    }
    let inner = basis.transpose() * matrix;
    let squares = &inner * inner.transpose();
    let squares = Array2::from_shape_fn((columns, columns), |(i, j)| squares[(i, j)]);
    let Eigen { vectors, .. } = eigen(&squares)?;
    // Eigenvalues ascend.
    let found = count.min(columns);
    let leading = Mat::from_fn(columns, found, |i, j| vectors[[i, columns - 1 - j]]);
    let vectors = basis * leading;
    Ok(Array2::from_shape_fn((m, found), |(i, j)| vectors[(i, j)]))
}

/// A factored symmetric matrix, ready to solve.
#[derive(Debug)]
pub(crate) enum Factorisation {
    /// `L Lᵀ` of a positive definite matrix.
    Definite(Mat<f64>),
    /// The Bunch-Kaufman factors of any other.
    Indefinite(BunchKaufman),
}

/// `Pᵀ L B Lᵀ P` with blocks of one and two rows on the diagonal of `B`.
#[derive(Debug)]
pub(crate) struct BunchKaufman {
    unit_lower: Mat<f64>,
    diagonal: Diag<f64>,
    /// Entry `j` couples `j` with `j + 1`; zero outside blocks of two rows.
    subdiagonal: Diag<f64>,
    permutation: Perm<usize>,
}

impl Factorisation {
    /// Factors a symmetric matrix, of which the upper triangle is read: Cholesky, and Bunch-Kaufman
    /// where that fails.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a matrix with such entries. A singular matrix is no error: its
    /// solutions are not finite.
    pub(crate) fn new(matrix: &Array2<f64>) -> Result<Self> {
        check("factorisation", matrix)?;
        Ok(cholesky(matrix).map_or_else(
            || Self::Indefinite(BunchKaufman::new(matrix)),
            Self::Definite,
        ))
    }

    /// The number of negative eigenvalues, or `None` for a positive definite matrix.
    pub(crate) fn negative(&self) -> Option<usize> {
        match self {
            Self::Definite(_) => None,
            Self::Indefinite(factors) => Some(factors.negative()),
        }
    }

    /// Solves for each row of `rhs`, `(k, dim)`.
    pub(crate) fn solve(&self, rhs: &Array2<f64>) -> Array2<f64> {
        let (k, dim) = rhs.dim();
        // Rows of vectors, row-major, are the columns of a column-major matrix: no transposition is
        // needed.
        let mut solution = rhs.iter().copied().collect::<Vec<f64>>();
        let columns = MatMut::from_column_major_slice_mut(&mut solution, dim, k);
        match self {
            Self::Definite(lower) => {
                let scratch = llt::solve::solve_in_place_scratch::<f64>(dim, k, Par::Seq);
                llt::solve::solve_in_place(
                    lower.as_ref(),
                    columns,
                    Par::Seq,
                    MemStack::new(&mut MemBuffer::new(scratch)),
                );
            }
            Self::Indefinite(factors) => factors.solve_in_place(columns),
        }
        Array2::from_shape_fn((k, dim), |(row, column)| solution[row * dim + column])
    }
}

/// The lower factor, or nothing when a pivot is not positive.
fn cholesky(matrix: &Array2<f64>) -> Option<Mat<f64>> {
    let mut lower = to_faer(matrix);
    let scratch =
        llt::factor::cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    llt::factor::cholesky_in_place(
        lower.as_mut(),
        llt::factor::LltRegularization::default(),
        Par::Seq,
        stack,
        Spec::default(),
    )
    .ok()?;
    Some(lower)
}

impl BunchKaufman {
    fn new(matrix: &Array2<f64>) -> Self {
        let dim = matrix.nrows();
        let mut unit_lower = to_faer(matrix);
        let mut diagonal = Diag::zeros(dim);
        let mut subdiagonal = Diag::zeros(dim);
        let (mut forward, mut backward) = (vec![0_usize; dim], vec![0_usize; dim]);
        let scratch =
            lblt::factor::cholesky_in_place_scratch::<usize, f64>(dim, Par::Seq, Spec::default());
        lblt::factor::cholesky_in_place(
            unit_lower.as_mut(),
            subdiagonal.as_mut(),
            &mut forward,
            &mut backward,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Spec::default(),
        );
        diagonal.copy_from(unit_lower.as_ref().diagonal());
        unit_lower.as_mut().diagonal_mut().fill(1.0);
        let permutation =
            Perm::new_checked(forward.into_boxed_slice(), backward.into_boxed_slice(), dim);
        Self {
            unit_lower,
            diagonal,
            subdiagonal,
            permutation,
        }
    }

    /// By Sylvester's law of inertia `B` has as many negative eigenvalues as the matrix.
    fn negative(&self) -> usize {
        let (diagonal, coupling) = (
            self.diagonal.column_vector(),
            self.subdiagonal.column_vector(),
        );
        let (mut count, mut j) = (0, 0);
        while j < diagonal.nrows() {
            let first = diagonal[j];
            if coupling[j].abs() > 0.0 && j + 1 < diagonal.nrows() {
                let second = diagonal[j + 1];
                let indefinite = first * second < coupling[j] * coupling[j];
                count += if indefinite {
                    1
                } else {
                    2 * usize::from(first < 0.0)
                };
                j += 2;
            } else {
                count += usize::from(first < 0.0);
                j += 1;
            }
        }
        count
    }

    fn solve_in_place(&self, columns: MatMut<'_, f64>) {
        let scratch = lblt::solve::solve_in_place_scratch::<usize, f64>(
            columns.nrows(),
            columns.ncols(),
            Par::Seq,
        );
        lblt::solve::solve_in_place(
            self.unit_lower.as_ref(),
            self.diagonal.as_ref(),
            self.subdiagonal.as_ref(),
            self.permutation.as_ref(),
            columns,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
    }
}

/// The Euclidean norm, free of overflow and underflow on the way.
pub(crate) fn norm(vector: &ArrayView1<'_, f64>) -> f64 {
    let scale = vector
        .iter()
        .fold(0.0_f64, |scale, value| scale.max(value.abs()));
    if vector.iter().any(|value| value.is_nan()) {
        f64::NAN
    } else if scale > 0.0 && scale.is_finite() {
        scale
            * vector
                .iter()
                .map(|value| (value / scale).powi(2))
                .sum::<f64>()
                .sqrt()
    } else {
        scale
    }
}

fn check(op: &'static str, matrix: &Array2<f64>) -> Result<usize> {
    Error::check_size(op, "columns", matrix.nrows(), matrix.ncols())?;
    check_finite(op, matrix)?;
    Ok(matrix.nrows())
}

fn check_finite(op: &'static str, matrix: &Array2<f64>) -> Result<()> {
    if matrix.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(Error::NotFinite {
            op,
            what: "the matrix".into(),
        })
    }
}

/// The product `(m, k) · (k, n)`, about three times as fast as ndarray's where vectors of eight
/// numbers are.
pub fn product(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    let mut product = Array2::zeros((left.nrows(), right.ncols()));
    let (rows, columns) = product.dim();
    let (a, b) = (left.as_standard_layout(), right.as_standard_layout());
    let (Some(out), Some(a), Some(b)) = (product.as_slice_mut(), a.as_slice(), b.as_slice()) else {
        return left.dot(right);
    };
    matmul(
        MatMut::from_row_major_slice_mut(out, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(a, rows, left.ncols()),
        MatRef::from_row_major_slice(b, right.nrows(), columns),
        1.0,
        Par::Seq,
    );
    product
}

/// `(A + Aᵀ) / 2`, and the largest `|A − Aᵀ|`.
pub fn symmetric_part(mut matrix: Array2<f64>) -> (Array2<f64>, f64) {
    /// Rows and columns of a tile: a tile and its mirror image stay in the cache.
    const TILE: usize = 16;
    let (dim, mut skew) = (matrix.nrows(), 0.0_f64);
    let tiles = (0..dim).step_by(TILE);
    let tiles = tiles.flat_map(|top| (0..=top).step_by(TILE).map(move |left| (top, left)));
    for (top, left) in tiles {
        for i in top..(top + TILE).min(dim) {
            for j in left..(left + TILE).min(i) {
                let (below, above) = (matrix[[i, j]], matrix[[j, i]]);
                let mean = (below + above) * 0.5;
                (matrix[[i, j]], matrix[[j, i]]) = (mean, mean);
                skew = skew.max((below - above).abs());
            }
        }
    }
    (matrix, skew)
}

/// A copy of a symmetric matrix: its rows are the columns of faer's.
fn to_faer(matrix: &Array2<f64>) -> Mat<f64> {
    let (rows, columns) = matrix.dim();
    matrix.as_slice().map_or_else(
        || Mat::from_fn(rows, columns, |i, j| matrix[[j, i]]),
        |values| MatRef::from_column_major_slice(values, rows, columns).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn largest(values: &Array2<f64>) -> f64 {
        values
            .iter()
            .fold(0.0, |largest, value| largest.max(value.abs()))
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix_and_values_ascend() -> Result<()> {
        let matrix = array![[2.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 1.0]];
        let Eigen { values, vectors } = eigen(&matrix)?;
        let rebuilt = (&vectors * &values).dot(&vectors.t());
        assert!(largest(&(rebuilt - &matrix)) < 1e-14);
        assert!(values[0] <= values[1] && values[1] <= values[2]);
        Ok(())
    }

    #[test]
    fn a_row_of_zeros_has_a_unit_vector_in_its_place_among_the_eigenvalues() -> Result<()> {
        let mut matrix = Array2::zeros((5, 5));
        // The lower triangle is not read.
        matrix[[4, 1]] = 7.0;
        for (i, j, entry) in [(0, 0, 2.0), (0, 2, 1.0), (2, 2, -3.0), (2, 3, 0.5)] {
            matrix[[i, j]] = entry;
        }
        let Eigen { values, vectors } = eigen(&matrix)?;
        assert!(values[0] < 0.0 && values[3] > 0.0 && values[4] > 0.0);
        assert_eq!(values.slice(ndarray::s![1..3]), array![0.0, 0.0]);
        assert_eq!(vectors.slice(ndarray::s![.., 1..3]), {
            array![[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
        });
        let symmetric = Array2::from_shape_fn((5, 5), |(i, j)| matrix[[i.min(j), i.max(j)]]);
        let rebuilt = (&vectors * &values).dot(&vectors.t());
        assert!(largest(&(rebuilt - &symmetric)) < 1e-14);
        assert!(largest(&(vectors.t().dot(&vectors) - Array2::<f64>::eye(5))) < 1e-14);
        Ok(())
    }

    /// `(m, n)`, with singular values that fall like powers of `ratio`.
    fn decaying((m, n): (usize, usize), ratio: f64) -> Array2<f64> {
        let mut matrix = Array2::zeros((m, n));
        for term in 0..m.min(n) {
            let wave = |i: usize, seed: f64| ((i + 1) as f64 * (term as f64 + seed)).sin();
            let left = Array2::from_shape_fn((m, 1), |(i, _)| wave(i, 0.3));
            let right = Array2::from_shape_fn((1, n), |(_, j)| wave(j, 0.7));
            matrix = matrix + left.dot(&right) * ratio.powf(term as f64);
        }
        matrix
    }

    #[test]
    fn leading_vectors_leave_of_a_matrix_no_more_than_the_true_ones_do() -> Result<()> {
        for shape in [(60, 40), (40, 60), (5, 70), (70, 5)] {
            let matrix = decaying(shape, 0.5);
            let left = |vectors: &Array2<f64>| {
                let rest = &matrix - vectors.dot(&vectors.t().dot(&matrix));
                rest.iter().map(|value| value * value).sum::<f64>().sqrt()
            };
            let Eigen { vectors, .. } = eigen(&matrix.dot(&matrix.t()))?;
            for count in [1, 3, 10] {
                let found = leading_left_vectors(&matrix, count)?;
                assert_eq!(found.ncols(), count.min(shape.0).min(shape.1));
                let gram = found.t().dot(&found);
                assert!(largest(&(gram - Array2::<f64>::eye(found.ncols()))) < 1e-12);
                let first = shape.0 - found.ncols();
                let best = left(&vectors.slice(ndarray::s![.., first..]).to_owned());
                assert!(left(&found) < best * 1.0001 + 1e-7, "{shape:?}, {count}");
            }
        }
        assert!(leading_left_vectors(&array![[f64::NAN, 1.0]], 1).is_err());
        assert_eq!(
            leading_left_vectors(&Array2::zeros((3, 0)), 2)?.dim(),
            (3, 0)
        );
        Ok(())
    }

    #[test]
    fn a_matrix_without_rows_has_no_eigenvalues() -> Result<()> {
        assert_eq!(eigen(&Array2::zeros((0, 0)))?.values.len(), 0);
        assert_eq!(eigen(&array![[3.0]])?.values, array![3.0]);
        Ok(())
    }

    #[test]
    fn definite_and_indefinite_matrices_are_solved_and_told_apart() -> Result<()> {
        let definite = array![[4.0, 1.0], [1.0, 3.0]];
        let indefinite = array![[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, -5.0]];
        let rhs = array![[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]];
        let factors = Factorisation::new(&indefinite)?;
        assert_eq!(factors.negative(), Some(2));
        assert!(largest(&(factors.solve(&rhs).dot(&indefinite) - &rhs)) < 1e-14);
        assert_eq!(Factorisation::new(&definite)?.negative(), None);
        Ok(())
    }

    #[test]
    fn inertia_agrees_with_the_eigenvalues() -> Result<()> {
        for seed in 0..20 {
            let wave = |i: usize, j: usize| ((i * j + i + j + seed) as f64 * 1.7).sin();
            let matrix = Array2::from_shape_fn((9, 9), |(i, j)| wave(i.min(j), i.max(j)));
            let negative = eigen(&matrix)?
                .values
                .iter()
                .filter(|&&value| value < 0.0)
                .count();
            assert_eq!(
                Factorisation::new(&matrix)?.negative(),
                Some(negative),
                "seed {seed}"
            );
        }
        Ok(())
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let matrix = array![[1.0, f64::NAN], [f64::NAN, 1.0]];
        assert!(matches!(eigen(&matrix), Err(Error::NotFinite { .. })));
        assert!(matches!(
            Factorisation::new(&matrix),
            Err(Error::NotFinite { .. })
        ));
    }
}

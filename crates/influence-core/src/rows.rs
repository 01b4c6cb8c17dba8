//! Stacks of parameter-space vectors.

use std::{fmt::Debug, ops::Range};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::{Error, Result};

/// A stack of `k` vectors of length `dim`, held wherever the backend keeps its numbers.
///
/// Solvers see nothing else of a backend: they form inner products on the host, in `f64`, and ask
/// for linear combinations. `Array2<f64>` is the reference implementation.
///
/// # Examples
/// ```
/// use influence_core::Rows;
/// use ndarray::array;
///
/// let rows = array![[1.0, 2.0], [3.0, 4.0]];
/// let sum = rows.combine(array![[1.0, 1.0]].view())?;
/// assert_eq!(sum, array![[4.0, 6.0]]);
/// assert_eq!(sum.gram(&rows)?, array![[16.0, 36.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
pub trait Rows: Clone + Debug + Send + Sync + 'static {
    /// The number of vectors, `k`.
    fn len(&self) -> usize;

    /// Whether there are no vectors.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of each vector.
    fn dim(&self) -> usize;

    /// The inner products `⟨self_i, other_j⟩`, shape `(k, k')`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the lengths of the vectors differ, [`Error::Backend`] when the backend
    /// fails.
    fn gram(&self, other: &Self) -> Result<Array2<f64>>;

    /// The `m` linear combinations `Σ_j coefficients[i, j] · self_j`; coefficients are `(m, k)`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one coefficient per vector, [`Error::Backend`].
    fn combine(&self, coefficients: ArrayView2<'_, f64>) -> Result<Self>;

    /// `self + scale · other`, row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] when the two differ in shape, [`Error::Backend`].
    fn add_scaled(&self, scale: f64, other: &Self) -> Result<Self>;

    /// `scale · self + Σ_j coefficients[i, j] · basis_j`, row by row; coefficients are `(k, rank)`.
    ///
    /// A backend may keep the sum as it is, where that takes less room and inner products with it
    /// cost less.
    ///
    /// # Errors
    /// As [`combine`](Self::combine) and [`add_scaled`](Self::add_scaled).
    fn plus_combination(
        &self,
        scale: f64,
        coefficients: ArrayView2<'_, f64>,
        basis: &Self,
    ) -> Result<Self> {
        basis.combine(coefficients)?.add_scaled(scale, self)
    }

    /// The vectors with these indices, in this order.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when an index is too large, [`Error::Backend`].
    fn select(&self, indices: &[usize]) -> Result<Self>;

    /// The given columns of every vector, joined in order: the restriction to a block.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when a range leaves `0..dim`, [`Error::Backend`].
    fn columns(&self, columns: &[Range<usize>]) -> Result<Self>;

    /// The inverse of [`columns`](Self::columns): vectors of length `dim` whose given columns hold
    /// the parts, and zero elsewhere.
    ///
    /// At least one part must come; all have the same number of rows.
    ///
    /// # Errors
    /// [`Error::Shape`] when a part does not fit its columns, [`Error::Backend`].
    fn assemble(dim: usize, parts: &[(&[Range<usize>], Self)]) -> Result<Self>;

    /// The Euclidean norm of each vector.
    ///
    /// # Errors
    /// As [`gram`](Self::gram).
    fn norms(&self) -> Result<Vec<f64>> {
        let square = |row| {
            let alone = self.select(&[row])?;
            Ok(length_from_square(alone.gram(&alone)?[[0, 0]]))
        };
        (0..self.len()).map(square).collect()
    }

    /// A number for each vector that is finite only where all of the vector is. Backends that keep
    /// a vector as a sum may have one that costs less than the norm of the sum.
    ///
    /// # Errors
    /// As [`gram`](Self::gram).
    fn bounds(&self) -> Result<Vec<f64>> {
        self.norms()
    }

    /// The vectors, each times its factor.
    ///
    /// # Errors
    /// As [`combine`](Self::combine).
    fn scaled(&self, factors: &[f64]) -> Result<Self> {
        self.combine(Array2::from_diag(&ArrayView1::from(factors)).view())
    }

    /// The vectors with each column times its factor.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one factor per column, [`Error::Backend`].
    fn scaled_columns(&self, factors: &Array1<f64>) -> Result<Self> {
        Error::check_size("scaling columns", "factors", self.dim(), factors.len())?;
        self.like((self.to_host()? * factors).view())
    }

    /// The numbers on the host, `(k, dim)`.
    ///
    /// # Errors
    /// [`Error::Backend`] when the transfer fails.
    fn to_host(&self) -> Result<Array2<f64>>;

    /// A stack of these numbers, kept where and in the precision in which `self` is kept.
    ///
    /// # Errors
    /// [`Error::Backend`] when the transfer fails.
    fn like(&self, values: ArrayView2<'_, f64>) -> Result<Self>;
}

impl Rows for Array2<f64> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn dim(&self) -> usize {
        self.ncols()
    }

    fn gram(&self, other: &Self) -> Result<Array2<f64>> {
        Error::check_size("gram", "vector length", self.ncols(), other.ncols())?;
        Ok(self.dot(&other.t()))
    }

    fn combine(&self, coefficients: ArrayView2<'_, f64>) -> Result<Self> {
        Error::check_size(
            "combine",
            "coefficients per row",
            self.nrows(),
            coefficients.ncols(),
        )?;
        Ok(coefficients.dot(self))
    }

    fn add_scaled(&self, scale: f64, other: &Self) -> Result<Self> {
        Error::check_size("add_scaled", "rows", self.nrows(), other.nrows())?;
        Error::check_size("add_scaled", "vector length", self.ncols(), other.ncols())?;
        let mut sum = self.clone();
        sum.scaled_add(scale, other);
        Ok(sum)
    }

    fn select(&self, indices: &[usize]) -> Result<Self> {
        check_indices(indices, self.nrows())?;
        Ok(self.view().select(Axis(0), indices))
    }

    fn columns(&self, columns: &[Range<usize>]) -> Result<Self> {
        let mut views = Vec::with_capacity(columns.len());
        for range in columns {
            Error::check_range(range, self.ncols())?;
            views.push(self.slice(ndarray::s![.., range.clone()]));
        }
        ndarray::concatenate(Axis(1), &views).map_err(|source| Error::backend("columns", source))
    }

    fn assemble(dim: usize, parts: &[(&[Range<usize>], Self)]) -> Result<Self> {
        let k = check_parts(dim, parts)?;
        let mut whole = Array2::zeros((k, dim));
        for (columns, part) in parts {
            let mut from = 0;
            for range in *columns {
                let to = from + range.len();
                whole
                    .slice_mut(ndarray::s![.., range.clone()])
                    .assign(&part.slice(ndarray::s![.., from..to]));
                from = to;
            }
        }
        Ok(whole)
    }

    fn to_host(&self) -> Result<Array2<f64>> {
        Ok(self.clone())
    }

    fn like(&self, values: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(values.to_owned())
    }
}

/// The length of a vector from its inner product with itself, which rounding may leave below zero;
/// not a number stays not a number.
pub fn length_from_square(square: f64) -> f64 {
    if square < 0.0 { 0.0 } else { square.sqrt() }
}

/// Checks that every index names one of `len` rows.
///
/// # Errors
/// [`Error::OutOfRange`] with the first index that does not.
pub fn check_indices(indices: &[usize], len: usize) -> Result<()> {
    match indices.iter().find(|&&index| index >= len) {
        Some(&index) => Err(Error::OutOfRange {
            range: index..index + 1,
            len,
        }),
        None => Ok(()),
    }
}

/// Checks the parts of [`Rows::assemble`] and gives their common number of rows.
///
/// # Errors
/// [`Error::Shape`] or [`Error::OutOfRange`] for the first part that does not fit.
pub fn check_parts<R: Rows>(dim: usize, parts: &[(&[Range<usize>], R)]) -> Result<usize> {
    let k = parts.first().map_or(0, |(_, part)| part.len());
    for (columns, part) in parts {
        Error::check_size("assemble", "rows", k, part.len())?;
        Error::check_size(
            "assemble",
            "columns",
            columns.iter().map(Range::len).sum(),
            part.dim(),
        )?;
        columns
            .iter()
            .try_for_each(|range| Error::check_range(range, dim))?;
    }
    Ok(k)
}

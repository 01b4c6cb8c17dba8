use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use crate::{Error, Result, Rows, operator::LinearOperator};

/// Rows whose every operation, inner products included, is done in 32-bit precision: what solvers
/// meet on most backends.
#[derive(Debug, Clone)]
pub struct Single(Array2<f32>);

impl Single {
    /// Rounds the values.
    pub fn new(values: &Array2<f64>) -> Self {
        Self(rounded(&values.view()))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn rounded(values: &ArrayView2<'_, f64>) -> Array2<f32> {
    values.mapv(|value| value as f32)
}

fn widened(values: &Array2<f32>) -> Array2<f64> {
    values.mapv(f64::from)
}

impl Rows for Single {
    fn len(&self) -> usize {
        self.0.nrows()
    }

    fn dim(&self) -> usize {
        self.0.ncols()
    }

    fn gram(&self, other: &Self) -> Result<Array2<f64>> {
        Error::check_size("gram", "vector length", self.dim(), other.dim())?;
        Ok(widened(&self.0.dot(&other.0.t())))
    }

    fn combine(&self, coefficients: ArrayView2<'_, f64>) -> Result<Self> {
        Error::check_size(
            "combine",
            "coefficients per row",
            self.len(),
            coefficients.ncols(),
        )?;
        Ok(Self(rounded(&coefficients).dot(&self.0)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
    fn add_scaled(&self, scale: f64, other: &Self) -> Result<Self> {
        Error::check_size("add_scaled", "rows", self.len(), other.len())?;
        Error::check_size("add_scaled", "vector length", self.dim(), other.dim())?;
        let mut sum = self.clone();
        sum.0.scaled_add(scale as f32, &other.0);
        Ok(sum)
    }

    fn select(&self, indices: &[usize]) -> Result<Self> {
        self.like(Rows::select(&widened(&self.0), indices)?.view())
    }

    fn columns(&self, columns: &[Range<usize>]) -> Result<Self> {
        self.like(widened(&self.0).columns(columns)?.view())
    }

    fn assemble(dim: usize, parts: &[(&[Range<usize>], Self)]) -> Result<Self> {
        let parts: Vec<_> = parts
            .iter()
            .map(|(columns, part)| (*columns, widened(&part.0)))
            .collect();
        Ok(Self::new(&Array2::assemble(dim, &parts)?))
    }

    fn to_host(&self) -> Result<Array2<f64>> {
        Ok(widened(&self.0))
    }

    fn like(&self, values: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(Self(rounded(&values)))
    }
}

/// A symmetric matrix that multiplies in 32-bit precision.
#[derive(Debug, Clone)]
pub struct SingleMatrix(Array2<f32>);

impl SingleMatrix {
    /// Rounds a square matrix.
    pub fn new(values: &Array2<f64>) -> Self {
        Self(rounded(&values.view()))
    }
}

impl LinearOperator for SingleMatrix {
    type Rows = Single;

    fn dim(&self) -> usize {
        self.0.nrows()
    }

    fn apply(&self, rows: &Single) -> Result<Single> {
        Error::check_size("matrix product", "vector length", self.dim(), rows.dim())?;
        Ok(Single(rows.0.dot(&self.0)))
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Single> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(Single(rounded(&values)))
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        Ok(widened(&self.0))
    }
}

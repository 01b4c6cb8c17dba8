//! Stacks of parameter-space vectors on a device.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};
use influence_core::{
    Error as CoreError, Precision, Result as CoreResult, Rows, check_indices, check_parts,
    length_from_square,
};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::{
    Gradients,
    gradient::{Basis, StackIdentity},
    tensors::{self, array2, host, tensor},
};

/// A stack of `k` parameter-space vectors on a burn device.
///
/// Vectors that come from gradients of linear maps stay outer products while they are scaled, cut
/// and joined; any other operation makes them one tensor `(k, dim)`.
#[derive(Debug, Clone)]
pub struct Stack {
    vectors: Gradients,
    identity: StackIdentity,
}

impl From<Gradients> for Stack {
    fn from(vectors: Gradients) -> Self {
        Self {
            vectors,
            identity: StackIdentity::default(),
        }
    }
}

impl Stack {
    /// A stack of the rows of a tensor.
    pub fn new(tensor: Tensor<2>) -> Self {
        Self::from(Gradients::dense(tensor))
    }

    /// A stack of host values on a device, rounded to the precision.
    pub fn from_host(values: &ArrayView2<'_, f64>, device: &Device, precision: Precision) -> Self {
        Self::new(tensor(
            values.iter().copied(),
            [values.nrows(), values.ncols()],
            device,
            precision,
        ))
    }

    /// The vectors as a tensor `(k, dim)`.
    pub fn tensor(&self) -> Tensor<2> {
        self.vectors.to_rows()
    }

    /// The vectors in the form in which they are kept.
    pub(crate) fn vectors(&self) -> &Gradients {
        &self.vectors
    }

    /// The same as [`vectors`](Self::vectors), by value.
    pub(crate) fn into_vectors(self) -> Gradients {
        self.vectors
    }

    /// The vectors as those that others are combinations of.
    pub(crate) fn basis(&self) -> Basis {
        Basis::new(self.identity.clone(), self.tensor())
    }

    /// Zero vectors, on the device and in the precision of `self`.
    pub(crate) fn zeros(&self, k: usize, dim: usize) -> Self {
        let (device, float) = self.vectors.kind();
        Self::new(Tensor::zeros([k, dim], (device, *float)))
    }

    fn place(&self) -> (&Device, Precision) {
        let (device, float) = self.vectors.kind();
        let precision = match float {
            DType::F64 => Precision::F64,
            _ => Precision::F32,
        };
        (device, precision)
    }

    fn check_dim(&self, op: &'static str, dim: usize) -> CoreResult<()> {
        CoreError::check_size(op, "vector length", self.dim(), dim)
    }
}

impl Rows for Stack {
    fn len(&self) -> usize {
        self.vectors.len()
    }

    fn dim(&self) -> usize {
        self.vectors.dim()
    }

    fn gram(&self, other: &Self) -> CoreResult<Array2<f64>> {
        self.check_dim("gram", other.dim())?;
        let (k, others) = (self.len(), other.len());
        if k == 0 || others == 0 {
            return Ok(Array2::zeros((k, others)));
        }
        // Dense rows must be the other side, so that they are contracted with the thin factors; the
        // other way round the outer products would be multiplied out.
        if other.vectors.is_dense() && !self.vectors.is_dense() {
            let products = array2(&self.vectors.scores(&other.vectors))?;
            return Ok(products.t().as_standard_layout().into_owned());
        }
        array2(&other.vectors.scores(&self.vectors))
    }

    fn combine(&self, coefficients: ArrayView2<'_, f64>) -> CoreResult<Self> {
        CoreError::check_size(
            "combine",
            "coefficients per row",
            self.len(),
            coefficients.ncols(),
        )?;
        if coefficients.is_empty() {
            return Ok(self.zeros(coefficients.nrows(), self.dim()));
        }
        let coefficients = self.like(coefficients)?;
        Ok(Self::new(self.vectors.combine(&coefficients.tensor())))
    }

    fn add_scaled(&self, scale: f64, other: &Self) -> CoreResult<Self> {
        CoreError::check_size("add_scaled", "rows", self.len(), other.len())?;
        self.check_dim("add_scaled", other.dim())?;
        Ok(Self::new(self.tensor() + other.tensor().mul_scalar(scale)))
    }

    fn plus_combination(
        &self,
        scale: f64,
        coefficients: ArrayView2<'_, f64>,
        basis: &Self,
    ) -> CoreResult<Self> {
        CoreError::check_size("plus_combination", "rows", self.len(), coefficients.nrows())?;
        CoreError::check_size(
            "plus_combination",
            "coefficients per row",
            basis.len(),
            coefficients.ncols(),
        )?;
        self.check_dim("plus_combination", basis.dim())?;
        let weights = self.like(coefficients)?.tensor();
        let vectors = self.vectors.clone();
        let sum = vectors.plus_combination(scale, &weights, basis.basis());
        Ok(Self::from(sum))
    }

    fn select(&self, indices: &[usize]) -> CoreResult<Self> {
        check_indices(indices, self.len())?;
        if indices.is_empty() {
            return Ok(self.zeros(0, self.dim()));
        }
        let rows = tensors::indices(indices.iter().copied(), self.place().0);
        Ok(Self::from(self.vectors.select(&rows)))
    }

    fn columns(&self, columns: &[Range<usize>]) -> CoreResult<Self> {
        columns
            .iter()
            .try_for_each(|range| CoreError::check_range(range, self.dim()))?;
        Ok(Self::from(self.vectors.columns(columns)))
    }

    fn assemble(dim: usize, parts: &[(&[Range<usize>], Self)]) -> CoreResult<Self> {
        check_parts(dim, parts)?;
        let parts: Vec<_> = parts
            .iter()
            .map(|(columns, part)| (*columns, &part.vectors))
            .collect();
        let whole = Gradients::assemble(dim, &parts).ok_or(CoreError::Shape {
            op: "assemble",
            axis: "parts",
            expected: 1,
            got: 0,
        })?;
        Ok(Self::from(whole))
    }

    fn norms(&self) -> CoreResult<Vec<f64>> {
        let squares = host(&self.vectors.squared_norms())?;
        Ok(squares.into_iter().map(length_from_square).collect())
    }

    fn bounds(&self) -> CoreResult<Vec<f64>> {
        host(&self.vectors.squared_bounds())
    }

    fn scaled_columns(&self, factors: &Array1<f64>) -> CoreResult<Self> {
        self.check_dim("scaled_columns", factors.len())?;
        let factors = self.like(factors.view().insert_axis(Axis(0)))?;
        Ok(Self::new(self.tensor() * factors.tensor()))
    }

    fn scaled(&self, factors: &[f64]) -> CoreResult<Self> {
        CoreError::check_size("scaled", "factors", self.len(), factors.len())?;
        let (device, precision) = self.place();
        let shape = [factors.len(), 1];
        let factors = tensor(factors.iter().copied(), shape, device, precision);
        Ok(Self::from(self.vectors.clone().scaled(&factors)))
    }

    fn to_host(&self) -> CoreResult<Array2<f64>> {
        array2(&self.tensor())
    }

    fn like(&self, values: ArrayView2<'_, f64>) -> CoreResult<Self> {
        let (device, precision) = self.place();
        Ok(Self::from_host(&values, device, precision))
    }
}

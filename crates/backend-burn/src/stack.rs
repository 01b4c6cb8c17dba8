//! Stacks of parameter-space vectors on a device.

use std::ops::Range;

use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};
use influence_core::{
    Error as CoreError, Precision, Result as CoreResult, Rows, check_indices, check_parts,
};
use ndarray::{Array2, ArrayView2};

/// A stack of `k` parameter-space vectors on a burn device, one tensor `(k, dim)`.
#[derive(Debug, Clone)]
pub struct Stack {
    tensor: Tensor<2>,
}

impl Stack {
    /// A stack of the rows of a tensor.
    pub fn new(tensor: Tensor<2>) -> Self {
        Self { tensor }
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

    /// The tensor `(k, dim)`.
    pub fn tensor(&self) -> &Tensor<2> {
        &self.tensor
    }

    /// Zero vectors, placed and rounded as `self` is.
    pub(crate) fn zeros(&self, k: usize, dim: usize) -> Self {
        Self::new(Tensor::zeros(
            [k, dim],
            (&self.tensor.device(), self.tensor.dtype()),
        ))
    }

    fn precision(&self) -> Precision {
        if self.tensor.dtype() == DType::F64 {
            Precision::F64
        } else {
            Precision::F32
        }
    }

    fn check_dim(&self, op: &'static str, dim: usize) -> CoreResult<()> {
        CoreError::check_size(op, "vector length", self.dim(), dim)
    }
}

/// A tensor of host values in a precision.
pub(crate) fn tensor<const D: usize>(
    values: impl Iterator<Item = f64>,
    shape: [usize; D],
    device: &Device,
    precision: Precision,
) -> Tensor<D> {
    match precision {
        Precision::F64 => Tensor::from_data(
            TensorData::new(values.collect(), shape),
            (device, DType::F64),
        ),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding to the precision asked for"
        )]
        Precision::F32 => {
            let values: Vec<f32> = values.map(|value| value as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
        }
    }
}

/// The values of a tensor on the host, in order.
pub(crate) fn host<const D: usize>(tensor: &Tensor<D>) -> CoreResult<Vec<f64>> {
    let data = tensor
        .clone()
        .try_into_data()
        .map_err(|error| CoreError::backend("read tensor", error.to_string()))?;
    Ok(data.iter::<f64>().collect())
}

impl Rows for Stack {
    fn len(&self) -> usize {
        self.tensor.dims()[0]
    }

    fn dim(&self) -> usize {
        self.tensor.dims()[1]
    }

    fn gram(&self, other: &Self) -> CoreResult<Array2<f64>> {
        self.check_dim("gram", other.dim())?;
        let (k, others) = (self.len(), other.len());
        if k == 0 || others == 0 {
            return Ok(Array2::zeros((k, others)));
        }
        let products = self.tensor.clone().matmul(other.tensor.clone().transpose());
        to_array2(&products)
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
        let coefficients = Self::from_host(&coefficients, &self.tensor.device(), self.precision());
        Ok(Self::new(coefficients.tensor.matmul(self.tensor.clone())))
    }

    fn add_scaled(&self, scale: f64, other: &Self) -> CoreResult<Self> {
        CoreError::check_size("add_scaled", "rows", self.len(), other.len())?;
        self.check_dim("add_scaled", other.dim())?;
        Ok(Self::new(
            self.tensor.clone() + other.tensor.clone().mul_scalar(scale),
        ))
    }

    fn select(&self, indices: &[usize]) -> CoreResult<Self> {
        check_indices(indices, self.len())?;
        if indices.is_empty() {
            return Ok(self.zeros(0, self.dim()));
        }
        let device = self.tensor.device();
        #[expect(clippy::cast_possible_wrap, reason = "row counts are far below 2^63")]
        let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let count = indices.len();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &device);
        Ok(Self::new(self.tensor.clone().select(0, indices)))
    }

    fn columns(&self, columns: &[Range<usize>]) -> CoreResult<Self> {
        columns
            .iter()
            .try_for_each(|range| CoreError::check_range(range, self.dim()))?;
        if matches!(columns, [range] if *range == (0..self.dim())) {
            return Ok(self.clone());
        }
        let k = self.len();
        let parts: Vec<_> = columns
            .iter()
            .map(|range| self.tensor.clone().slice([0..k, range.clone()]))
            .collect();
        if parts.is_empty() {
            Ok(self.zeros(k, 0))
        } else {
            Ok(Self::new(Tensor::cat(parts, 1)))
        }
    }

    fn assemble(dim: usize, parts: &[(&[Range<usize>], Self)]) -> CoreResult<Self> {
        let k = check_parts(dim, parts)?;
        let Some((_, first)) = parts.first() else {
            return Err(CoreError::Shape {
                op: "assemble",
                axis: "parts",
                expected: 1,
                got: 0,
            });
        };
        if let [(columns, part)] = parts
            && matches!(columns, [range] if range.len() == dim)
        {
            return Ok(part.clone());
        }
        let mut whole = first.zeros(k, dim).tensor;
        for (columns, part) in parts {
            let mut from = 0;
            for range in *columns {
                let to = from + range.len();
                let piece = part.tensor.clone().slice([0..k, from..to]);
                whole = whole.slice_assign([0..k, range.clone()], piece);
                from = to;
            }
        }
        Ok(Self::new(whole))
    }

    fn to_host(&self) -> CoreResult<Array2<f64>> {
        to_array2(&self.tensor)
    }

    fn like(&self, values: ArrayView2<'_, f64>) -> CoreResult<Self> {
        Ok(Self::from_host(
            &values,
            &self.tensor.device(),
            self.precision(),
        ))
    }
}

fn to_array2(tensor: &Tensor<2>) -> CoreResult<Array2<f64>> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), host(tensor)?)
        .map_err(|error| CoreError::backend("read tensor", error))
}

/// Adds rows into a tensor of zeros `(rows, width)` at the given positions.
pub(crate) fn scatter_rows(rows: usize, positions: Tensor<1, Int>, values: Tensor<2>) -> Tensor<2> {
    let width = values.dims()[1];
    let zeros = Tensor::zeros([rows, width], (&values.device(), values.dtype()));
    zeros.select_assign(0, positions, values, IndexingUpdateOp::Add)
}

//! Helpers for tensors: values from and to the host, pieces joined, rows scattered.

use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};
use influence_core::{Error as CoreError, Precision, Result as CoreResult, summation::Sums};
use ndarray::{Array, Array2, Array3, ArrayD, Dimension};

use crate::{Error, Result};

/// A tensor of host values, rounded to a precision.
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

/// Numbers of rows as a tensor, by which rows of others are selected.
pub(crate) fn indices(rows: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    #[expect(clippy::cast_possible_wrap, reason = "row counts are far below 2^63")]
    let rows: Vec<i64> = rows.map(|row| row as i64).collect();
    let shape = [rows.len()];
    Tensor::from_data(TensorData::new(rows, shape), device)
}

/// A tensor of a host array, rounded to a precision.
pub(crate) fn tensor3(array: &Array3<f64>, device: &Device, precision: Precision) -> Tensor<3> {
    let (a, b, c) = array.dim();
    match array.as_slice() {
        Some(values) => tensor(values.iter().copied(), [a, b, c], device, precision),
        None => tensor(array.iter().copied(), [a, b, c], device, precision),
    }
}

/// The values of a tensor on the host, in order.
pub(crate) fn host<const D: usize>(tensor: &Tensor<D>) -> CoreResult<Vec<f64>> {
    Ok(numbers(&read(tensor)?))
}

fn read<const D: usize>(tensor: &Tensor<D>) -> CoreResult<TensorData> {
    let data = tensor.clone().try_into_data();
    data.map_err(|error| CoreError::backend("read tensor", error.to_string()))
}

/// The numbers of host data, in order.
pub(crate) fn numbers(data: &TensorData) -> Vec<f64> {
    // Element by element, through a conversion of each, would take many times as long.
    match data.as_slice::<f32>() {
        Ok(values) => values.iter().copied().map(f64::from).collect(),
        Err(_) => data.iter::<f64>().collect(),
    }
}

/// The same as [`host`], with an error of this crate.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f64>> {
    host(tensor).map_err(|error| Error::Engine {
        message: error.to_string(),
    })
}

/// A matrix on the host.
pub(crate) fn array2(tensor: &Tensor<2>) -> CoreResult<Array2<f64>> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), host(tensor)?)
        .map_err(|error| CoreError::backend("read tensor", error))
}

/// A tensor of three axes on the host.
pub(crate) fn array3(tensor: &Tensor<3>) -> CoreResult<Array3<f64>> {
    let [a, b, c] = tensor.dims();
    Array3::from_shape_vec((a, b, c), host(tensor)?)
        .map_err(|error| CoreError::backend("read tensor", error))
}

/// Adds a tensor to an array of its shape.
pub(crate) fn add_to(sum: &mut Array3<f64>, tensor: &Tensor<3>) -> CoreResult<()> {
    let data = read(tensor)?;
    match (sum.as_slice_mut(), data.as_slice::<f32>()) {
        // No copy in `f64` is made.
        (Some(sum), Ok(values)) if sum.len() == values.len() => {
            let pairs = sum.iter_mut().zip(values);
            pairs.for_each(|(sum, value)| *sum += f64::from(*value));
        }
        _ => {
            let values = Array3::from_shape_vec(sum.dim(), numbers(&data));
            *sum += &values.map_err(|error| CoreError::backend("read tensor", error))?;
        }
    }
    Ok(())
}

/// The only array of a sum over data, with its number of axes.
pub(crate) fn single<D: Dimension>(sums: Sums) -> CoreResult<Array<f64, D>> {
    Unpacked::new(sums).next()
}

/// The arrays of a sum over data, one after another.
pub(crate) struct Unpacked(std::vec::IntoIter<ArrayD<f64>>);

impl Unpacked {
    pub(crate) fn new(sums: Sums) -> Self {
        Self(sums.into_iter())
    }

    /// The next array, with its number of axes.
    pub(crate) fn next<D: Dimension>(&mut self) -> CoreResult<Array<f64, D>> {
        let next = self.0.next().unwrap_or_default();
        next.into_dimensionality()
            .map_err(|error| CoreError::backend("sum over data", error))
    }
}

/// Adds rows into a tensor of zeros `(rows, width)` at the given positions.
pub(crate) fn scatter_rows(rows: usize, positions: Tensor<1, Int>, values: Tensor<2>) -> Tensor<2> {
    let width = values.dims()[1];
    let zeros = Tensor::zeros([rows, width], (&values.device(), values.dtype()));
    zeros.select_assign(0, positions, values, IndexingUpdateOp::Add)
}

/// Pieces joined along an axis; a single one is not copied.
pub(crate) fn joined(mut pieces: Vec<Tensor<2>>, axis: usize) -> Tensor<2> {
    match pieces.len() {
        1 => pieces.swap_remove(0),
        _ => Tensor::cat(pieces, axis),
    }
}

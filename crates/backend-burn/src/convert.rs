//! Between burn tensors and host arrays.

use burn::tensor::{Device, Tensor};
use influence_core::{Error as CoreError, Precision, Result as CoreResult, TensorConverter};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::tensors::{host, tensor};

/// Converts tensors of one rank between a device and the host.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use influence_backend_burn::Converter;
/// use influence_core::{Precision, TensorConverter};
///
/// let converter = Converter::<2>::new(Device::flex(), Precision::F32);
/// let array = converter.to_array(&Tensor::from_data([[1.0, 2.0], [3.0, 4.0]], &Device::flex()))?;
/// assert_eq!(array[[1, 0]], 3.0);
/// assert_eq!(converter.to_tensor(array.view())?.dims(), [2, 2]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Converter<const D: usize> {
    device: Device,
    precision: Precision,
}

impl<const D: usize> Converter<D> {
    /// Converts to tensors on a device, rounded to the precision.
    pub fn new(device: Device, precision: Precision) -> Self {
        Self { device, precision }
    }
}

impl<const D: usize> TensorConverter for Converter<D> {
    type Tensor = Tensor<D>;

    fn to_array(&self, tensor: &Tensor<D>) -> CoreResult<ArrayD<f64>> {
        ArrayD::from_shape_vec(IxDyn(&tensor.dims()), host(tensor)?)
            .map_err(|error| CoreError::backend("read tensor", error))
    }

    fn to_tensor(&self, array: ArrayViewD<'_, f64>) -> CoreResult<Tensor<D>> {
        let shape: [usize; D] = array.shape().try_into().map_err(|_| CoreError::Shape {
            op: "write tensor",
            axis: "rank",
            expected: D,
            got: array.ndim(),
        })?;
        Ok(tensor(
            array.iter().copied(),
            shape,
            &self.device,
            self.precision,
        ))
    }
}

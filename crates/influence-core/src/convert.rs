//! Crossing between backend tensors and host arrays.

use ndarray::{ArrayD, ArrayViewD};

use crate::Result;

/// Converts a backend's tensors to host arrays and back; nothing else crosses.
///
/// The host side is `f64`, into which every precision fits without loss.
pub trait TensorConverter {
    /// The backend's tensor.
    type Tensor;

    /// Copies a tensor to the host, same shape.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when the transfer fails.
    fn to_array(&self, tensor: &Self::Tensor) -> Result<ArrayD<f64>>;

    /// Copies an array to the backend, same shape, rounded to the backend's precision. The array
    /// need not be contiguous.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when the transfer fails.
    fn to_tensor(&self, array: ArrayViewD<'_, f64>) -> Result<Self::Tensor>;
}

/// The converter of tensors that are host arrays to begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostConverter;

impl TensorConverter for HostConverter {
    type Tensor = ArrayD<f64>;

    fn to_array(&self, tensor: &ArrayD<f64>) -> Result<ArrayD<f64>> {
        Ok(tensor.clone())
    }

    fn to_tensor(&self, array: ArrayViewD<'_, f64>) -> Result<ArrayD<f64>> {
        Ok(array.to_owned())
    }
}

/// The precision in which a model computes, and in which its results are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 64-bit floating point.
    F64,
}

impl Precision {
    /// The bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

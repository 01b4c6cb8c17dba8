//! Products of matrices of tensors.

#[cfg(feature = "cuda")]
use burn::backend::{Cube, DispatchDevice};
use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use crate::graph::Kernels as _;

/// Products of matrices in the precision that these have, on every device.
pub(crate) trait Product {
    /// The product of the matrices of the last two axes.
    fn product(self, right: Self) -> Self;
}

impl<const D: usize> Product for Tensor<D> {
    fn product(self, right: Self) -> Self {
        #[cfg(feature = "cuda")]
        if let DispatchDevice::Cube(device) = self.device().as_dispatch()
            && crate::device::rounds_products(device, self.dtype())
            && let (Ok(left), Ok(right)) = (
                self.clone().try_into_primitive::<Cube>(),
                right.clone().try_into_primitive::<Cube>(),
            )
        {
            return Self::from_primitive::<Cube>(Cube::product(left, right));
        }
        self.matmul(right)
    }
}

/// A product of matrices as this library computes it: in the precision that these have, on every
/// device.
///
/// burn's own has on an NVIDIA GPU 11 of the 24 bits of a 32-bit float.
pub fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    Product::product(left, right)
}

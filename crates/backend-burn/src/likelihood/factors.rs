//! Square-root factors of a second derivative.

use burn::tensor::Tensor;

/// Square-root factors of the second derivative of the loss by the outputs: vectors `u_r (n, c)`
/// with `H_i = Σ_r u_r u_rᵀ` for each sample, those of `plus` less those of `minus`. The latter
/// exist only where the loss is not convex in the outputs.
pub(crate) struct SquareRootFactors {
    pub(crate) plus: Vectors,
    pub(crate) minus: Vectors,
}

/// Tensors `(n, c)`, made one at a time.
pub(super) type Vectors = Box<dyn Iterator<Item = Tensor<2>>>;

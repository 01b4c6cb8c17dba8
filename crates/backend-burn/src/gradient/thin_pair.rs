use burn::tensor::Tensor;

use crate::{device::piece_sizes, product::Product as _, tensors::joined};

/// Outer products at one position as their factors `(n, g, side)`, the narrower first.
pub(super) struct ThinPair {
    pub(super) thin: Tensor<3>,
    pub(super) wide: Tensor<3>,
    /// Whether the narrower factor is the right one.
    pub(super) swapped: bool,
}

impl ThinPair {
    /// Contracts rows with the wide factor, then with the thin one; as many rows at a time as keep
    /// the intermediate result in a cache.
    pub(super) fn scores(&self, rows: &Tensor<2>) -> Tensor<2> {
        let ([k, width], [n, g, thin]) = (rows.dims(), self.thin.dims());
        let step = (piece_sizes(&rows.device()).scalars / (g * thin * n).max(1)).max(1);
        let pieces = (0..k.max(1)).step_by(step).map(|first| {
            let rows = rows.clone().slice([first..(first + step).min(k), 0..width]);
            self.scores_at_once(rows)
        });
        joined(pieces.collect(), 0)
    }

    fn scores_at_once(&self, rows: Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        let ([n, g, thin], wide) = (self.thin.dims(), self.wide.dims()[2]);
        let rows = if self.swapped {
            rows.reshape([k, g, wide, thin])
        } else {
            rows.reshape([k, g, thin, wide]).swap_dims(2, 3)
        };
        let of_samples = |factor: &Tensor<3>| factor.clone().swap_dims(0, 1).unsqueeze();
        let contracted: Tensor<4> = of_samples(&self.wide).product(rows);
        let products = contracted * of_samples(&self.thin);
        products.sum_dims(&[3, 1]).reshape([k, n])
    }

    /// Weights the thin factor, then multiplies with the wide one.
    pub(super) fn combine(self, weights: &Tensor<2>) -> Tensor<2> {
        let k = weights.dims()[0];
        let ([n, g, thin], wide) = (self.thin.dims(), self.wide.dims()[2]);
        let weighted = self.thin.permute([1, 2, 0]).reshape([g, 1, thin, n])
            * weights.clone().reshape([1, k, 1, n]);
        let sums = weighted
            .reshape([g, k * thin, n])
            .product(self.wide.swap_dims(0, 1));
        let sums = sums.reshape([g, k, thin, wide]).swap_dims(0, 1);
        let sums = if self.swapped {
            sums.swap_dims(2, 3)
        } else {
            sums
        };
        sums.reshape([k, g * thin * wide])
    }
}

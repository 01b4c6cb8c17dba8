use burn::tensor::Tensor;

/// Outer products at one position as their factors `(n, g, side)`, the narrower first.
pub(super) struct ThinPair {
    pub(super) thin: Tensor<3>,
    pub(super) wide: Tensor<3>,
    /// Whether the narrower factor is the right one.
    pub(super) swapped: bool,
}

impl ThinPair {
    /// Contracts rows with the wide factor, then with the thin one.
    pub(super) fn scores(self, rows: Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        let ([n, g, thin], wide) = (self.thin.dims(), self.wide.dims()[2]);
        let rows = if self.swapped {
            rows.reshape([k, g, wide, thin]).swap_dims(2, 3)
        } else {
            rows.reshape([k, g, thin, wide])
        };
        let rows = rows.swap_dims(0, 1).reshape([g, k * thin, wide]);
        let contracted = rows
            .matmul(self.wide.permute([1, 2, 0]))
            .reshape([g, k, thin, n]);
        let weights = self.thin.permute([1, 2, 0]).reshape([g, 1, thin, n]);
        (contracted * weights).sum_dims(&[0, 2]).reshape([k, n])
    }

    /// Weights the thin factor, then multiplies with the wide one.
    pub(super) fn combine(self, weights: &Tensor<2>) -> Tensor<2> {
        let k = weights.dims()[0];
        let ([n, g, thin], wide) = (self.thin.dims(), self.wide.dims()[2]);
        let weighted = self.thin.permute([1, 2, 0]).reshape([g, 1, thin, n])
            * weights.clone().reshape([1, k, 1, n]);
        let sums = weighted
            .reshape([g, k * thin, n])
            .matmul(self.wide.swap_dims(0, 1));
        let sums = sums.reshape([g, k, thin, wide]).swap_dims(0, 1);
        let sums = if self.swapped {
            sums.swap_dims(2, 3)
        } else {
            sums
        };
        sums.reshape([k, g * thin * wide])
    }
}

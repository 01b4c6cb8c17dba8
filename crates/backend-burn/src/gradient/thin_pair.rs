use std::ops::Range;

use burn::tensor::Tensor;

use crate::{device::piece_sizes, product::Product as _, tensors::joined};

/// Outer products as their factors at each position of each sample, `(n t, g, side)`.
pub(super) struct ThinPair {
    thin: Tensor<3>,
    wide: Tensor<3>,
    positions: usize,
    /// Whether the narrower factor is the right one.
    swapped: bool,
}

impl ThinPair {
    /// The factors `(n, g, t, side)` of sums of outer products.
    pub(super) fn new(left: &Tensor<4>, right: &Tensor<4>) -> Self {
        let flat = |side: &Tensor<4>| {
            let [n, g, t, side_length] = side.dims();
            let of_positions = side.clone().swap_dims(1, 2);
            of_positions.reshape([n * t, g, side_length])
        };
        let positions = left.dims()[2];
        let [left, right] = [flat(left), flat(right)];
        let swapped = right.dims()[2] < left.dims()[2];
        let (thin, wide) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        Self {
            thin,
            wide,
            positions,
            swapped,
        }
    }

    /// Contracts rows `(k, p)` with the wide factor, then with the thin one, `(k, n)`; as many
    /// positions and rows at a time as keep the intermediate result in a cache.
    pub(super) fn scores(&self, rows: &Tensor<2>) -> Tensor<2> {
        let ([k, width], [all, g, thin]) = (rows.dims(), self.thin.dims());
        let most = (piece_sizes(&rows.device()).scalars / (g * thin).max(1)).max(1);
        let at_once = most.min(all).max(1);
        let step = most / at_once;
        let strips = (0..all.max(1)).step_by(at_once).map(|first| {
            let pair = self.slice(first..(first + at_once).min(all));
            let pieces = (0..k.max(1)).step_by(step).map(|first| {
                let rows = rows.clone().slice([first..(first + step).min(k), 0..width]);
                pair.scores_at_once(rows)
            });
            joined(pieces.collect(), 0)
        });
        let of_positions = joined(strips.collect(), 1);
        if self.positions == 1 {
            return of_positions;
        }
        let n = all / self.positions;
        let of_samples = of_positions.reshape([k, n, self.positions]);
        of_samples.sum_dim(2).reshape([k, n])
    }

    /// Some of the positions only.
    fn slice(&self, positions: Range<usize>) -> Self {
        let of = |factor: &Tensor<3>| {
            let [_, g, side] = factor.dims();
            factor.clone().slice([positions.clone(), 0..g, 0..side])
        };
        Self {
            thin: of(&self.thin),
            wide: of(&self.wide),
            ..*self
        }
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

    /// Weights `(k, n)` the thin factor, then multiplies with the wide one, `(k, p)`.
    pub(super) fn combine(self, weights: &Tensor<2>) -> Tensor<2> {
        let [k, n] = weights.dims();
        let ([all, g, thin], wide) = (self.thin.dims(), self.wide.dims()[2]);
        let of_positions = weights.clone().swap_dims(0, 1).reshape([n, 1, k]);
        let of_positions = of_positions.expand([n, self.positions, k]);
        // In the order of the positions: the product reads its transpose as it is.
        let weighted = self.thin.reshape([all, g, 1, thin]) * of_positions.reshape([all, 1, k, 1]);
        let weighted = weighted.reshape([all, g, k * thin]).permute([1, 2, 0]);
        let sums = weighted.product(self.wide.swap_dims(0, 1));
        let sums = sums.reshape([g, k, thin, wide]).swap_dims(0, 1);
        let sums = if self.swapped {
            sums.swap_dims(2, 3)
        } else {
            sums
        };
        sums.reshape([k, g * thin * wide])
    }
}

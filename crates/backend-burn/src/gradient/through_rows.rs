//! Rows of outer products: contracted with their factors, or multiplied out piece by piece.

use std::ops::Range;

use burn::tensor::Tensor;

use super::{
    form::GradientForm,
    scoring::{ELEMENTWISE, WRITTEN},
    thin_pair::ThinPair,
};
use crate::{device::piece_sizes, product::Product as _, tensors::joined};

impl GradientForm {
    /// The weighted sums of the gradients, weights `(k, n)` → `(k, p)`.
    pub(super) fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        if let Some(pair) = self.thin_pair(weights.dims()[0]) {
            return pair.combine(weights);
        }
        let [k, n] = weights.dims();
        // Pieces of the sums are copied where they are joined.
        if 2 * k > n {
            return weights.clone().product(self.to_rows());
        }
        let pieces = self.row_pieces().into_iter();
        let sums = pieces.map(|(_, piece)| weights.clone().product(piece.to_rows()));
        joined(sums.collect(), 1)
    }

    /// The factors of outer products at each position, if contracting `k` rows with them is cheaper
    /// than multiplying them out.
    pub(super) fn thin_pair(&self, k: usize) -> Option<ThinPair> {
        match self {
            Self::Outer { left, right, .. } if self.contracts(k) => {
                Some(ThinPair::new(left, right))
            }
            _ => None,
        }
    }

    /// Whether `k` rows are contracted with the factors at each position.
    ///
    /// For each number of a sample's gradient that takes the operations of `k` rows at each of `t`
    /// positions; multiplying out takes those of `t` positions and of `k` rows, and a number is
    /// written. At a single position both cost the same in matrix products; in elementwise
    /// operations contracting costs `k · n · thin`, multiplying out `n · thin · wide`.
    pub(super) fn contracts(&self, k: usize) -> bool {
        let Self::Outer { left, right, .. } = self else {
            return false;
        };
        let ([_, _, t, l], r) = (left.dims(), right.dims()[3]);
        let wide = l.max(r);
        if t == 1 {
            return k < wide;
        }
        let (k, t, wide) = (k as f64, t as f64, wide as f64);
        k * t * (2.0 + ELEMENTWISE / wide) < 2.0 * (k + t) + WRITTEN
    }

    /// The gradients by pieces of their columns, as many of which are multiplied out at once as a
    /// cache holds. Larger results are also pages that the system has to clear each time.
    pub(super) fn row_pieces(&self) -> Vec<(Range<usize>, Self)> {
        let Self::Outer {
            left,
            right,
            activations,
        } = self
        else {
            return vec![(0..self.width(), self.clone())];
        };
        let ([n, g, t, l], r) = (left.dims(), right.dims()[3]);
        let most = piece_sizes(&left.device()).scalars / n.max(1);
        let groups = (most / (l * r).max(1)).clamp(1, g.max(1));
        // A part of a group only where a single one is too large.
        let inner = if groups > 1 {
            l
        } else {
            (most / r.max(1)).clamp(1, l.max(1))
        };
        let firsts = (0..g.max(1)).step_by(groups);
        let firsts =
            firsts.flat_map(|group| (0..l.max(1)).step_by(inner).map(move |row| (group, row)));
        let pieces = firsts.map(|(group, row)| {
            let of_groups = group..(group + groups).min(g);
            let of_rows = row..(row + inner).min(l);
            let start = (group * l + row) * r;
            let columns = start..start + of_groups.len() * of_rows.len() * r;
            let piece = Self::Outer {
                left: left.clone().slice([0..n, of_groups.clone(), 0..t, of_rows]),
                right: right.clone().slice([0..n, of_groups, 0..t, 0..r]),
                activations: *activations,
            };
            (columns, piece)
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use influence_core::Precision;
    use ndarray::Array2;

    use super::*;
    use crate::{
        gradient::form::OuterSide,
        tensors::{array2, tensor},
        tests::wave,
    };

    const POSITIONS: usize = 16;

    fn device_tensor<const D: usize>(shape: [usize; D], seed: f64) -> Tensor<D> {
        let values = wave(shape.iter().product(), seed).into_iter();
        tensor(values, shape, &Device::flex(), Precision::F64)
    }

    /// Sums of outer products over positions, term by term.
    fn by_definition([n, g, l, r]: [usize; 4]) -> Array2<f64> {
        let [left, right] = [(l, 1.0), (r, 2.0)].map(|(side, seed)| {
            let values = wave(n * g * POSITIONS * side, seed);
            move |sample: usize, group: usize, position: usize, entry: usize| {
                values[((sample * g + group) * POSITIONS + position) * side + entry]
            }
        });
        Array2::from_shape_fn((n, g * l * r), |(sample, column)| {
            let (group, row, column) = (column / (l * r), column / r % l, column % r);
            let terms = (0..POSITIONS).map(|position| {
                left(sample, group, position, row) * right(sample, group, position, column)
            });
            terms.sum()
        })
    }

    fn close(values: &Tensor<2>, expected: &Array2<f64>) {
        let values = array2(values).expect("values");
        let scale = expected
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        let difference = (&values - expected)
            .iter()
            .fold(0.0_f64, |most, d| most.max(d.abs()));
        assert!(difference < 1e-12 * scale, "{difference} of {scale}");
    }

    #[test]
    fn rows_are_contracted_and_multiplied_out_in_pieces() {
        // One group that is cut, several groups, and factors of which the right one is narrower.
        for [g, l, r] in [[1, 150, 200], [7, 70, 60]] {
            let n = 40;
            let form = GradientForm::Outer {
                left: device_tensor([n, g, POSITIONS, l], 1.0),
                right: device_tensor([n, g, POSITIONS, r], 2.0),
                activations: OuterSide::Left,
            };
            assert!(form.contracts(1) && !form.contracts(8) && form.row_pieces().len() > 1);
            let dense = by_definition([n, g, l, r]);
            for k in [1, 8, 30] {
                let (rows, weights) = (
                    device_tensor([k, g * l * r], 3.0),
                    device_tensor([k, n], 4.0),
                );
                let [of_rows, of_weights] = [&rows, &weights].map(|x| array2(x).expect("values"));
                close(&form.scores(rows), &of_rows.dot(&dense.t()));
                close(&form.combine(&weights), &of_weights.dot(&dense));
            }
        }
    }
}

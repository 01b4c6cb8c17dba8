//! The forms in which the gradient of one parameter is kept.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::basis::Basis;
use crate::{product::Product as _, tensors::scatter_rows};

/// One of the two factors of an outer product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OuterSide {
    Left,
    Right,
}

/// How the gradient of one parameter is kept.
#[derive(Debug, Clone)]
pub(crate) enum GradientForm {
    /// One row per sample, `(n, p)`.
    Rows(Tensor<2>),
    /// `Σ_t left_t ⊗ right_t` in each of `g` groups: left `(n, g, t, l)`, right `(n, g, t, r)`, the
    /// parameter is `(g, l, r)`.
    Outer {
        left: Tensor<4>,
        right: Tensor<4>,
        /// Which of the two holds the inputs of the map; the other holds the output gradients.
        activations: OuterSide,
    },
    /// Output gradients `(n, t, width)` added into the rows of a table `(entries, width)` at
    /// `indices` `(n, t)`.
    Embedding {
        indices: Tensor<2, Int>,
        output_gradients: Tensor<3>,
        entries: usize,
    },
    /// Combinations of a basis `(rank, p)` that others share, with weights `(n, rank)`.
    Combination { weights: Tensor<2>, basis: Basis },
}

impl GradientForm {
    /// The scalars that it takes, without those it shares.
    pub(super) fn scalars(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.shape().num_elements(),
            Self::Outer { left, right, .. } => {
                left.shape().num_elements() + right.shape().num_elements()
            }
            Self::Embedding {
                indices,
                output_gradients,
                ..
            } => indices.shape().num_elements() + output_gradients.shape().num_elements(),
            Self::Combination { weights, .. } => weights.shape().num_elements(),
        }
    }

    /// The vectors of which they are combinations, if they are.
    pub(super) fn basis(&self) -> Option<&Basis> {
        match self {
            Self::Combination { basis, .. } => Some(basis),
            _ => None,
        }
    }

    /// Some of the columns only, plain rows unless they are all.
    pub(super) fn cut(&self, columns: Range<usize>) -> Self {
        match self {
            Self::Rows(rows) if rows.dims()[1] > columns.len() => {
                Self::Rows(rows.clone().slice([0..rows.dims()[0], columns]))
            }
            Self::Combination { weights, basis } if basis.width() > columns.len() => {
                Self::Combination {
                    weights: weights.clone(),
                    basis: basis.cut(columns),
                }
            }
            _ if columns.len() == self.width() => self.clone(),
            _ => {
                let rows = self.to_rows();
                let n = rows.dims()[0];
                Self::Rows(rows.slice([0..n, columns]))
            }
        }
    }

    /// The samples of all pieces, in the form that they have in common, else as plain rows.
    pub(super) fn joined(pieces: &[Self]) -> Self {
        let thin = match pieces {
            [Self::Outer { activations, .. }, ..] => Self::joined_outer(pieces, *activations),
            [Self::Embedding { entries, .. }, ..] => Self::joined_embedding(pieces, *entries),
            _ => None,
        };
        thin.unwrap_or_else(|| {
            let rows = pieces.iter().map(Self::to_rows);
            Self::Rows(Tensor::cat(rows.collect(), 0))
        })
    }

    fn joined_outer(pieces: &[Self], side: OuterSide) -> Option<Self> {
        let sides = pieces.iter().map(|piece| match piece {
            Self::Outer {
                left,
                right,
                activations,
            } if *activations == side => Some((left.clone(), right.clone())),
            _ => None,
        });
        let sides: Option<Vec<_>> = sides.collect();
        let (left, right): (Vec<Tensor<4>>, Vec<Tensor<4>>) = sides?.into_iter().unzip();
        Some(Self::Outer {
            left: along_samples(left)?,
            right: along_samples(right)?,
            activations: side,
        })
    }

    fn joined_embedding(pieces: &[Self], rows: usize) -> Option<Self> {
        let parts = pieces.iter().map(|piece| match piece {
            Self::Embedding {
                indices,
                output_gradients,
                entries,
            } if *entries == rows => Some((indices.clone(), output_gradients.clone())),
            _ => None,
        });
        let parts: Option<Vec<_>> = parts.collect();
        let (indices, output_gradients): (Vec<Tensor<2, Int>>, Vec<Tensor<3>>) =
            parts?.into_iter().unzip();
        let output_gradients = along_samples(output_gradients)?;
        Some(Self::Embedding {
            indices: Tensor::cat(indices, 0),
            output_gradients,
            entries: rows,
        })
    }

    /// Some of the samples only.
    pub(super) fn select(&self, samples: &Tensor<1, Int>) -> Self {
        match self {
            Self::Rows(rows) => Self::Rows(rows.clone().select(0, samples.clone())),
            Self::Outer {
                left,
                right,
                activations,
            } => Self::Outer {
                left: left.clone().select(0, samples.clone()),
                right: right.clone().select(0, samples.clone()),
                activations: *activations,
            },
            Self::Embedding {
                indices,
                output_gradients,
                entries,
            } => Self::Embedding {
                indices: indices.clone().select(0, samples.clone()),
                output_gradients: output_gradients.clone().select(0, samples.clone()),
                entries: *entries,
            },
            Self::Combination { weights, basis } => Self::Combination {
                weights: weights.clone().select(0, samples.clone()),
                basis: basis.clone(),
            },
        }
    }

    /// The inputs of a linear map, `(n, g, t, side)`.
    pub(crate) fn inputs(&self) -> Option<Tensor<4>> {
        let Self::Outer {
            left,
            right,
            activations,
        } = self
        else {
            return None;
        };
        Some(match activations {
            OuterSide::Left => left.clone(),
            OuterSide::Right => right.clone(),
        })
    }

    /// The length of a gradient.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.dims()[1],
            Self::Combination { basis, .. } => basis.width(),
            Self::Outer { left, right, .. } => left.dims()[1] * left.dims()[3] * right.dims()[3],
            Self::Embedding {
                output_gradients,
                entries,
                ..
            } => entries * output_gradients.dims()[2],
        }
    }

    /// Multiplies each sample by its factor `(n, 1)`.
    pub(super) fn scale(&mut self, factors: &Tensor<2>) {
        let n = factors.dims()[0];
        match self {
            Self::Rows(rows) => *rows = rows.clone() * factors.clone(),
            Self::Combination { weights, .. } => *weights = weights.clone() * factors.clone(),
            Self::Outer { left, .. } => {
                *left = left.clone() * factors.clone().reshape([n, 1, 1, 1]);
            }
            Self::Embedding {
                output_gradients, ..
            } => {
                *output_gradients = output_gradients.clone() * factors.clone().reshape([n, 1, 1]);
            }
        }
    }

    /// The squared norms, `(n)`; of outer products through their Gram matrices over positions.
    pub(super) fn squared_norms(&self) -> Tensor<1> {
        let gram = |factor: &Tensor<4>| factor.clone().product(factor.clone().swap_dims(2, 3));
        match self {
            Self::Rows(rows) => rows.clone().square().sum_dim(1).squeeze_dim(1),
            Self::Combination { .. } => Self::Rows(self.to_rows()).squared_norms(),
            Self::Outer { left, right, .. } => {
                let [n, g, t, _] = left.dims();
                let products = gram(left) * gram(right);
                products.reshape([n, g * t * t]).sum_dim(1).squeeze_dim(1)
            }
            Self::Embedding {
                indices,
                output_gradients,
                ..
            } => {
                let [n, t, _] = output_gradients.dims();
                let same = indices.clone().reshape([n, t, 1]);
                let same = same.equal(indices.clone().reshape([n, 1, t]));
                let products = output_gradients
                    .clone()
                    .product(output_gradients.clone().swap_dims(1, 2));
                let products = products.mask_fill(same.bool_not(), 0.0);
                products.reshape([n, t * t]).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// The sum over samples of the squares, entry by entry, `(1, p)`, if that takes no rows.
    pub(super) fn sum_of_squares(&self) -> Option<Tensor<2>> {
        match self {
            Self::Outer { left, right, .. } if left.dims()[2] == 1 => {
                Some(squared_products(left, right).reshape([1, self.width()]))
            }
            _ => None,
        }
    }

    /// Operations of a forward and a backward pass, for one sample.
    pub(super) fn flops(&self) -> f64 {
        const PER_WEIGHT: f64 = 6.0;
        let weights = match self {
            Self::Rows(_) | Self::Combination { .. } => self.width(),
            Self::Outer { left, right, .. } => {
                let [_, g, t, l] = left.dims();
                g * t * l * right.dims()[3]
            }
            Self::Embedding {
                output_gradients, ..
            } => output_gradients.dims()[1] * output_gradients.dims()[2],
        };
        PER_WEIGHT * weights as f64
    }

    /// One row for each sample, `(n, p)`.
    pub(crate) fn to_rows(&self) -> Tensor<2> {
        match self {
            Self::Rows(rows) => rows.clone(),
            Self::Combination { weights, basis } => weights.clone().product(basis.rows()),
            Self::Outer { left, right, .. } => {
                let ([n, g, t, l], r) = (left.dims(), right.dims()[3]);
                let left = left.clone().swap_dims(2, 3);
                let products = if t == 1 {
                    left * right.clone()
                } else {
                    left.product(right.clone())
                };
                products.reshape([n, g * l * r])
            }
            Self::Embedding {
                indices,
                output_gradients,
                entries,
            } => {
                let [n, t, width] = output_gradients.dims();
                scatter_rows(
                    n * entries,
                    positions(indices, *entries),
                    output_gradients.clone().reshape([n * t, width]),
                )
                .reshape([n, entries * width])
            }
        }
    }
}

/// `Σ_n (left_n ⊗ right_n)²`, entry by entry, of outer products at a single position:
/// `(n, g, 1, l)`, `(n, g, 1, r)` → `(g, l, r)`.
///
/// The square of a product is the product of the squares: no gradient is formed.
pub(crate) fn squared_products(left: &Tensor<4>, right: &Tensor<4>) -> Tensor<3> {
    let squares = |side: &Tensor<4>| {
        let side = side.clone().square().squeeze_dim::<3>(2);
        side.swap_dims(0, 1)
    };
    squares(left).swap_dims(1, 2).product(squares(right))
}

/// Tensors joined along the samples, if all their other sides agree.
fn along_samples<const D: usize>(pieces: Vec<Tensor<D>>) -> Option<Tensor<D>> {
    let mut pairs = pieces.windows(2);
    let alike = pairs.all(|pair| pair[0].dims()[1..] == pair[1].dims()[1..]);
    alike.then(|| Tensor::cat(pieces, 0))
}

/// The rows to which the indices `(n, t)` of each sample point, `(n · t)`, if the tables
/// `(entries, width)` of all samples are stacked.
pub(crate) fn positions(indices: &Tensor<2, Int>, entries: usize) -> Tensor<1, Int> {
    let [n, t] = indices.dims();
    let samples = 0..i64::try_from(n).unwrap_or(i64::MAX);
    let offsets = Tensor::<1, Int>::arange(samples, &indices.device())
        .mul_scalar(i64::try_from(entries).unwrap_or(i64::MAX))
        .reshape([n, 1])
        .cast(indices.dtype());
    (indices.clone() + offsets).reshape([n * t])
}

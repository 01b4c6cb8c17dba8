//! Per-sample gradients in the form in which they are cheapest.

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor};

use crate::stack::scatter_rows;

/// The gradients of `n` samples, never larger than they need to be.
///
/// The gradient of a linear map is a sum of outer products, one for each position at which the map is applied; it is kept as
/// its two thin factors and only multiplied out where that is cheaper.
#[derive(Debug, Clone)]
pub struct Gradients {
    samples: usize,
    dim: usize,
    kind: (Device, DType),
    parts: Vec<Part>,
}

/// The gradient with respect to one parameter, or one contribution to it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Index of the parameter.
    pub(crate) parameter: usize,
    /// Its columns in a parameter-space vector.
    pub(crate) columns: Range<usize>,
    pub(crate) form: Form,
}

/// How the gradient of one parameter is kept.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// One row per sample, `(n, p)`.
    Rows(Tensor<2>),
    /// `Σ_t left_t ⊗ right_t` in each of `g` groups: left `(n, g, t, l)`, right `(n, g, t, r)`, the parameter is `(g, l, r)`.
    Outer { left: Tensor<4>, right: Tensor<4> },
    /// Signals `(n, t, width)` added into the rows of a table `(entries, width)` at `indices` `(n, t)`.
    Lookup {
        indices: Tensor<2, Int>,
        signals: Tensor<3>,
        entries: usize,
    },
}

impl Gradients {
    /// Joins the parts of a gradient; a parameter without a part has gradient zero.
    pub(crate) fn new(samples: usize, dim: usize, kind: (Device, DType), parts: Vec<Part>) -> Self {
        Self {
            samples,
            dim,
            kind,
            parts,
        }
    }

    /// The number of samples, `n`.
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The number of parameters in scalars.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many bytes the gradients take.
    pub(crate) fn bytes(&self) -> usize {
        let scalars: usize = self.parts.iter().map(|part| part.form.scalars()).sum();
        scalars * self.kind.1.size()
    }

    /// The inner products with the rows of a `(k, dim)` tensor, `(k, n)`.
    pub(crate) fn scores(&self, rows: &Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        let partial = self.parts.iter().map(|part| {
            let rows = rows.clone().slice([0..k, part.columns.clone()]);
            part.form.scores(rows)
        });
        partial
            .reduce(|sum, scores| sum + scores)
            .unwrap_or_else(|| Tensor::zeros([k, self.samples], (&self.kind.0, self.kind.1)))
    }

    /// The weighted sums `Σ_j weights[i, j] g_j` of the gradients, weights `(k, n)` → `(k, dim)`.
    pub(crate) fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        self.placed(weights.dims()[0], |form| form.combine(weights))
    }

    /// One row per sample, `(n, dim)`.
    pub(crate) fn to_rows(&self) -> Tensor<2> {
        self.placed(self.samples, Form::to_rows)
    }

    fn placed(&self, rows: usize, values: impl Fn(&Form) -> Tensor<2>) -> Tensor<2> {
        let mut whole = Tensor::zeros([rows, self.dim], (&self.kind.0, self.kind.1));
        for part in &self.parts {
            let place = [0..rows, part.columns.clone()];
            let sum = whole.clone().slice(place.clone()) + values(&part.form);
            whole = whole.slice_assign(place, sum);
        }
        whole
    }

    /// The gradients with respect to some of the parameters only, in the columns that `place` gives them.
    pub(crate) fn restrict(
        &self,
        dim: usize,
        place: impl Fn(usize) -> Option<Range<usize>>,
    ) -> Self {
        let parts = self.parts.iter().filter_map(|part| {
            let columns = place(part.parameter)?;
            Some(Part {
                parameter: part.parameter,
                columns,
                form: part.form.clone(),
            })
        });
        Self {
            samples: self.samples,
            dim,
            kind: self.kind.clone(),
            parts: parts.collect(),
        }
    }
}

impl Form {
    fn scalars(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.shape().num_elements(),
            Self::Outer { left, right } => {
                left.shape().num_elements() + right.shape().num_elements()
            }
            Self::Lookup {
                indices, signals, ..
            } => indices.shape().num_elements() + signals.shape().num_elements(),
        }
    }

    fn scores(&self, rows: Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        match self {
            // One position: contract with the right factor, then with the left, without the outer product.
            Self::Outer { left, right } if positions(left) == 1 => {
                let ([n, g, _, l], r) = (left.dims(), right.dims()[3]);
                let rows = rows
                    .reshape([k, g, l, r])
                    .swap_dims(0, 1)
                    .reshape([g, k * l, r]);
                let right = right.clone().reshape([n, g, r]).permute([1, 2, 0]);
                let contracted = rows.matmul(right).reshape([g, k, l, n]);
                let left = left
                    .clone()
                    .reshape([n, g, l])
                    .permute([1, 2, 0])
                    .reshape([g, 1, l, n]);
                (contracted * left).sum_dims(&[0, 2]).reshape([k, n])
            }
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [n, t, width] = signals.dims();
                let rows = rows
                    .reshape([k, *entries, width])
                    .select(1, indices.clone().reshape([n * t]));
                let products = rows * signals.clone().reshape([1, n * t, width]);
                products
                    .sum_dim(2)
                    .reshape([k, n, t])
                    .sum_dim(2)
                    .reshape([k, n])
            }
            Self::Rows(_) | Self::Outer { .. } => rows.matmul(self.to_rows().transpose()),
        }
    }

    fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        let k = weights.dims()[0];
        match self {
            // One position: weight the left factor; cheaper than the outer products while there are fewer rows than right entries.
            Self::Outer { left, right } if positions(left) == 1 && k < right.dims()[3] => {
                let ([n, g, _, l], r) = (left.dims(), right.dims()[3]);
                let left = left
                    .clone()
                    .reshape([n, g, l])
                    .permute([1, 2, 0])
                    .reshape([g, 1, l, n]);
                let weighted = left * weights.clone().reshape([1, k, 1, n]);
                let right = right.clone().reshape([n, g, r]).swap_dims(0, 1);
                let sums = weighted
                    .reshape([g, k * l, n])
                    .matmul(right)
                    .reshape([g, k, l * r]);
                sums.swap_dims(0, 1).reshape([k, g * l * r])
            }
            _ => weights.clone().matmul(self.to_rows()),
        }
    }

    fn to_rows(&self) -> Tensor<2> {
        match self {
            Self::Rows(rows) => rows.clone(),
            Self::Outer { left, right } => {
                let ([n, g, _, l], r) = (left.dims(), right.dims()[3]);
                left.clone()
                    .swap_dims(2, 3)
                    .matmul(right.clone())
                    .reshape([n, g * l * r])
            }
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [n, t, width] = signals.dims();
                let offsets = Tensor::<1, Int>::arange(
                    0..i64::try_from(n).unwrap_or(i64::MAX),
                    &indices.device(),
                )
                .mul_scalar(i64::try_from(*entries).unwrap_or(i64::MAX))
                .reshape([n, 1])
                .cast(indices.dtype());
                let positions = (indices.clone() + offsets).reshape([n * t]);
                scatter_rows(
                    n * entries,
                    positions,
                    signals.clone().reshape([n * t, width]),
                )
                .reshape([n, entries * width])
            }
        }
    }
}

fn positions(left: &Tensor<4>) -> usize {
    left.dims()[2]
}

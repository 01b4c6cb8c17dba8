//! Per-sample gradients in the form in which they are cheapest.

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor};
use influence_core::{Footprint, Precision, ScoringFootprint};

use crate::stack::scatter_rows;

/// The gradients of `n` samples, never larger than they need to be.
///
/// The gradient of a linear map is a sum of outer products, one for each position at which the map is applied; it is kept as
/// its two thin factors, and multiplied out where a product needs it or that is cheaper.
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

/// One of the two factors of an outer product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// How the gradient of one parameter is kept.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// One row per sample, `(n, p)`.
    Rows(Tensor<2>),
    /// `Σ_t left_t ⊗ right_t` in each of `g` groups: left `(n, g, t, l)`, right `(n, g, t, r)`, the parameter is `(g, l, r)`.
    Outer {
        left: Tensor<4>,
        right: Tensor<4>,
        /// Which of the two holds what goes into the map; the other holds the signals that come back.
        activations: Side,
    },
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

    /// The inner products with the rows of an `(n, dim)` tensor at the same positions, `(n)`.
    pub(crate) fn self_scores(&self, rows: &Tensor<2>) -> Tensor<1> {
        let partial = self.parts.iter().map(|part| {
            let rows = rows.clone().slice([0..self.samples, part.columns.clone()]);
            part.form.self_scores(rows)
        });
        partial
            .reduce(|sum, scores| sum + scores)
            .unwrap_or_else(|| self.zeros())
    }

    /// The squared norms, `(n)`.
    pub(crate) fn squared_norms(&self) -> Tensor<1> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.columns.start);
        let of_parameter = |parts: &[&Part]| {
            if let [part] = parts {
                return part.form.squared_norms();
            }
            let rows = parts.iter().map(|part| part.form.to_rows());
            let sum = rows.reduce(|sum, rows| sum + rows);
            sum.map_or_else(|| self.zeros(), |sum| Form::Rows(sum).squared_norms())
        };
        let squares = parts
            .chunk_by(|a, b| a.columns == b.columns)
            .map(of_parameter);
        squares
            .reduce(|sum, squares| sum + squares)
            .unwrap_or_else(|| self.zeros())
    }

    /// Zero for each sample.
    fn zeros(&self) -> Tensor<1> {
        Tensor::zeros([self.samples], (&self.kind.0, self.kind.1))
    }

    /// The parts that belong to one parameter.
    pub(crate) fn of(&self, parameter: usize) -> impl Iterator<Item = &Form> {
        let parts = self.parts.iter();
        parts
            .filter(move |part| part.parameter == parameter)
            .map(|part| &part.form)
    }

    /// The weighted sums `Σ_j weights[i, j] g_j` of the gradients, weights `(k, n)` → `(k, dim)`.
    pub(crate) fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        self.placed(weights.dims()[0], |form| form.combine(weights))
    }

    /// One row per sample, `(n, dim)`.
    pub(crate) fn to_rows(&self) -> Tensor<2> {
        self.placed(self.samples, Form::to_rows)
    }

    /// The gradients, each times its factor `(n, 1)`.
    pub(crate) fn scaled(mut self, factors: &Tensor<2>) -> Self {
        for part in &mut self.parts {
            part.form.scale(factors);
        }
        self
    }

    /// Values of the parts side by side, those of a parameter added up, with zeros where there is no part.
    fn placed(&self, rows: usize, values: impl Fn(&Form) -> Tensor<2>) -> Tensor<2> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.columns.start);
        let zeros = |columns| Tensor::zeros([rows, columns], (&self.kind.0, self.kind.1));
        let (mut pieces, mut end) = (Vec::new(), 0);
        for of_parameter in parts.chunk_by(|a, b| a.columns == b.columns) {
            let columns = &of_parameter[0].columns;
            if columns.start > end {
                pieces.push(zeros(columns.start - end));
            }
            let sum = of_parameter.iter().map(|part| values(&part.form));
            pieces.extend(sum.reduce(|sum, values| sum + values));
            end = columns.end;
        }
        if end < self.dim || pieces.is_empty() {
            pieces.push(zeros(self.dim - end));
        }
        match pieces.len() {
            1 => pieces.swap_remove(0),
            _ => Tensor::cat(pieces, 1),
        }
    }

    /// What one of the gradients takes, in bytes and operations, and what scores against it take beyond.
    pub(crate) fn footprint(&self, precision: Precision) -> Footprint {
        let bytes = precision.bytes();
        let mut footprint = Footprint::dense(self.dim, precision);
        footprint.gradient = self.bytes() / self.samples.max(1);
        footprint.gradient_flops = self.parts.iter().map(|part| part.form.flops()).sum();
        let largest = |of: fn(&ScoringFootprint) -> usize| {
            let scalars = self.parts.iter().map(|part| of(&part.form.scoring()));
            scalars.max().unwrap_or(0) * bytes
        };
        footprint.scoring = ScoringFootprint {
            per_test: largest(|scoring| scoring.per_test),
            per_train: largest(|scoring| scoring.per_train),
            // Besides, two sums on the device and one on the host.
            per_pair: largest(|scoring| scoring.per_pair) + 2 * bytes + 8,
        };
        footprint
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
            Self::Outer { left, right, .. } => {
                left.shape().num_elements() + right.shape().num_elements()
            }
            Self::Lookup {
                indices, signals, ..
            } => indices.shape().num_elements() + signals.shape().num_elements(),
        }
    }

    /// Multiplies each sample by its factor `(n, 1)`.
    fn scale(&mut self, factors: &Tensor<2>) {
        let n = factors.dims()[0];
        match self {
            Self::Rows(rows) => *rows = rows.clone() * factors.clone(),
            Self::Outer { left, .. } => {
                *left = left.clone() * factors.clone().reshape([n, 1, 1, 1]);
            }
            Self::Lookup { signals, .. } => {
                *signals = signals.clone() * factors.clone().reshape([n, 1, 1]);
            }
        }
    }

    /// The squared norms, `(n)`; of outer products through their Gram matrices over positions.
    fn squared_norms(&self) -> Tensor<1> {
        let gram = |factor: &Tensor<4>| factor.clone().matmul(factor.clone().swap_dims(2, 3));
        match self {
            Self::Rows(rows) => rows.clone().square().sum_dim(1).squeeze_dim(1),
            Self::Outer { left, right, .. } => {
                let [n, g, t, _] = left.dims();
                let products = gram(left) * gram(right);
                products.reshape([n, g * t * t]).sum_dim(1).squeeze_dim(1)
            }
            Self::Lookup {
                indices, signals, ..
            } => {
                let [n, t, _] = signals.dims();
                let same = indices.clone().reshape([n, t, 1]);
                let same = same.equal(indices.clone().reshape([n, 1, t]));
                let products = signals.clone().matmul(signals.clone().swap_dims(1, 2));
                let products = products.mask_fill(same.bool_not(), 0.0);
                products.reshape([n, t * t]).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// Operations of a forward and a backward pass, for one sample.
    fn flops(&self) -> f64 {
        const PER_WEIGHT: f64 = 6.0;
        let weights = match self {
            Self::Rows(rows) => rows.dims()[1],
            Self::Outer { left, right, .. } => {
                let [_, g, t, l] = left.dims();
                g * t * l * right.dims()[3]
            }
            Self::Lookup { signals, .. } => signals.dims()[1] * signals.dims()[2],
        };
        PER_WEIGHT * weights as f64
    }

    /// Scalars in use while rows are scored.
    fn scoring(&self) -> ScoringFootprint {
        match self {
            Self::Rows(_) => ScoringFootprint {
                per_test: 0,
                per_train: 0,
                per_pair: 1,
            },
            Self::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let (whole, thin) = (g * l * r, g * l.min(r));
                // Where products are multiplied out they take no more than the pairs would: that is when it is done.
                ScoringFootprint {
                    per_test: 2 * whole,
                    per_train: if t == 1 { 0 } else { 2 * whole },
                    per_pair: if t == 1 { 2 * thin } else { 1 },
                }
            }
            Self::Lookup {
                signals, entries, ..
            } => {
                let [_, t, width] = signals.dims();
                ScoringFootprint {
                    per_test: entries * width,
                    per_train: 0,
                    per_pair: 2 * t * width,
                }
            }
        }
    }

    fn scores(&self, rows: Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        if let Some(pair) = self.thin_pair(k) {
            return pair.scores(rows);
        }
        match self {
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

    fn self_scores(&self, rows: Tensor<2>) -> Tensor<1> {
        let n = rows.dims()[0];
        let products: Tensor<2> = match self {
            Self::Rows(own) => rows * own.clone(),
            Self::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let contracted = left.clone().matmul(rows.reshape([n, g, l, r]));
                (contracted * right.clone()).reshape([n, g * t * r])
            }
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [_, t, width] = signals.dims();
                let rows = rows.reshape([n * entries, width]);
                let read = rows.select(0, positions(indices, *entries));
                let read = read.reshape([n, t, width]);
                (read * signals.clone()).reshape([n, t * width])
            }
        };
        products.sum_dim(1).reshape([n])
    }

    fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        match self.thin_pair(weights.dims()[0]) {
            Some(pair) => pair.combine(weights),
            None => weights.clone().matmul(self.to_rows()),
        }
    }

    /// The factors of outer products at a single position, if working with them beats multiplying them out for `k` rows.
    ///
    /// Both ways spend the same on matrix products; beside them the factors cost `k · n · thin`, the products `n · thin · wide`.
    fn thin_pair(&self, k: usize) -> Option<ThinPair> {
        let Self::Outer { left, right, .. } = self else {
            return None;
        };
        let ([n, g, t, l], r) = (left.dims(), right.dims()[3]);
        if t != 1 || k >= l.max(r) {
            return None;
        }
        let left = left.clone().reshape([n, g, l]);
        let right = right.clone().reshape([n, g, r]);
        let swapped = r < l;
        let (thin, wide) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        Some(ThinPair {
            thin,
            wide,
            swapped,
        })
    }

    pub(crate) fn to_rows(&self) -> Tensor<2> {
        match self {
            Self::Rows(rows) => rows.clone(),
            Self::Outer { left, right, .. } => {
                let ([n, g, t, l], r) = (left.dims(), right.dims()[3]);
                let left = left.clone().swap_dims(2, 3);
                let products = if t == 1 {
                    left * right.clone()
                } else {
                    left.matmul(right.clone())
                };
                products.reshape([n, g * l * r])
            }
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [n, t, width] = signals.dims();
                scatter_rows(
                    n * entries,
                    positions(indices, *entries),
                    signals.clone().reshape([n * t, width]),
                )
                .reshape([n, entries * width])
            }
        }
    }
}

/// Where the indices `(n, t)` of each sample point to in the tables `(entries, width)` of all samples below each other, `(n · t)`.
pub(crate) fn positions(indices: &Tensor<2, Int>, entries: usize) -> Tensor<1, Int> {
    let [n, t] = indices.dims();
    let samples = 0..i64::try_from(n).unwrap_or(i64::MAX);
    let offsets = Tensor::<1, Int>::arange(samples, &indices.device())
        .mul_scalar(i64::try_from(entries).unwrap_or(i64::MAX))
        .reshape([n, 1])
        .cast(indices.dtype());
    (indices.clone() + offsets).reshape([n * t])
}

/// Outer products at one position as their factors `(n, g, side)`, the narrower first.
struct ThinPair {
    thin: Tensor<3>,
    wide: Tensor<3>,
    /// Whether the narrower factor is the right one.
    swapped: bool,
}

impl ThinPair {
    /// Contracts rows with the wide factor, then with the thin one.
    fn scores(self, rows: Tensor<2>) -> Tensor<2> {
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
    fn combine(self, weights: &Tensor<2>) -> Tensor<2> {
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

//! Per-sample gradients in the form in which they are cheapest.

mod form;
mod thin_pair;

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};
use influence_core::{Footprint, Precision, ScoringFootprint};

pub(crate) use form::{Form, Side, positions};

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

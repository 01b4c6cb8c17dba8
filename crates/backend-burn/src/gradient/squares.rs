//! Squares of gradients, summed over parameters or over samples.

use burn::tensor::Tensor;

use super::{GradientForm, Gradients, ParameterGradient};
use crate::{device::piece_sizes, tensors::indices};

impl Gradients {
    /// The squared norms, `(n)`.
    pub(crate) fn squared_norms(&self) -> Tensor<1> {
        let mut parts: Vec<&ParameterGradient> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.columns.start);
        let squares = parts
            .chunk_by(|a, b| a.columns == b.columns)
            .map(|parts| self.squared_norms_of(parts));
        squares
            .reduce(|sum, squares| sum + squares)
            .unwrap_or_else(|| self.zeros())
    }

    /// A number for each sample that is finite only where its vector is, `(n)`: the squared norms
    /// of all parts.
    pub(crate) fn squared_bounds(&self) -> Tensor<1> {
        let squares = self.parts.iter().map(|part| match &part.form {
            GradientForm::Combination { weights, basis } => basis.squared_norms(weights),
            form => form.squared_norms(),
        });
        squares
            .reduce(|sum, squares| sum + squares)
            .unwrap_or_else(|| self.zeros())
    }

    /// The sum over vectors of the squares, entry by entry, `(1, dim)`.
    pub(crate) fn sum_of_squares(&self) -> Tensor<2> {
        self.placed_by(1, |parts| {
            let thin = match parts {
                [part] => part.form.sum_of_squares(),
                _ => None,
            };
            thin.or_else(|| {
                let pieces = self.rows_of(parts);
                let squares = pieces.map(|rows| rows.square().sum_dim(0));
                squares.reduce(|sum, squares| sum + squares)
            })
        })
    }

    /// The squared norms of a parameter with several parts.
    fn squared_norms_of(&self, parts: &[&ParameterGradient]) -> Tensor<1> {
        if let [part] = parts {
            return part.form.squared_norms();
        }
        let pieces = self.rows_of(parts);
        let pieces = pieces.map(|rows| GradientForm::Rows(rows).squared_norms());
        let pieces: Vec<Tensor<1>> = pieces.collect();
        if pieces.is_empty() {
            return self.zeros();
        }
        Tensor::cat(pieces, 0)
    }

    /// The gradient of a parameter, whose parts are multiplied out and added for some samples at a
    /// time: of all of them, rows would fill the memory.
    fn rows_of(&self, parts: &[&ParameterGradient]) -> impl Iterator<Item = Tensor<2>> {
        let width = parts.first().map_or(1, |part| part.columns.len().max(1));
        let step = (piece_sizes(&self.kind.0).scalars / width).max(1);
        (0..self.samples).step_by(step).filter_map(move |first| {
            let samples = indices(first..(first + step).min(self.samples), &self.kind.0);
            let rows = parts
                .iter()
                .map(|part| part.form.select(&samples).to_rows());
            rows.reduce(|sum, rows| sum + rows)
        })
    }
}

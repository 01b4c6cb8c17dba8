//! Gradients along the vectors that factors share.

use burn::tensor::Tensor;

use super::{Gradients, ParameterGradient, basis::Basis, form::GradientForm};

impl ParameterGradient {
    /// The inner products with a basis, `(rank, n)`.
    pub(super) fn along(&self, basis: &Basis) -> Tensor<2> {
        self.products.with(basis, || self.form.scores(basis.rows()))
    }

    /// The scalars that it takes, with the products, but without what it shares.
    pub(super) fn scalars(&self) -> usize {
        self.form.scalars() + self.products.scalars()
    }

    /// Operations of a forward and a backward pass and of the products, for one sample.
    pub(super) fn flops(&self) -> f64 {
        self.form.flops() + (2 * self.products.rank() * self.form.width()) as f64
    }
}

impl Gradients {
    /// Makes the products that scores of these factors will ask for, to see what they take.
    pub(crate) fn with_products_of(self, factors: &Self) -> Self {
        for part in &self.parts {
            let basis = factors.of(&part.columns).find_map(GradientForm::basis);
            let thin = matches!(part.form, GradientForm::Outer { .. });
            if let Some(basis) = basis.filter(|_| thin) {
                part.along(basis);
            }
        }
        self
    }
}

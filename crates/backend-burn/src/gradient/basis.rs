//! Vectors that factors share: those of methods of low rank are combinations of few eigenvectors.
//!
//! A score of such a factor is a combination of the inner products of the gradient with these
//! vectors, `⟨w B, g⟩ = w ⟨B, g⟩`. The products are the same for all factors, and take `rank · dim`
//! operations a gradient, where all else takes `inputs + outputs` a pair: made again for every chunk
//! they would be nearly all of the work. So they are made once for a gradient, and kept beside it.

use std::{ops::Range, sync::Arc};

use burn::tensor::Tensor;

use super::{ParameterGradient, form::GradientForm};

/// What tells stacks apart: those that are clones of each other are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity(Arc<()>);

impl Identity {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Columns of a stack of vectors that are combined. They are cut when they are read: a cut is a
/// copy, and factors that each had one would fill the memory.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    stack: Identity,
    vectors: Tensor<2>,
    columns: Range<usize>,
}

impl Basis {
    /// All columns of a stack `(rank, dim)`.
    pub(crate) fn new(stack: Identity, vectors: Tensor<2>) -> Self {
        let columns = 0..vectors.dims()[1];
        Self {
            stack,
            vectors,
            columns,
        }
    }

    /// Some of its columns.
    pub(super) fn cut(&self, columns: Range<usize>) -> Self {
        let start = self.columns.start;
        Self {
            columns: start + columns.start..start + columns.end,
            ..self.clone()
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.vectors.dims()[0]
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The vectors, `(rank, width)`.
    pub(super) fn rows(&self) -> Tensor<2> {
        let [rank, dim] = self.vectors.dims();
        match self.width() == dim {
            true => self.vectors.clone(),
            false => (self.vectors.clone()).slice([0..rank, self.columns.clone()]),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.stack.is(&other.stack) && self.columns == other.columns
    }
}

/// The inner products of gradients with a basis, made beforehand.
#[derive(Debug, Clone)]
pub(crate) struct BasisProducts {
    basis: Basis,
    /// `(rank, n)`.
    products: Tensor<2>,
}

impl BasisProducts {
    pub(super) fn scalars(&self) -> usize {
        self.products.shape().num_elements()
    }
}

impl ParameterGradient {
    /// Makes the inner products with a basis beforehand, if the gradient is kept as outer products:
    /// of rows they cost no more than a score.
    pub(super) fn make_products(&mut self, basis: Basis) {
        if matches!(self.form, GradientForm::Outer { .. }) {
            let products = self.form.scores(basis.rows());
            self.products = Some(BasisProducts { basis, products });
        }
    }

    /// Whether the inner products with a basis are made already.
    pub(super) fn knows(&self, basis: &Basis) -> bool {
        let known = self.products.as_ref();
        known.is_some_and(|known| known.basis.is(basis))
    }

    /// The inner products with a basis, `(rank, n)`.
    pub(super) fn along(&self, basis: &Basis) -> Tensor<2> {
        match &self.products {
            Some(known) if known.basis.is(basis) => known.products.clone(),
            _ => self.form.scores(basis.rows()),
        }
    }
}

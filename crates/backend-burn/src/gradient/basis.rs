//! Vectors that factors share: those of methods of low rank are combinations of few eigenvectors.
//!
//! A score of such a factor is a combination of the inner products of the gradient with these
//! vectors, `⟨w B, g⟩ = w ⟨B, g⟩`. The products are the same for all factors, and take `rank · dim`
//! operations a gradient, where all else takes `inputs + outputs` a pair: made again for every chunk
//! they would be nearly all of the work. So they are made once for a gradient, and kept beside it.

use std::{ops::Range, sync::Arc};

use burn::tensor::Tensor;

use super::{Gradients, ParameterGradient, form::GradientForm};

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
        if self.width() == dim {
            return self.vectors.clone();
        }
        let columns = self.columns.clone();
        self.vectors.clone().slice([0..rank, columns])
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
        self.known(basis).is_some()
    }

    /// The inner products with a basis, `(rank, n)`.
    pub(super) fn along(&self, basis: &Basis) -> Tensor<2> {
        let known = self.known(basis).cloned();
        known.unwrap_or_else(|| self.form.scores(basis.rows()))
    }

    fn known(&self, basis: &Basis) -> Option<&Tensor<2>> {
        let known = self.products.as_ref();
        let known = known.filter(|known| known.basis.is(basis));
        known.map(|known| &known.products)
    }
}

impl Gradients {
    /// With the inner products with a basis of vectors in these columns made beforehand.
    pub(crate) fn with_products(mut self, columns: &[Range<usize>], basis: &Basis) -> Self {
        for part in &mut self.parts {
            if let Some(columns) = place_within(&part.columns, columns) {
                part.make_products(basis.cut(columns));
            }
        }
        self
    }

    /// With the inner products with the bases of these factors made beforehand.
    pub(crate) fn with_products_of(mut self, factors: &Self) -> Self {
        for part in &mut self.parts {
            let basis = factors.of(&part.columns).find_map(GradientForm::basis);
            if let Some(basis) = basis {
                part.make_products(basis.clone());
            }
        }
        self
    }
}

/// Where a range lies in ranges that are joined in order, if it lies in one of them.
fn place_within(range: &Range<usize>, ranges: &[Range<usize>]) -> Option<Range<usize>> {
    let mut before = 0;
    ranges.iter().find_map(|whole| {
        let start = before + range.start.saturating_sub(whole.start);
        before += whole.len();
        let within = whole.start <= range.start && range.end <= whole.end;
        within.then(|| start..start + range.len())
    })
}

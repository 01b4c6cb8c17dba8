//! Vectors that factors share: those of methods of low rank are combinations of few eigenvectors.
//!
//! A score of such a factor is a combination of the inner products of the gradient with these
//! vectors, `⟨w B, g⟩ = w ⟨B, g⟩`. The products are the same for all factors, and take `rank · dim`
//! operations a gradient, where all else takes `inputs + outputs` a pair: made again for every
//! chunk they would be nearly all of the work. So they are kept beside a gradient once they are
//! made.
//!
//! Whether they are there already changes no way to a score, which shapes alone decide: the bits of
//! a chunk are the same whatever was computed before it.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use burn::tensor::Tensor;

use crate::product::Product as _;

/// What tells stacks apart: those that are clones of each other are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackIdentity(Arc<()>);

impl StackIdentity {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Columns of a stack of vectors that are combined. They are cut when they are read: a cut is a
/// copy, and factors that each had one would fill the memory.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    stack: StackIdentity,
    vectors: Tensor<2>,
    columns: Range<usize>,
}

impl Basis {
    /// All columns of a stack `(rank, dim)`.
    pub(crate) fn new(stack: StackIdentity, vectors: Tensor<2>) -> Self {
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

    /// The squared norms of combinations, `(n)`, by the inner products of the vectors: quick, but
    /// inexact where the vectors cancel.
    pub(super) fn squared_norms(&self, weights: &Tensor<2>) -> Tensor<1> {
        let rows = self.rows();
        let gram = rows.clone().product(rows.transpose());
        let products = weights.clone().product(gram) * weights.clone();
        products.sum_dim(1).squeeze_dim(1)
    }

    fn is(&self, other: &Self) -> bool {
        self.stack.is(&other.stack) && self.columns == other.columns
    }
}

/// The inner products of gradients with the first basis that asked for them. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct BasisProducts(Arc<OnceLock<(Basis, Tensor<2>)>>);

impl BasisProducts {
    /// The products with a basis, `(rank, n)`: those that are kept, or others that are made. A task
    /// that asks while they are made waits: it would only do the same.
    pub(super) fn with(&self, basis: &Basis, make: impl Fn() -> Tensor<2>) -> Tensor<2> {
        let (first, products) = self.0.get_or_init(|| (basis.clone(), make()));
        if first.is(basis) {
            products.clone()
        } else {
            make()
        }
    }

    /// The scalars that they take, none before they are made.
    pub(super) fn scalars(&self) -> usize {
        let made = self.0.get();
        made.map_or(0, |(_, products)| products.shape().num_elements())
    }

    /// The rank of the basis, 0 before they are made.
    pub(super) fn rank(&self) -> usize {
        self.0.get().map_or(0, |(basis, _)| basis.rank())
    }
}

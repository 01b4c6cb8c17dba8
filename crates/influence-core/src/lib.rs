//! Backend-agnostic core of *influence*: which training points made this model say this?
//!
//! ```text
//!  train points ──▶ curvature H ──────▶ Solver ──▶ Prepared ──▶ Inverse of H + λI
//!                   (LinearOperator)               (no λ yet)      │
//!                                                                  ▼
//!  test points ───▶ GradientSource ───▶ g(test) ─────────────▶ factors (k, dim) ──┐
//!  train points ──▶ GradientSource ───▶ g(train) ─────────────────────────────────┴▶ scores (k, n)
//!                                                                                    │ by chunks
//!                                                                    Aggregator ◀────┘
//! ```
//!
//! Operators multiply, solvers invert, models turn gradients into factors and factors into scores,
//! aggregators reduce the chunks of scores. Nothing here knows a tensor library, a store or a
//! thread: a backend implements [`Rows`], [`LinearOperator`](operator::LinearOperator) and
//! [`GradientSource`], and gets every solver and every [model](InfluenceModel).
//!
//! Letters, in every doc comment and shape: `k` test rows, `n` train rows, `dim` parameters, `λ`
//! damping, `g` per-sample gradient. Words: *factors* are `(H+λI)⁻¹g` of the test side, *scores*
//! the inner products with train gradients, *influences* the whole.
//!
//! # Example
//! The host is a backend, too: an `Array2<f64>` is a stack of vectors.
//!
//! ```
//! use std::sync::Arc;
//! use influence_core::{
//!     ChunkGrid, Rows,
//!     aggregate::{Aggregator, Along, Order, TopK},
//!     operator::SampleMean,
//!     solver::{ConjugateGradient, Solver},
//! };
//! use ndarray::array;
//!
//! let train = array![[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [-1.0, 0.5]]; // gradients of 4 points
//! let test = array![[1.0, 0.5]]; // and of one
//!
//! // The empirical Fisher is the mean of g gᵀ.
//! let curvature = Arc::new(SampleMean::new(train.clone(), 2)?);
//! let inverse = ConjugateGradient::new().invert(curvature, 0.1)?;
//! let factors = inverse.solve(&test)?.converged()?;
//!
//! // Scores two train points at a time; only the most helpful point is kept.
//! let grid = ChunkGrid::new([1, 4], [1, 2])?;
//! let mut top = TopK::new(1, Order::Largest, Along::Train);
//! top.begin(&grid)?;
//! for chunk in grid.chunks() {
//!     let columns: Vec<usize> = chunk.columns.clone().collect();
//!     let gradients = Rows::select(&train, &columns)?;
//!     top.accept(&chunk, factors.gram(&gradients)?.view().into_dyn())?;
//! }
//! assert_eq!(top.finish()?[0].indices, [2]);
//! # Ok::<(), influence_core::Error>(())
//! ```
//!
//! # Features
//! `testing` adds conformance suites that implementors of the traits run. `serde` reads and writes
//! settings as configurations have them: [`Damping`](block::Damping),
//! [`BlockStructure`](block::BlockStructure), [`Precision`] and [`Scale`].

pub mod aggregate;
pub mod block;
mod chunk;
mod convert;
mod dataset;
pub mod durable;
mod error;
pub mod linalg;
mod model;
pub mod operator;
mod random;
mod report;
mod rows;
#[cfg(feature = "serde")]
mod settings;
mod share;
pub mod solver;
pub mod summation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod thread_safe;

pub use chunk::{Chunk, ChunkGrid};
pub use convert::{HostConverter, Precision, TensorConverter};
pub use dataset::{
    Batch, Dataset, FieldForm, FieldKind, FieldSource, Groups, Labels, Scale, Scaled, Selected,
    Values,
};
pub use error::{Error, Result};
pub use model::{
    AnyModel, BlockCurvature, BlockInfluence, ByBlock, EfficientChunk, Erased, ErasedModel,
    FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, PassFootprint, Perturbation,
    Piece, RelativeInfluence, RelativeTo, ScoreAxis, ScoringFootprint, SegmentedUnrolling, Sweep,
    TrainingSegment, Trajectory, UnitGradients, erase, wrapper,
};
pub use rows::{Rows, check_indices, check_parts, length_from_square};
pub use share::Share;
pub use thread_safe::{AssumeThreadSafe, ThreadSafe};

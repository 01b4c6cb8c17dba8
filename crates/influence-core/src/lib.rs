//! Backend-agnostic core of *influence*: which training points made this model say this?
//!
//! Operators multiply, solvers invert, models turn gradients into factors and factors into scores,
//! aggregators make something of the chunks. Nothing here knows a tensor library, a store or a
//! thread: a backend implements [`Rows`], [`LinearOperator`](operator::LinearOperator) and
//! [`GradientSource`], and gets every solver.
//!
//! Letters, in every doc comment and shape: `k` test rows, `n` train rows, `dim` parameters, `λ`
//! damping, `g` per-sample gradient. Words: *factors* are `(H+λI)⁻¹g` of the test side, *scores*
//! the inner products with train gradients, *influences* the whole.
//!
//! Features: `testing` adds conformance suites that implementors of the traits run.

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
pub mod solver;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod thread_safe;

pub use chunk::{Chunk, ChunkGrid};
pub use convert::{HostConverter, Precision, TensorConverter};
pub use dataset::{Dataset, FieldSource, Scale, Scaled, Selected, Values};
pub use error::{Error, Result};
pub use model::{
    AnyModel, BlockInfluence, ByBlock, Erased, ErasedModel, FactorForm, Footprint, GradientSource,
    InfluenceModel, Perturbation, ScoreAxis, ScoringFootprint, Sweep, Trajectory, UnitGradients,
    erase,
};
pub use rows::{Rows, check_indices, check_parts, length_from_square};
pub use thread_safe::{AssumeThreadSafe, ThreadSafe};

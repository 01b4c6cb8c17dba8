//! The seam between models and everything that is computed of them: recorded graphs.
//!
//! Gradients, curvatures and influences are computed from *recordings*: lists of the operations
//! that a function of a model (its loss, say) executes on a batch, in burn's intermediate
//! representation, with the parameters known by id. Whatever gives recordings gets every method of
//! this crate. A burn module with a [`Task`](crate::Task) is one such [`Trace`], made by
//! [`Fit::new`](crate::Fit::new); a reader of model files could be another, used through
//! [`Fit::of`](crate::Fit::of).
//!
//! ```text
//! module + task ─┐
//!                ├─ Trace ─ Recording ─ taps, engine ─ gradients ─ curvature ─ influences
//! anything else ─┘
//! ```
//!
//! What is found in a recording is computed elsewhere and needs nothing from its source: where
//! parameters are used (`taps`), whether it is a multilayer perceptron (`mlp`), and where a loss
//! reads the outputs (`head`).

mod graph;
mod head;
mod mlp;
mod module;
mod parameters;

use std::fmt::Debug;

use burn::tensor::TensorData;
use influence_core::block::ParameterLayout;

use crate::{Batch, Result};

pub(crate) use graph::Graph;
pub use graph::{DeclaredOutputs, Function, Recording};
pub(crate) use head::{Head, same_function};
pub(crate) use mlp::DenseLayer;
pub use module::ModuleTrace;
pub(crate) use parameters::{GradientVisitor, InRecordedType, ModuleParameters, WithValues};
pub use parameters::{parameter_values, parameters};

/// A model whose functions can be recorded, with its parameters as they are now.
///
/// A trace never changes: the same function on batches of the same form gives the same operations,
/// whatever the numbers in the batch. Recordings are cached by the caller, by function and form of
/// the batch, so [`record`](Self::record) may be slow; it may be called from several threads.
pub trait Trace: Debug + Send + Sync {
    /// The trained parameters, in the order in which gradients have them.
    fn layout(&self) -> &ParameterLayout;

    /// The values of all parameters, first those of the [`layout`](Self::layout) in its order, then
    /// those that are not trained. Floats of any type.
    fn values(&self) -> &[TensorData];

    /// Records a function on a batch of this form: the types and shapes of its fields count, the
    /// numbers do not. `None` for outputs, or weights of outputs, that the model does not declare.
    ///
    /// Samples lie along the first axis of every field. The loss and the measurement have shape
    /// `(n)`, the outputs `(n, c)`, their weights `(n, 1)` or `(n, positions)`.
    ///
    /// # Errors
    /// [`Error::Field`](crate::Error::Field) when the batch does not have the fields that the model
    /// reads, [`Error::Capture`](crate::Error::Capture) when recording fails.
    fn record(&self, function: Function, batch: &Batch) -> Result<Option<Recording>>;

    /// The gradient of `Σ_i weights_i · loss_i` at other values of the parameters, computed without
    /// the recording: one flat vector for each trained parameter. A fit compares it with the
    /// gradient of the recording, on a few samples, if there is one.
    ///
    /// `values` has one entry for each of [`values`](Self::values), `weights` one for each sample.
    fn independent_gradient(
        &self,
        _batch: &Batch,
        _values: &[TensorData],
        _weights: &[f64],
    ) -> Option<Vec<Vec<f64>>> {
        None
    }
}

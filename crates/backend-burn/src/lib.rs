//! The burn backend of *influence*: gradients and curvatures of unmodified burn models.
//!
//! A [`Task`] says what a module's losses are. The module runs once per shape of batch on a device that records; the recorded graph
//! is then evaluated, and differentiated once or twice, on the device of your choice. [`Fit`] turns a task, a module and training
//! data into an [`Influence`] model.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda` NVIDIA GPU. Several
//! may be on at once, the device is chosen at run time, see [`device`].
//!
//! This is the only crate of the workspace that names burn.

mod convert;
mod curvature;
mod dataset;
pub mod device;
mod engine;
mod error;
mod fit;
mod gradient;
mod graph;
mod kronecker;
mod likelihood;
mod saved;
mod source;
mod stack;
mod taps;
mod task;
#[cfg(test)]
mod tests;
mod trace;

pub use convert::Converter;
pub use curvature::Curvature;
pub use dataset::{
    ArrayDataset, Batch, BurnDataset, FieldDataset, NpyDataset, NpyField, SafetensorsField,
    check_npy_header, check_npy_kind,
};
pub use error::{Error, Result};
pub use fit::{Fit, FitObserver, FitStep, Influence};
pub use gradient::Gradients;
pub use kronecker::Kronecker;
pub use source::ModelGradients;
pub use stack::Stack;
pub use task::{
    Classification, Evaluator, Field, FieldForm, FieldKind, Inputs, OutputLoss, Outputs,
    Regression, Task,
};
pub use trace::parameters;

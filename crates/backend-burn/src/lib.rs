//! The burn backend of *influence*: gradients and curvatures of unmodified burn models.
//!
//! ```text
//!  module + Task ─┐
//!                 ├▶ Trace ──▶ Recording ──▶ taps: where parameters meet the data
//!  anything else ─┘                            │
//!                                              ▼
//!  batches of data ─────────────────────▶ engine: evaluates and differentiates on a device
//!                                              │
//!                         Gradients, one per sample, in thin form
//!                            │                 │
//!                            ▼                 ▼
//!                        scores          Curvature: Hessian, Gauss-Newton, Fisher
//!                                              │
//!                                              ▼
//!                        solver of influence-core, or Kronecker factors ──▶ Influence
//! ```
//!
//! A [`Task`] declares the losses of a module. The module runs once per form of batch on a device
//! that records; the recorded graph is then evaluated, and differentiated once or twice, on the
//! device of your choice. [`Fit`] turns a task, a module and training data into an [`Influence`]
//! model. Models that are no burn modules enter as a [`trace::Trace`], through [`Fit::of`].
//!
//! # Example
//! Which training points made the model say this?
//!
//! ```
//! use std::sync::Arc;
//! use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, TensorData}};
//! use influence_backend_burn::{ArrayDataset, Classification, Curvature, Fit, Kronecker};
//! use influence_core::{Dataset, InfluenceModel};
//!
//! #[derive(Module, Debug)]
//! struct Network { first: Linear, last: Linear }
//!
//! impl Network {
//!     fn forward(&self, x: Tensor<2>) -> Tensor<2> {
//!         self.last.forward(self.first.forward(x).tanh())
//!     }
//! }
//!
//! let device = Device::flex();
//! let network = Network {
//!     first: LinearConfig::new(2, 8).init(&device),
//!     last: LinearConfig::new(8, 3).init(&device),
//! };
//! let inputs = TensorData::new(vec![0.1_f32, 0.9, 0.8, 0.2, 0.5, 0.4, 0.3, 0.3], [4, 2]);
//! let classes = TensorData::new(vec![0_i64, 1, 2, 0], [4]);
//! let train = Arc::new(ArrayDataset::new(vec![inputs, classes])?);
//!
//! let influence = Fit::new(Classification::new(Network::forward))
//!     .with_curvature(Curvature::GaussNewton)
//!     .with_kronecker(Kronecker::Ekfac)
//!     .with_damping(0.01)
//!     .fit(&network, train.clone())?;
//!
//! let test = train.batch(0..1)?; // asked about: the first point
//! let factors = influence.factors(&test)?.converged()?;
//! let scores = influence.scores(&factors, &influence.gradients(&train.batch(0..4)?)?)?;
//! assert_eq!(scores.shape(), [1, 4]);
//! assert!(scores[[0, 0]] > 0.0); // each point helps itself
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda`
//! NVIDIA GPU. Several may be on at once, the device is chosen at run time, see [`device`].
//!
//! Everything that evaluates or differentiates a model with burn is in this crate. The command line
//! names burn too, for the layers it builds and the weights it reads.

mod convert;
mod curvature;
mod dataset;
pub mod device;
mod engine;
mod error;
mod evaluator;
mod fit;
mod gradient;
mod graph;
mod host_mlp;
mod kronecker;
mod leverage;
mod likelihood;
mod observe;
mod panic;
mod product;
mod proximal;
mod saved;
mod source;
mod stack;
mod taps;
mod task;
mod tensors;
#[cfg(test)]
mod tests;
pub mod trace;
mod unrolled;

pub use convert::Converter;
pub use curvature::Curvature;
pub use dataset::{ArrayDataset, BurnDataset, batch_of, tensor_data};
pub use error::{Error, Result};
pub use evaluator::{EvaluatedOutputs, Evaluator};
pub use fit::{Fit, Influence, SegmentedTraining, Traced, TracedFit};
pub use gradient::Gradients;
pub use host_mlp::{HostMlp, HostSteps, MlpShape, StepRule};
pub use influence_core::{Batch, FieldForm, FieldKind};
pub use kronecker::Kronecker;
pub use leverage::LeverageCorrected;
pub use observe::{FitObserver, FitStep};
pub use product::product;
pub use proximal::{ProximalBregman, ProximalResponse};
pub use source::ModelGradients;
pub use stack::Stack;
pub use task::{Classification, Field, Inputs, OutputLoss, Outputs, Regression, Task};
pub use trace::{parameter_values, parameters};
pub use unrolled::{
    GatherSamples, Segmentation, TrainingStep, TrainingSteps, Unrolled, UpdateRule,
};

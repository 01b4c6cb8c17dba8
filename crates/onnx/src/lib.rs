//! Networks in files, ONNX and exported programs of PyTorch, as burn modules, read at run time.
//!
//! ```text
//!  .onnx ─ file ─┐
//!                ├─> NetworkGraph ──> parameters ──> NetworkFile ──> Network (a burn module)
//!  .pt2 ── pt2 ──┘   nodes,           which tensors    │   runs the nodes, one operator after
//!                    tensors          are trained, and │   another, on any device of burn
//!                                     their names      ▼
//!                                                    NetworkTask (losses, measurement, outputs)
//! ```
//!
//! A [`Network`] is a module like any other: what fits, evaluates, trains and saves burn modules
//! does so with it. Its operators run on burn's `Dispatch` backend, whose tensors have a rank that
//! is known at run time only.

mod error;
mod file;
mod graph;
mod model;
mod network;
mod operators;
mod parameters;
mod proto;
mod pt2;
mod settings;
mod task;
mod value;

pub use error::{Error, Result};
pub use file::files_beside;
pub use graph::{AxisLength, InputForm};
pub use model::NetworkFile;
pub use network::Network;
pub use settings::{NamedTensor, ReadSettings};
pub use task::{Fields, LossKind, Measurement, NetworkLoss, NetworkTask, TargetForm};

//! Do influences predict retraining?
//!
//! ```text
//!  Contest: methods, dampings, baselines ──> Attribution (rows, n), one at a time
//!      │                                        │ prediction: a set is left out
//!      │                                        v
//!  Lds, LeaveOneOut, Removal, ──> Study ──> retrainings ──> statistics ──> Evaluation
//!  Brittleness                                                  ^
//!  Flipped: a model with wrong labels ──> rankings of points ───┤
//!  Unlearning: proximal Bregman responses ──────────────────────┤
//!  TailPatch: one step on a point ──────────────────────────────┘
//! ```
//!
//! A study says which retrainings it needs, a bank trains those that it lacks, and every method is
//! rated by the same ones. Nothing is stored but losses, so that methods and dampings that nobody
//! thought of may be rated later, at the price of their influences alone.

mod attribution;
mod baselines;
mod best;
mod brittleness;
mod drawn;
mod flip;
mod lds;
mod loo;
mod outcome;
mod pbrf;
pub mod prediction;
mod removal;
mod request;
pub mod statistics;
mod study;
mod tail_patch;

pub use attribution::{Attribution, Contest};
pub use baselines::Baseline;
pub use best::Best;
pub use brittleness::Brittleness;
pub use drawn::{CurvePoint, Scatter, ScatterOf};
pub use flip::Flipped;
pub use lds::Lds;
pub use loo::LeaveOneOut;
pub use outcome::{Evaluation, Finding, Statistic};
pub use pbrf::Unlearning;
pub use removal::Removal;
pub use request::{LooRequest, Studies};
pub use tail_patch::TailPatch;

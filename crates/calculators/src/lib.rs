//! Calculators: which chunks of an influence matrix, in what order, on which threads, and where they go.
//!
//! A [`Calculator`] holds a fitted model. [`Sequential`] works in the calling thread, [`Parallel`] on its own threads, and both give
//! the same bits. What they return is lazy: nothing runs until the result is handed to an aggregator or written as Zarr.
//!
//! Letters, as in `influence_core`: `k` test rows, `n` train rows, `dim` parameters, `λ` damping, `g` per-sample gradient.
//!
//! Features, all off by default: `object-store` outputs at URLs, `file://` and `memory://`; with `s3`, `gcs`, `azure` and `http` (for
//! reading) also there. See [`Location::parse`].
//!
//! This crate is not a scheduler for several machines, and it knows no tensor library: a model brings its own.

mod calculator;
mod cancel;
mod engine;
mod error;
mod factors;
mod lazy;
mod observe;
mod parallel;
mod plan;
mod prefetch;
mod sequential;
mod sink;
#[cfg(test)]
mod tests;
pub mod zarr;

pub use calculator::Calculator;
pub use cancel::Cancellation;
pub use error::{Error, Result, Step};
pub use factors::FactorSource;
pub use influence_core::AssumeThreadSafe;
pub use lazy::{LazyFactors, LazyInfluences, LazySelfInfluences};
pub use observe::{Observer, Phase, SolveSummary};
pub use parallel::{Parallel, Replicas, Shared, share_threads};
pub use plan::{Budget, Plan, Resources, Side, Workload};
pub use prefetch::Prefetch;
pub use sequential::Sequential;
pub use zarr::{Labels, Location, StoredFactors, StoredInfluences, ZarrField, ZarrOptions};

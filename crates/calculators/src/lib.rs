//! Calculators: which chunks of an influence matrix, in what order, on which threads, and where
//! they go.
//!
//! ```text
//!        Calculator                       holds a fitted model, and threads
//!   Sequential | Parallel
//!            |
//!       Lazy<Query>                       influences | factors | self-influences; nothing runs yet
//!            |
//!     plan:  Workload + Budget -> Plan    the grid; one side is held, the other streams past
//!            |
//!     engine:  panels -> tasks -> chunks  each side is computed or read (SideSource)
//!            |
//!            +--> an aggregator           top-k, means, the whole matrix, ...
//!            +--> zarr: declare, attach, seal
//!                   |
//!                   +--> StoredInfluences, StoredFactors, verify: read back later
//! ```
//!
//! A [`Calculator`] holds a fitted model. [`Sequential`] works in the calling thread, [`Parallel`]
//! on its own threads, and both give the same bits. They return [`Lazy`] queries: nothing runs
//! until a query is handed an aggregator or written as Zarr.
//!
//! ```
#![doc = include_str!("../doc/setup.rs")]
//! use std::num::NonZero;
//! use influence_calculators::{Calculator, Parallel, Sequential};
//! use influence_core::aggregate::{Along, Concatenate, Order, TopK};
//!
//! // Which two training points help each test point most? Chunks of 2 by 4 points, two threads.
//! let parallel = Parallel::new(&model, NonZero::new(2))?;
//! let influences = parallel.influences(&test, &train).with_chunks(2, 4)?;
//! assert_eq!(influences.plan()?.grid().counts(), [2, 2]);
//! let top = influences.compute(TopK::new(2, Order::Largest, Along::Train))?;
//! assert_eq!(top.len(), 3);
//!
//! // The same numbers, one chunk after another, as one array.
//! let whole = Sequential::new(&model).influences(&test, &train).compute(Concatenate::new())?;
//! assert_eq!(whole.shape(), [3, 7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to read on: the plan at [`Plan`], the stored layout at [`zarr`], a custom strategy at
//! [`Calculator`], a custom backend in `examples/custom_backend.rs`.
//!
//! Letters, as in `influence_core`: `k` test rows, `n` train rows, `dim` parameters, `λ` damping,
//! `g` per-sample gradient.
//!
//! Features, all off by default: `object-store` outputs at URLs, `file://` and `memory://`; with
//! `s3`, `gcs`, `azure` and `http` (for reading) also there. See [`Location::parse`].
//!
//! This crate is not a scheduler for several machines, and it knows no tensor library: a model
//! brings its own.

mod calculator;
mod cancel;
mod engine;
mod error;
mod lazy;
mod observe;
mod parallel;
mod plan;
mod prefetch;
mod queries;
mod sequential;
mod share;
mod sink;
mod source;
mod step;
#[cfg(test)]
mod tests;
pub mod zarr;

pub use calculator::Calculator;
pub use cancel::Cancellation;
pub use error::{Error, Result};
pub use influence_core::{AssumeThreadSafe, Share};
pub use lazy::Lazy;
pub use observe::{Observer, SolveSummary};
pub use parallel::{Parallel, Replicas, Shared, on_one_thread, share_threads};
pub use plan::{Budget, Plan, Resources, Side, Workload};
pub use prefetch::Prefetch;
pub use queries::{
    FactorQuery, InfluenceQuery, LazyFactors, LazyInfluences, LazySelfInfluences,
    SelfInfluenceQuery,
};
pub use sequential::Sequential;
pub use source::{RowSource, SampleSource, SideSource};
pub use step::{Phase, Step};
pub use zarr::{
    Labels, Location, StoredFactors, StoredInfluences, StoredValues, ZarrField, ZarrOptions,
};

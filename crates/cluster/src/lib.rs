//! Fits on several machines: sums over the training data that processes share.
//!
//! A fit asks for one sum over its data after another, and its
//! [`Summation`](influence_core::summation::Summation) says who adds what; the bits of the sum do
//! not depend on it. [`StoredSums`] lets processes share a sum through a folder that all of them
//! see, or another [`SumStore`], and needs nothing else: no process waits for another, and each may
//! be killed at any time. [`World`] lets the processes of an MPI job share it by messages, which is
//! faster where a fit has many short passes; all of them have to be there from the start to the
//! end.
//!
//! ```text
//!  share 0/3 ── 0+4  ──▶ ┌─────────────┐
//!  share 1/3 ── 4+4  ──▶ │  a folder   │ ──▶ 0+16, the sum, for whoever finds all parts
//!  share 2/3 ── 8+4  ──▶ └─────────────┘
//! ```
//!
//! # Example
//! Two shares of a pass over the leaves 0 to 4, which has the value of the leaf as its sum.
//!
//! ```
//! use influence_cluster::{Error, StoredSums};
//! use influence_core::{Share, summation::{DataPass, Summation}};
//! use ndarray::arr0;
//!
//! let folder = std::env::temp_dir().join(format!("influence-sums-{}", std::process::id()));
//! let pass = DataPass {
//!     name: "example",
//!     operand: &|| Ok(Vec::new()),
//!     leaves: 5,
//!     leaf: &|leaf| Ok(vec![arr0(leaf as f64).into_dyn()]),
//! };
//! let identity = || Ok(vec![("method", "example".to_owned())]);
//! let first = StoredSums::new(&folder, Share::new(0, 2)?);
//! first.begin(&identity)?;
//! let outcome = first.sum(&pass).expect_err("the other share is missing");
//! assert!(matches!(Error::of(&outcome), Some(Error::Waiting { there: 2, leaves: 5, .. })));
//! let second = StoredSums::new(&folder, Share::new(1, 2)?);
//! second.begin(&identity)?;
//! assert_eq!(second.sum(&pass)?, [arr0(10.0).into_dyn()]);
//! second.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Feature, off by default: `mpi`, without which no process can [join](World::join) a job. It needs
//! an MPI library with `mpicc`, and libclang, where it is built.

mod digest;
mod error;
mod stored;
mod world;

pub use error::{Error, Result};
pub use stored::{StoredSums, SumStore};
pub use world::World;

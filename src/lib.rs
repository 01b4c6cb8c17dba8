//! facade
pub use influence_core as core;

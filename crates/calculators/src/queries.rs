//! The queries that a calculator answers.

mod factors;
mod influences;
mod self_influences;

pub use factors::{FactorQuery, LazyFactors};
pub use influences::{InfluenceQuery, LazyInfluences};
pub use self_influences::{LazySelfInfluences, SelfInfluenceQuery};

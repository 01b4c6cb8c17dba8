//! Do influences predict retraining?

pub mod prediction;
pub mod statistics;

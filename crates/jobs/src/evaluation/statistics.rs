//! How well predictions agree with what happened, and how sure that is.
//!
//! # What is resampled
//! An interval answers *would another draw of the same kind say the same?*, so it has to resample
//! what was drawn. Predictions of retraining are a matrix: a row for each test point, a column for
//! each retraining. Both are drawn, and the numbers of one column share the noise of one training.
//! So [`by_row`] resamples rows and columns at once (the pigeonhole bootstrap of Owen 2007, whose
//! intervals are wide enough rather than too narrow), [`pooled`] takes columns as clusters, and
//! nothing treats the entries of a matrix as independent.
//!
//! All intervals are the middle 95 % of a statistic over [`DRAWS`] draws with replacement from a
//! seed, corrected for the bias of draws. A draw is a multiplicity for each unit: values are sorted
//! once, and ranks under multiplicities take one pass.
//!
//! # Degenerate data
//! A side that is constant says nothing about the order of the other: correlations and slopes are 0
//! there, so that a prediction that tells nothing apart scores as one that predicts nothing.

mod agreement;
mod ceiling;
mod detection;
mod interval;
mod ordered;

pub use agreement::{Agreement, RowMean, by_row, pooled};
pub use ceiling::{Ceiling, ceiling};
pub use detection::{Detection, detected, found_among};
pub use interval::{DRAWS, Interval, bootstrap, bootstrap_both};

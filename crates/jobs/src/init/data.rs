//! The points of a proposal, and the command that they are for.

use super::written::WrittenPoints;

/// The points of a proposal.
#[derive(Debug)]
pub(super) enum ProposedData {
    Apart {
        train: WrittenPoints,
        test: WrittenPoints,
    },
    /// Training points without test points.
    Alone {
        train: WrittenPoints,
    },
    Together {
        all: WrittenPoints,
        test: f64,
    },
}

/// What computes influences on test points, and what self-influences.
pub(super) const RUN: &str = "influence run";
pub(super) const SELF: &str = "influence self";

impl ProposedData {
    /// The command that the points are for.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Alone { .. } => SELF,
            Self::Apart { .. } | Self::Together { .. } => RUN,
        }
    }
}

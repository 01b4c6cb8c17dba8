//! Where a computation is: phases, which observers see, and steps, which errors name.

use std::{
    fmt::{self, Display},
    ops::Range,
};

use influence_core::Chunk;

/// The phase of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Gradients of train points that stay in memory.
    Gradients,
    /// Factors of test points.
    Factors,
    /// Scores; factors are solved on the way where they do not stay in memory.
    Scores,
}

impl Phase {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gradients => "gradients",
            Self::Factors => "factors",
            Self::Scores => "scores",
        }
    }
}

/// The step in which something failed; row numbers are those of the whole data set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Finding out the dimension and precision of the model, and announcing the grid.
    Planning,
    /// Telling the observer that a phase begins.
    Beginning {
        /// The phase.
        phase: Phase,
    },
    /// Building the replica of the model that a worker thread keeps.
    Replica,
    /// Solving the factors of test rows.
    Solving {
        /// The test rows.
        rows: Range<usize>,
    },
    /// Reading the stored factors of test rows.
    ReadingFactors {
        /// The test rows.
        rows: Range<usize>,
    },
    /// Reading the stored gradients of train rows.
    ReadingGradients {
        /// The train rows.
        columns: Range<usize>,
    },
    /// Reading rows of a data set before they are asked for.
    ReadingAhead {
        /// The rows.
        rows: Range<usize>,
    },
    /// Computing the gradients of train rows.
    Gradients {
        /// The train rows.
        columns: Range<usize>,
    },
    /// Computing the scores of a chunk.
    Scoring {
        /// The chunk.
        chunk: Chunk,
    },
    /// Handing a finished chunk to where it goes.
    Delivering {
        /// The chunk.
        chunk: Chunk,
    },
    /// Making the outcome out of all chunks.
    Finishing,
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planning => write!(f, "planning the computation"),
            Self::Beginning { phase } => write!(f, "beginning with {}", phase.as_str()),
            Self::Replica => write!(f, "building the model of a worker thread"),
            Self::Solving { rows } => write!(f, "solving test rows {rows:?}"),
            Self::ReadingFactors { rows } => write!(f, "reading the factors of test rows {rows:?}"),
            Self::ReadingGradients { columns } => {
                write!(f, "reading the gradients of train rows {columns:?}")
            }
            Self::ReadingAhead { rows } => write!(f, "reading rows {rows:?} ahead"),
            Self::Gradients { columns } => {
                write!(f, "computing gradients of train rows {columns:?}")
            }
            Self::Scoring { chunk } => {
                write!(
                    f,
                    "scoring test rows {:?} against train rows {:?}",
                    chunk.rows, chunk.columns
                )
            }
            Self::Delivering { chunk } => {
                write!(
                    f,
                    "delivering the chunk of rows {:?} and columns {:?}",
                    chunk.rows, chunk.columns
                )
            }
            Self::Finishing => write!(f, "finishing the result"),
        }
    }
}

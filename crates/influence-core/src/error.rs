//! The error type of the core.

use std::ops::Range;

use crate::report::Report;

/// Errors of the core; every variant says what was expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size does not fit. Compare the shapes that went into `op`.
    #[error("{op}: expected {axis} {expected}, got {got}")]
    Shape {
        /// The operation that was asked for.
        op: &'static str,
        /// Which size is meant.
        axis: &'static str,
        /// The size that fits.
        expected: usize,
        /// The size that came.
        got: usize,
    },

    /// A setting is out of its domain.
    #[error("{name} must be {requirement}, got {got}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its domain.
        requirement: &'static str,
        /// The value that came.
        got: String,
    },

    /// A number that must be finite is not.
    #[error("{op}: {what} is not finite")]
    NotFinite {
        /// The operation that was asked for.
        op: &'static str,
        /// Where the number was found.
        what: String,
    },

    /// A range of rows is not within the data.
    #[error("rows {}..{} are out of range: there are {len}", range.start, range.end)]
    OutOfRange {
        /// The rows that were asked for.
        range: Range<usize>,
        /// How many there are.
        len: usize,
    },

    /// The batch does not have the fields that the task reads.
    #[error("field {field} of the batch must be {expected}, got {got}")]
    Field {
        /// Position of the field in the batch.
        field: usize,
        /// What the task reads.
        expected: String,
        /// What came.
        got: String,
    },

    /// A name of a block or parameter is not known.
    #[error("unknown {kind} `{name}`; known: {}", known.join(", "))]
    UnknownName {
        /// What the name should refer to.
        kind: &'static str,
        /// The name that came.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },

    /// Two blocks claim the same parameter.
    #[error(
        "parameter `{parameter}` is in block `{first}` and in block `{second}`; each parameter belongs to one block"
    )]
    BlockOverlap {
        /// The parameter claimed twice.
        parameter: String,
        /// The block that claimed it first.
        first: String,
        /// The block that claimed it again.
        second: String,
    },

    /// Some parameters are in no block. Add them to a block, or say that they are to be ignored.
    #[error("no block holds the parameters {}; add them or ignore the rest explicitly", parameters.join(", "))]
    BlockIncomplete {
        /// The parameters left out.
        parameters: Vec<String>,
    },

    /// Some rows were not solved to the tolerance.
    ///
    /// The message of [`Status`](crate::solver::Status) says what to try.
    #[error("{} of {total} right-hand sides unsolved (rows {}): {worst}", rows.len(), abridged(rows))]
    Unsolved {
        /// The rows that are not solved.
        rows: Vec<usize>,
        /// How many rows there were.
        total: usize,
        /// The report with the largest residual among them.
        worst: Report,
    },

    /// A kept state of a solver lacks something: it belongs to another solver, or to another
    /// operator.
    #[error("the state holds no {name} that is {expected}; fit again")]
    State {
        /// The array that is missing or of another kind.
        name: String,
        /// What it should be.
        expected: &'static str,
    },

    /// Something that this backend or model does not offer.
    #[error("{what} is not supported by {by}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// By whom it is not offered.
        by: &'static str,
    },

    /// A factorisation failed.
    #[error("{op} failed on a matrix of dimension {dim}")]
    Factorisation {
        /// Which factorisation.
        op: &'static str,
        /// The dimension of the matrix.
        dim: usize,
    },

    /// An aggregator was given a chunk twice, or finished before it had every chunk.
    #[error("{what}: {got} of {expected} chunks arrived")]
    Chunks {
        /// What was being assembled, and how it failed.
        what: &'static str,
        /// How many chunks the grid has.
        expected: usize,
        /// How many arrived.
        got: usize,
    },

    /// The tensor library failed.
    #[error("{op}: {source}")]
    Backend {
        /// The operation that was asked for.
        op: &'static str,
        /// The library's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Data could not be read.
    #[error("{source}")]
    Dataset {
        /// The reader's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A result whose error is the core's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an error of the tensor library.
    pub fn backend(
        op: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Backend {
            op,
            source: source.into(),
        }
    }

    /// Wraps an error met while reading data.
    pub fn dataset(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Dataset {
            source: source.into(),
        }
    }

    /// Checks one size.
    ///
    /// # Errors
    /// [`Error::Shape`] when `got` is not `expected`.
    pub fn check_size(
        op: &'static str,
        axis: &'static str,
        expected: usize,
        got: usize,
    ) -> Result<()> {
        if expected == got {
            Ok(())
        } else {
            Err(Self::Shape {
                op,
                axis,
                expected,
                got,
            })
        }
    }

    /// Checks that a range of rows lies within `len`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it does not.
    pub fn check_range(range: &Range<usize>, len: usize) -> Result<()> {
        if range.start <= range.end && range.end <= len {
            Ok(())
        } else {
            Err(Self::OutOfRange {
                range: range.clone(),
                len,
            })
        }
    }
}

/// The first few row numbers, so that a message stays one line long.
fn abridged(rows: &[usize]) -> String {
    const SHOWN: usize = 5;
    let mut text = rows
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if rows.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

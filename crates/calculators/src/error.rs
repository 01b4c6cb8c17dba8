//! The error type of the calculators.

use std::{fmt::Display, ops::Range};

use bytesize::ByteSize;
use influence_core::solver::Report;

use crate::Step;

/// What can go wrong while calculating; every variant says where.
///
/// When several chunks fail, the error of the first in grid order is returned, whatever the number
/// of threads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model, the data or the aggregator reported an error.
    #[error("failed while {step}")]
    Core {
        /// What was being done.
        step: Step,
        /// Their own account.
        source: Box<influence_core::Error>,
    },

    /// The model, the data, the aggregator or the observer panicked. Chunks already delivered stay
    /// valid.
    #[error("panicked while {step}: {message}")]
    Panicked {
        /// What was being done.
        step: Step,
        /// The message of the panic.
        message: String,
    },

    /// Some test rows were not solved. Do as the report says, or take them as they are with
    /// `accepting_unsolved`.
    #[error(
        "test rows {} of chunk {chunk:?} not solved: {worst}; or accept such rows explicitly",
        listed(rows)
    )]
    Unsolved {
        /// The rows that are not solved, numbered as in the whole data set.
        rows: Vec<usize>,
        /// The rows that were solved together.
        chunk: Range<usize>,
        /// The report with the largest residual among them.
        worst: Report,
    },

    /// The computation was cancelled. The chunks written stay valid; resume the output to continue.
    #[error("cancelled before all chunks were computed")]
    Cancelled,

    /// A calculator returned without having run all of its tasks.
    #[error("the calculator returned before {step}; `Calculator::run` must run every task once")]
    Skipped {
        /// What it left out.
        step: Step,
    },

    /// A computation was started on a calculator by a thread of its own. Start it from outside, or
    /// use another calculator.
    #[error(
        "a worker thread of a parallel calculator started a computation on the same calculator"
    )]
    Nested,

    /// Threads could not be started.
    #[error("could not start {threads} threads")]
    ThreadPool {
        /// How many were wanted.
        threads: usize,
        /// The system's account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// An option is out of its domain.
    #[error("{name} must be {requirement}, got {got}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its domain.
        requirement: &'static str,
        /// The value that came.
        got: String,
    },

    /// Not even a plan of single chunks fits the memory.
    #[error(
        "the computation needs {} of memory, {} are granted; grant more, or use smaller chunks",
        size(*needed),
        size(*granted)
    )]
    Memory {
        /// The bound that was set.
        granted: usize,
        /// The need of the smallest plan, bytes taken already included.
        needed: usize,
    },

    /// A store could not be read or written.
    #[error("could not {doing} in {path}")]
    Store {
        /// The store and the group in it.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// The store's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The scheme of a URL names no store.
    #[error(
        "no store is known for {scheme}://; expected a folder, or a URL that begins with {}://",
        known.join("://, ")
    )]
    UnknownScheme {
        /// The text before `://`.
        scheme: String,
        /// The schemes that there are.
        known: Vec<&'static str>,
    },

    /// The store of a URL was not compiled in.
    #[error(
        "{scheme}:// needs the feature `{feature}`, which is off; build with `--features {feature}`"
    )]
    FeatureOff {
        /// The scheme of the URL.
        scheme: &'static str,
        /// The feature to turn on.
        feature: &'static str,
    },

    /// The place can be read and not written. Choose a folder, or another kind of store.
    #[error("{path} can only be read; write to a folder or to an object store")]
    ReadOnly {
        /// The URL.
        path: String,
    },

    /// The output exists. Choose another path, resume it, or overwrite it explicitly.
    #[error("{path} already holds an output; choose another path, resume it, or allow overwriting")]
    Exists {
        /// The store and the group in it.
        path: String,
    },

    /// Another run is writing to the output.
    #[error("{path} is being written by another run; wait for it, or choose another path")]
    Locked {
        /// The folder.
        path: String,
    },

    /// The output that is to be resumed was made with other settings.
    #[error(
        "{path} was written with {setting} = {stored}, this run has {given}; resume with the settings and data of the output, overwrite it, or choose another path"
    )]
    Differs {
        /// The store and the group in it.
        path: String,
        /// The first attribute that differs.
        setting: String,
        /// Its value in the output.
        stored: String,
        /// Its value in this run.
        given: String,
    },

    /// There is no output to join, or its declaration was not finished. Declare it first, once for
    /// all shares.
    #[error("{path} holds no declared output that a share could join; declare it first")]
    NotDeclared {
        /// The store and the group in it.
        path: String,
    },

    /// The place is taken by something that this crate has not written, and which it will never
    /// delete.
    #[error("{path} holds {found}, expected {expected}")]
    NotZarr {
        /// The store and the group in it.
        path: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },

    /// Numbers of an output are not finite: they overflowed when they were computed, and were
    /// accepted. Compute them in 64 bits.
    #[error(
        "{path}: numbers of rows {} are not finite; compute them again in 64 bits (precision = \"f64\"), or with inputs on a common scale (data.scale = \"standard\")",
        listed(rows)
    )]
    NotFinite {
        /// The store and the group in it.
        path: String,
        /// The rows of the first chunk that has such numbers: test points, of self-influences
        /// training points.
        rows: Vec<usize>,
    },

    /// There is nothing at a place that is to be read.
    #[error("{path} does not exist, expected {expected}")]
    Absent {
        /// The store and the group or array in it.
        path: String,
        /// What should be there.
        expected: &'static str,
    },

    /// A sample has a number that stands for a missing one. Leave the sample out, or write a number
    /// that is meant.
    #[error(
        "{array}: row {row} holds {number}, which stands for a missing number (_FillValue, missing_value, or the fill value of an array of xarray); leave the row out, or fill in a number"
    )]
    Masked {
        /// The array.
        array: String,
        /// The row, counted from 0.
        row: usize,
        /// The number that is stored.
        number: f64,
    },

    /// Chunks of stored factors are missing. The run that wrote them did not finish.
    #[error("{path} has no factors for test rows {rows:?}; finish the run that writes them")]
    Missing {
        /// The store and the group in it.
        path: String,
        /// The rows of the first missing chunk.
        rows: Range<usize>,
    },
}

/// The error of a part below this crate, whatever its type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is that of the calculators.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an error of the core with what was being done.
    pub fn core(step: Step, source: influence_core::Error) -> Self {
        Self::Core {
            step,
            source: Box::new(source),
        }
    }

    /// Wraps an error of a store.
    pub fn store(path: impl Display, doing: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Store {
            path: path.to_string(),
            doing,
            source: source.into(),
        }
    }
}

/// A number of bytes in the unit that it is read in.
fn size(bytes: usize) -> ByteSize {
    ByteSize::b(bytes as u64)
}

/// The first few row numbers, so that a message stays one line long.
fn listed(rows: &[usize]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = rows.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if rows.len() > SHOWN {
        format!(" and {} more", rows.len() - SHOWN)
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

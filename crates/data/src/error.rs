//! The error type of the data crate.

use std::path::PathBuf;

/// What can go wrong when data are opened and read; every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A numpy file cannot be used.
    #[error("{}: {message}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        message: String,
    },

    /// A safetensors file cannot be used.
    #[error("{}: {message}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        message: String,
    },

    /// A safetensors file has no tensor of the name, or several and no name was given. Name one of
    /// those it has.
    #[error("{}: {}; it has {}", path.display(), wanted(name.as_deref()), known.join(", "))]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The name that was asked for, if one was.
        name: Option<String>,
        /// The names there are, sorted.
        known: Vec<String>,
    },

    /// The arrays of a data set differ in their number of samples.
    #[error("{array}: expected {expected} samples as in {first}, got {got}")]
    Samples {
        /// The array that differs.
        array: String,
        /// The number of samples of the first array.
        expected: usize,
        /// The first array.
        first: String,
        /// The number of samples of the array that differs.
        got: usize,
    },

    /// An integer is too large for the type that all integers are read into. Class numbers and
    /// token ids never are.
    #[error(
        "{array}: expected integers of 64 signed bits, got one that does not fit; store smaller ones"
    )]
    Integer {
        /// The array.
        array: String,
    },

    /// A file was cut short after it had been opened. Run again once it is whole.
    #[error("{}: the file became shorter while it was in use; run again once it is whole", path.display())]
    Shortened {
        /// The file.
        path: PathBuf,
    },

    /// A file or folder cannot be used as an array.
    #[error("{message}")]
    Array {
        /// Which file, what is wrong with it, and what was expected.
        message: String,
    },

    /// Reading a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's account.
        source: std::io::Error,
    },

    /// The core refuses an array or a batch.
    #[error(transparent)]
    Core(#[from] influence_core::Error),
}

/// A result whose error is the data crate's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for influence_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            other => Self::dataset(other),
        }
    }
}

impl Error {
    /// The typed error where there is one, else the messages of all causes in one line.
    pub(crate) fn from_any(error: anyhow::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Self::Array {
            message: format!("{error:#}"),
        })
    }
}

/// The tensor that was asked for, in words.
fn wanted(name: Option<&str>) -> String {
    name.map_or_else(
        || "a tensor must be named where there is not exactly one".to_owned(),
        |name| format!("there is no tensor `{name}`"),
    )
}

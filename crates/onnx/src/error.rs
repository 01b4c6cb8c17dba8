//! The error type of networks in files.

use std::path::{Path, PathBuf};

/// What can go wrong between a file and a network that runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },

    /// The file is no valid file of its format.
    #[error("{0}")]
    Malformed(String),

    /// Operators that are not known; all of them.
    #[error("{0}")]
    UnknownOperators(String),

    /// The parameters of the network are not all in the file, or not as they were.
    #[error("{0}")]
    Parameters(String),

    /// A node cannot be computed.
    #[error("node `{node}` ({operator}): {message}")]
    Node {
        /// The name of the node.
        node: String,
        /// Its operator.
        operator: String,
        /// Why.
        message: String,
    },

    /// An operator cannot be computed from these arguments; a [`Node`](Self::Node) error says
    /// where.
    #[error("{0}")]
    Operator(String),

    /// The data are not what the network reads.
    #[error("{0}")]
    Input(String),

    /// Samples are not what they must be to a network: along the first axis, of any number, and
    /// each by itself.
    #[error("{0}")]
    Samples(String),

    /// A setting that does not fit the network.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// With the path of the file that it is about, where it does not say that itself.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        let named = |message: String| format!("{}: {message}", path.display());
        match self {
            Self::Malformed(message) => Self::Malformed(named(message)),
            Self::UnknownOperators(message) => Self::UnknownOperators(named(message)),
            other => other,
        }
    }

    /// An operator cannot be computed from its arguments.
    pub(crate) fn operator(message: impl Into<String>) -> Self {
        Self::Operator(message.into())
    }
}

/// The result of reading or running a network.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file that is not valid.
pub(crate) fn malformed(message: impl std::fmt::Display) -> Error {
    Error::Malformed(message.to_string())
}

/// Names for a message, the first ten of them.
pub(crate) fn quoted(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 10;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.as_ref()));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

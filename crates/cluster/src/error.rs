use std::{io, path::PathBuf};

/// Errors of sums that processes share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sums of other shares are missing. All that this share could add is kept: call it again when
    /// the others were called.
    #[error("pass {pass} ({name}) has {there} of {leaves} parts, and waits for other shares")]
    Waiting {
        /// The number of the pass over the data, counted from 0.
        pass: usize,
        /// What the pass computes.
        name: String,
        /// How many leaves are added up.
        there: usize,
        /// The number of leaves.
        leaves: usize,
    },

    /// What is kept there belongs to another fit.
    #[error(
        "{} is of a fit with {key} {kept}, now it is {now}: remove {} to begin again", path.display(), folder.display()
    )]
    Foreign {
        /// The file, or the URL of the value.
        path: PathBuf,
        /// Where the sums are kept.
        folder: PathBuf,
        /// What differs.
        key: String,
        /// What the file was made with.
        kept: String,
        /// What this process has.
        now: String,
    },

    /// A process of an MPI job has something else than rank 0.
    #[error(
        "rank {rank} has {key} {own}, rank 0 has {first}: all processes of a job need the same settings, files and kind of machine"
    )]
    Different {
        /// The rank of the process.
        rank: usize,
        /// What differs.
        key: String,
        /// What rank 0 has.
        first: String,
        /// What this process has.
        own: String,
    },

    /// Another process of an MPI job has failed, and says why.
    #[error("rank {rank} has failed")]
    Elsewhere {
        /// The rank of that process.
        rank: usize,
    },

    /// MPI is not there as it is needed.
    #[error("MPI {problem}")]
    Mpi {
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The program was built without MPI.
    #[error(
        "this program was built without MPI; where mpicc and libclang are installed, build it with `--features mpi`"
    )]
    WithoutMpi,

    /// A file, or a value of another store, could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file, or the URL of the value.
        path: PathBuf,
        /// What the system or the store says.
        source: io::Error,
    },
}

/// A result whose error is that of shared sums.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The error of shared sums that is the cause of another error, if one is.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let causes = std::iter::successors(Some(error), |error| error.source());
        causes.into_iter().find_map(|cause| cause.downcast_ref())
    }
}

impl From<Error> for influence_core::Error {
    fn from(error: Error) -> Self {
        Self::backend("sum of shares", error)
    }
}

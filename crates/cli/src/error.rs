//! How the command ends.
//!
//! Exit codes: 0 done, also when the reader of stdout went away; 2 bad usage or input, or a failure while computing; 130 interrupted
//! by a signal.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Exit code of a command that failed; clap uses the same for a command line it cannot read.
pub const FAILURE: u8 = 2;
/// Exit code of a command that a signal has ended: 128 and the number of SIGINT, as shells have it, whichever signal it was.
pub const INTERRUPTED: u8 = 130;

/// A signal came while chunks were computed.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted: {done} of {total} chunks are written to {}; go on with --resume",
    output.display()
)]
pub struct Interrupted {
    /// The chunks that are written.
    pub done: usize,
    /// The chunks of the result.
    pub total: usize,
    /// Where they are.
    pub output: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was asked for.
    Done,
    /// A signal ended it; the message says what is written.
    Interrupted(String),
    /// It failed; the message has the error with its causes.
    Failed(String),
}

impl Ending {
    /// The ending that an outcome is.
    ///
    /// A reader that closed the pipe has seen all it wanted: that is no failure.
    pub fn of(outcome: &anyhow::Result<()>) -> Self {
        match outcome {
            Err(error) if error.is::<Interrupted>() => Self::Interrupted(message(error)),
            Err(error) if !is_broken_pipe(error) => Self::Failed(message(error)),
            _ => Self::Done,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Interrupted(_) => ExitCode::from(INTERRUPTED),
            Self::Failed(_) => ExitCode::from(FAILURE),
        }
    }
}

/// Prints a line to stderr, whole; if that is closed there is nobody to tell.
pub fn complain(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The error and its causes, from the outside inwards; a cause that the text before it already ends with is not repeated.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let core = influence_core::Error::dataset("row 3 is missing");
        let error = anyhow::Error::from(core).context("data.train");
        assert_eq!(message(&error), "data.train: row 3 is missing");
        assert_eq!(message(&anyhow!("inner").context("outer")), "outer: inner");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed: anyhow::Result<()> =
            Err(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert_eq!(Ending::of(&closed), Ending::Done);
    }

    #[test]
    fn an_interruption_says_how_to_go_on() {
        let interrupted = Interrupted {
            done: 3,
            total: 40,
            output: "out.zarr".into(),
        };
        let expected = "interrupted: 3 of 40 chunks are written to out.zarr; go on with --resume";
        assert_eq!(
            Ending::of(&Err(interrupted.into())),
            Ending::Interrupted(expected.to_owned())
        );
    }
}

//! How the command ends.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Exit code of a command that failed; clap uses the same for a command line it cannot read.
const FAILURE: u8 = 2;

/// The exit code of an outcome; an error is reported on stderr, in one message with its causes.
///
/// A reader that closed the pipe has seen all it wanted: that is no failure.
pub fn exit_code(outcome: &anyhow::Result<()>) -> ExitCode {
    match outcome {
        Err(error) if !is_broken_pipe(error) => {
            complain(&format!("error: {}", message(error)));
            ExitCode::from(FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints a line to stderr; if that is closed there is nobody to tell.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
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
        assert!(is_broken_pipe(&closed.expect_err("closed")));
    }
}

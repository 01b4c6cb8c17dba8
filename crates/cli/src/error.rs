//! How the command ends.
//!
//! Exit codes: 0 done, also when the reader of stdout went away; 2 bad usage or input, or a failure
//! while computing; 75 a share that is done as far as it can be, and waits for others; 130
//! interrupted by a signal. No command has others: `doctor` ends with 0 whatever it finds.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use influence_jobs::{config::Place, fit::Waiting, watch::Interrupted};

/// The most letters of a message; what is longer repeats a file rather than saying what is wrong
/// with it.
const LONGEST: usize = 2000;
/// The letters that are kept of the end of a longer message, where the innermost cause is.
const KEPT_AT_END: usize = 300;
/// Exit code of a command that failed; clap uses the same for a command line it cannot read.
pub const FAILURE: u8 = 2;
/// Exit code of a share that waits for others: `EX_TEMPFAIL` of `sysexits.h`, come again later.
pub const WAITING: u8 = 75;
/// Exit code of a command that a signal has ended: 128 and the number of SIGINT, as shells have it,
/// whichever signal it was.
pub const INTERRUPTED: u8 = 130;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It succeeded.
    Done,
    /// A signal ended it; the message says what is written.
    Interrupted(String),
    /// It is a share that did its part; the message says what others have to do.
    Waiting(String),
    /// It failed.
    Failed {
        /// The error with its causes, one line.
        message: String,
        /// The line of the configuration that it is about with a mark below it, several lines.
        excerpt: Option<String>,
    },
}

impl Ending {
    /// The ending that an outcome is.
    ///
    /// A reader that closed the pipe has seen all it wanted: that is no failure.
    pub fn of(outcome: &anyhow::Result<()>) -> Self {
        match outcome {
            Err(error) if error.is::<Interrupted>() => Self::Interrupted(message(error)),
            Err(error) if error.is::<Waiting>() => Self::Waiting(message(error)),
            Err(error) if !is_broken_pipe(error) => Self::Failed {
                message: message(error),
                excerpt: error
                    .downcast_ref::<Place>()
                    .and_then(|place| place.excerpt().map(str::to_owned)),
            },
            _ => Self::Done,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The number of the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Interrupted(_) => INTERRUPTED,
            Self::Waiting(_) => WAITING,
            Self::Failed { .. } => FAILURE,
        }
    }
}

/// Prints a line to stderr, whole; if that is closed there is nobody to tell.
pub fn complain(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The error and its causes, from the outside inwards; a cause that the text before it already ends
/// with is not repeated.
pub(crate) fn message(error: &anyhow::Error) -> String {
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
    plain(&text)
}

/// One line of bounded length that moves no cursor, whatever the files hold that it repeats.
fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = text.chars().count();
    let kept = |letter: char| -> String {
        match letter {
            letter if letter.is_control() => letter.escape_default().collect(),
            letter => letter.into(),
        }
    };
    if length <= LONGEST {
        return text.chars().map(kept).collect();
    }
    let start = text.chars().take(LONGEST - KEPT_AT_END).map(kept);
    let end = text.chars().skip(length - KEPT_AT_END).map(kept);
    format!(
        "{} [...] {}",
        start.collect::<String>(),
        end.collect::<String>()
    )
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // The writers of JSON and CSV keep the error of the stream without naming it as their source.
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<serde_json::Error>() {
            return error.io_error_kind();
        }
        if let Some(csv::ErrorKind::Io(error)) = cause.downcast_ref().map(csv::Error::kind) {
            return Some(error.kind());
        }
        cause.downcast_ref::<io::Error>().map(io::Error::kind)
    };
    error
        .chain()
        .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
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
    fn messages_are_one_plain_line_of_bounded_length() {
        let error = anyhow!("a \u{1b}[31mred\u{7} word\n\tand a line").context("x.csv");
        assert_eq!(
            message(&error),
            "x.csv: a \\u{1b}[31mred\\u{7} word and a line"
        );
        let long = format!("begin {} end", "ä".repeat(100_000));
        let shown = message(&anyhow!(long));
        assert!(shown.starts_with("begin ä") && shown.ends_with("ä end"));
        assert!(shown.chars().count() < LONGEST + 10);
    }

    #[test]
    fn a_place_brings_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "seed = 0\nsed = 1").expect("written");
        let outcome = influence_jobs::config::Config::load(&path, &[]).map(drop);
        let Ending::Failed { message, excerpt } = Ending::of(&outcome) else {
            panic!("it fails");
        };
        assert!(message.contains("c.toml:2: sed: unknown key"), "{message}");
        assert_eq!(excerpt.as_deref(), Some("  |\n2 | sed = 1\n  | ^^^"));
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
            advice: "go on with --resume",
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

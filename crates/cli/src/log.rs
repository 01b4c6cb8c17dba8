//! Structured logs, on stderr.

use std::io::{self, Write};

use clap::ValueEnum;
use indicatif::ProgressBar;
use influence_jobs::watch::Watch;
use tracing_subscriber::{EnvFilter, fmt};

use crate::progress::Progress;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Time, level, target, message, fields.
    Text,
    /// An object of JSON.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Errors.
    Quiet,
    /// Warnings, and of this project up to three levels more: info, debug, trace.
    Verbose(u8),
}

/// Logs what the crates of this project have to say at this level, and the warnings of all others;
/// the environment variable `RUST_LOG` says otherwise where it is set. The bar of the progress is
/// suspended while a line is written.
///
/// Does nothing where logs are collected already.
pub fn install(level: Level, format: LogFormat, progress: &Progress) {
    let bar = progress.bar().clone();
    let wanted = std::env::var("RUST_LOG").ok().filter(|it| !it.is_empty());
    let filter = filter(level, wanted.as_deref(), |message| {
        progress.warn(message);
    });
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(move || Line(bar.clone()));
    // The only failure is that somebody collects already.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// What lies between burn and a GPU, and complains of every driver that is not there while it looks
/// for one that is.
fn of_drivers(level: &str) -> String {
    let each = ["wgpu", "naga", "cubecl"].map(|target| format!("{target}={level}"));
    each.join(",")
}

fn filter(level: Level, wanted: Option<&str>, warn: impl FnOnce(&str)) -> EnvFilter {
    match wanted.map(EnvFilter::try_new) {
        Some(Ok(filter)) => return filter,
        Some(Err(error)) => warn(&format!("RUST_LOG is ignored: {error}")),
        None => {}
    }
    let Level::Verbose(verbosity) = level else {
        return EnvFilter::new(format!("error,{}", of_drivers("off")));
    };
    let level = ["warn", "info", "debug"].get(usize::from(verbosity));
    let level = level.copied().unwrap_or("trace");
    let drivers = match verbosity {
        0 => of_drivers("error"),
        _ => of_drivers("warn"),
    };
    // A target is matched by its beginning: that of all crates of this project.
    EnvFilter::new(format!("warn,{drivers},influence={level}"))
}

/// Writes lines to stderr past the bar; if stderr is closed there is nobody to tell.
struct Line(ProgressBar);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.suspend(|| io::stderr().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, filter};

    #[test]
    fn more_verbose_is_more_of_this_project_only() {
        for (verbosity, level) in [
            (0, "warn"),
            (1, "info"),
            (2, "debug"),
            (3, "trace"),
            (9, "trace"),
        ] {
            let filter = filter(Level::Verbose(verbosity), None, |_| ()).to_string();
            assert!(filter.contains(&format!("influence={level}")), "{filter}");
            assert!(filter.contains("warn"), "{filter}");
        }
        let quiet = filter(Level::Quiet, None, |_| ());
        let quiet = quiet.to_string();
        assert!(
            quiet.contains("error") && quiet.contains("wgpu=off"),
            "{quiet}"
        );
    }

    #[test]
    fn the_environment_goes_before_it() {
        let silent = |message: &str| panic!("{message}");
        let wanted = filter(Level::Verbose(2), Some("zarrs=debug"), silent);
        assert_eq!(wanted.to_string(), "zarrs=debug");
        let mut warning = String::new();
        let fallen_back = filter(Level::Verbose(2), Some("=["), |message| {
            message.clone_into(&mut warning);
        });
        assert!(fallen_back.to_string().contains("influence=debug"));
        assert!(warning.starts_with("RUST_LOG is ignored: "), "{warning}");
    }
}

//! What a command reports while it runs.

use clap::{ArgAction, Args};

use crate::{log, progress::Style};

const TELLING: &str = "Progress and logs";

/// What a command reports on stderr while it runs.
#[derive(Debug, Clone, Copy, Args)]
pub struct Reporting {
    /// How progress is shown, on stderr: auto, bar, lines, json or none
    #[arg(long, value_name = "STYLE", value_enum, default_value_t, global = true, hide_possible_values = true, help_heading = TELLING)]
    pub progress: Style,
    /// Log more: -v what is done, -vv also each step, -vvv everything; `RUST_LOG` takes precedence
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = TELLING)]
    pub verbose: u8,
    /// Print only errors and the requested result
    #[arg(short, long, global = true, help_heading = TELLING, conflicts_with_all = ["verbose", "progress"])]
    pub quiet: bool,
    /// How log lines are written, text or json [default: json where progress is json, else text]
    #[arg(long, value_name = "FORMAT", value_enum, global = true, hide_possible_values = true, hide_short_help = true, help_heading = TELLING)]
    log_format: Option<log::LogFormat>,
}

impl Reporting {
    /// How progress is shown.
    pub fn style(&self) -> Style {
        if self.quiet {
            Style::Quiet
        } else {
            self.progress
        }
    }

    /// How much is logged.
    pub fn level(&self) -> log::Level {
        if self.quiet {
            log::Level::Quiet
        } else {
            log::Level::Verbose(self.verbose)
        }
    }

    /// How log lines are written.
    pub fn log_format(&self) -> log::LogFormat {
        let like_progress = match self.progress {
            Style::Json => log::LogFormat::Json,
            _ => log::LogFormat::Text,
        };
        self.log_format.unwrap_or(like_progress)
    }
}

//! What `--help` says beside the options: commands by task, examples, exit codes.

use std::fmt::Write;

use clap::{Command, builder::Styles};

/// What a script has to know.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done; 2 bad usage or input, or a \
    failure while computing; 75 a share that waits for others; 130 interrupted by a signal. A \
    first Ctrl-C, SIGTERM or SIGHUP lets the chunks in progress be written; a second one stops \
    at once.";

/// What all commands tell while they run.
pub(crate) const TELLING: [&str; 4] = [
    "--progress auto shows a bar on a terminal and else lines; bar shows nothing where stderr \
     is not a terminal; lines gives a line for each phase, one every few seconds in between, \
     and one at the end; none shows warnings and errors alone. Where the environment variable \
     NO_COLOR is set there are lines in place of a bar.",
    "--progress json writes an object on each line, whose key `event` is one of `phase` (phase, \
     seconds), `working` (phase, step, done, total, passes, seconds), `epoch` (epoch, epochs, \
     loss), `assessed` (side, points, sample, loss, accuracy, chance, r2, perplexity, uncounted), \
     `planned` (chunks, finished, rows, columns), `solved` (rows, converged, worst_residual), `chunk` (row, column, \
     done, total, rate, eta_seconds), `warning` (message), `interrupting` (message), and at the \
     end `finished` (done, seconds), `interrupted` (message, done, total, seconds), `waiting` \
     (message, seconds) or `failed` (error, seconds).",
    "--quiet leaves out progress, warnings, and the summary of what `run`, `self`, `sweep`, \
     `fit`, `train`, `init`, `report` or `man` did; `top`, `inspect`, `plan` and other commands \
     that answer a question still print the answer.",
    "--verbose logs what is done, twice also each step, three times everything; the environment \
     variable RUST_LOG takes precedence.",
];

/// What commands say of this in their own help.
const EXIT_CODES_SHORT: &str = "Exit codes: 0 done; 2 failed; 75 waiting for other shares; \
    130 interrupted. `influence --help` says more about them, about progress and about logs.";

/// The usage of `init`, which would not fit into a line.
pub(super) const INIT: &str = "influence init [OPTIONS] [--weights <FILE>] \
    --train <INPUTS> <TARGETS>\n                      \
    [--test <INPUTS> <TARGETS>] [CONFIG.toml]\n       \
    influence init [OPTIONS] [--weights <FILE>] --all <INPUTS> <TARGETS>\n                      \
    [CONFIG.toml]";

/// The usage of `evaluate`: one of its studies, or several.
pub(super) const EVALUATE: &str = "influence evaluate [OPTIONS] --lds <M> <CONFIG.toml>\n       \
    influence evaluate [OPTIONS] --loo <N> <CONFIG.toml>\n       \
    influence evaluate [OPTIONS] --pbrf <N> <CONFIG.toml>\n       \
    influence evaluate [OPTIONS] --removal <K,K> <CONFIG.toml>\n       \
    influence evaluate [OPTIONS] --brittleness <K,K> <CONFIG.toml>\n       \
    influence evaluate [OPTIONS] --flip <SHARE> <CONFIG.toml>";

/// From weights to an answer.
pub(super) const PATH: [&str; 3] = [
    "influence init --weights model.pt --train x.npy y.npy --test xt.npy yt.npy",
    "influence run influence.toml",
    "influence report influences.zarr",
];

/// The columns that a terminal has at least.
const WIDTH: usize = 80;
/// The column that descriptions of commands begin in.
const INDENT: usize = 15;

/// An example: what for, and the command line.
pub(crate) type Example = (&'static str, &'static str);

/// What commands are for, and their names.
pub(super) type Purpose = (&'static str, &'static [&'static str]);

/// The name of a command, and what it may look like.
pub(super) type Examples = (&'static str, &'static [Example]);

/// What follows the options of a command.
pub(super) fn short(examples: &[Example]) -> String {
    let mut text = heading("Examples");
    for (what, line) in examples {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  # {what}\n  {}", folded(line));
    }
    text
}

/// The same with all there is to know.
pub(super) fn long(examples: &[Example]) -> String {
    format!("{}\n\n{EXIT_CODES_SHORT}", short(examples))
}

/// What holds for all commands, said once.
pub(super) fn shared() -> String {
    let telling = TELLING.map(|paragraph| format!("\n\n  {paragraph}"));
    let title = heading("Progress and logs, of every command");
    format!(
        "{title}{}\n\n{EXIT_CODES}",
        telling.concat().replacen("\n\n", "\n", 1)
    )
}

/// A command line that is too long for a terminal, on several lines as a shell takes them.
fn folded(line: &str) -> String {
    let mut text = String::new();
    let mut column = 2;
    for word in line.split(' ') {
        let (space, long) = (!text.is_empty(), column + word.len() + 3 > WIDTH);
        if long && word.starts_with('-') {
            text.push_str(" \\\n    ");
            column = 4;
        } else if space {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text
}

/// The help of the program: commands are listed by task.
pub(super) fn template(commands: &Command, tasks: &[Purpose]) -> String {
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n\n");
    text.push_str(&heading("From a PyTorch state dict to a report"));
    for line in PATH {
        let _ = write!(text, "\n  {line}");
    }
    let listed = |name: &str| tasks.iter().any(|(_, names)| names.contains(&name));
    let others = commands.get_subcommands().map(Command::get_name);
    let others: Vec<&str> = others.filter(|name| !listed(name)).collect();
    let others = (!others.is_empty()).then_some(("Others", &others[..]));
    for (task, names) in tasks.iter().copied().chain(others) {
        let _ = write!(text, "\n\n{}", heading(task));
        for name in names {
            if let Some(about) = about(commands, name) {
                text.push_str(&entry(name, &about));
            }
        }
    }
    text.push_str("\n\n");
    text.push_str(&heading("Options"));
    text.push_str("\n{options}{after-help}");
    text
}

fn about(commands: &Command, name: &str) -> Option<String> {
    if name == "help" {
        return Some("Print this, or the help of a command: `influence help run`".into());
    }
    let about = commands.find_subcommand(name)?.get_about()?;
    Some(about.to_string())
}

fn entry(name: &str, about: &str) -> String {
    let literal = Styles::styled();
    let literal = literal.get_literal();
    let padding = " ".repeat(INDENT.saturating_sub(name.len() + 2));
    let mut text = format!("\n  {literal}{name}{literal:#}{padding}");
    let mut column = INDENT;
    for word in about.split(' ') {
        if column + word.len() > WIDTH {
            let _ = write!(text, "\n{:INDENT$}", "");
            column = INDENT;
        }
        let _ = write!(text, "{word} ");
        column += word.len() + 1;
    }
    text.trim_end().to_owned()
}

fn heading(text: &str) -> String {
    let styles = Styles::styled();
    let style = styles.get_header();
    format!("{style}{text}:{style:#}")
}

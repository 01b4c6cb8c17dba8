//! Runs a table of cases and checks each by the same rules.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::folder::Folder;

/// The longest time of a case, on a machine that is busy with other tests.
const LONGEST: Duration = Duration::from_mins(1);
/// Limit on the address space of a command, in KiB; files that claim more must be refused at once.
const ADDRESS_SPACE: &str = "4194304";
/// The greatest length of a message.
const LETTERS: usize = 1100;

type Spoil = Box<dyn Fn(&Folder)>;

/// The mistake, the command, and the required parts of the message.
pub(crate) struct Case {
    name: &'static str,
    spoil: Spoil,
    arguments: Vec<&'static str>,
    parts: Vec<&'static str>,
    of_usage: bool,
}

/// A case of `influence run config.toml`.
pub(crate) fn case(
    name: &'static str,
    spoil: impl Fn(&Folder) + 'static,
    arguments: &[&'static str],
    parts: &[&'static str],
) -> Case {
    let arguments = [&["run", "config.toml"], arguments].concat();
    of_command(name, spoil, &arguments, parts)
}

/// A case of `influence run config.toml --set KEY=VALUE`.
pub(crate) fn set(name: &'static str, value: &'static str, parts: &[&'static str]) -> Case {
    case(name, nothing, &["--set", value], parts)
}

/// A case of any command.
pub(crate) fn of_command(
    name: &'static str,
    spoil: impl Fn(&Folder) + 'static,
    arguments: &[&'static str],
    parts: &[&'static str],
) -> Case {
    Case {
        name,
        spoil: Box::new(spoil),
        arguments: arguments.to_vec(),
        parts: parts.to_vec(),
        of_usage: false,
    }
}

/// A case that the command line itself refuses, in several lines.
pub(crate) fn of_usage(
    name: &'static str,
    arguments: &[&'static str],
    parts: &[&'static str],
) -> Case {
    let case = of_command(name, nothing, arguments, parts);
    Case {
        of_usage: true,
        ..case
    }
}

pub(crate) fn nothing(_: &Folder) {}

/// Runs all cases, and panics with everything that is wrong with their messages.
pub(crate) fn check(cases: &[Case]) {
    let complaints: Vec<String> = cases.iter().flat_map(Case::complaints).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

impl Case {
    fn complaints(&self) -> Vec<String> {
        let folder = Folder::new();
        (self.spoil)(&folder);
        let before = folder.contents();
        let started = Instant::now();
        let output = bounded(&folder, &self.arguments);
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        // Some mistakes appear only after the first phase was announced.
        let lines = said.lines().filter(|line| !line.starts_with('['));
        let message = lines.collect::<Vec<_>>().join("\n");
        self.print(&message);

        let mut complaints = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                complaints.push(format!("{}: {what}: {message}", self.name));
            }
        };
        expect(
            output.status.code() == Some(2),
            &format!("ended with {}", output.status),
        );
        expect(output.stdout.is_empty(), "something was printed");
        expect(folder.contents() == before, "something was written");
        expect(took < LONGEST, &format!("took {took:?}"));
        expect(message.starts_with("error: "), "no error");
        expect(message.chars().count() <= LETTERS, "too long");
        for sign in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Error {"] {
            expect(!message.contains(sign), sign);
        }
        let plain = message
            .chars()
            .all(|letter| letter == '\n' || !letter.is_control());
        expect(plain, "control characters");
        let mut further = message.lines().skip(1);
        expect(
            self.of_usage || further.all(is_excerpt),
            "more than one message",
        );
        let first = message.lines().next().unwrap_or_default();
        for part in &self.parts {
            let text = if self.of_usage { &message } else { first };
            expect(text.contains(part), &format!("lacks `{part}`"));
        }
        complaints
    }

    fn print(&self, message: &str) {
        if std::env::var_os("INFLUENCE_TABLE").is_some() {
            let first = message.lines().next().unwrap_or_default();
            let first = first.replace('|', "\\|");
            println!(
                "| {} | {} |",
                self.name,
                first.trim_start_matches("error: ")
            );
        }
    }
}

/// Whether a line shows a line of a configuration, or marks it.
fn is_excerpt(line: &str) -> bool {
    line.split_once(" |").is_some_and(|(number, _)| {
        number
            .chars()
            .all(|letter| letter.is_ascii_digit() || letter == ' ')
    })
}

/// Runs a command with a limit on its memory.
fn bounded(folder: &Folder, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_influence");
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v $0; exec \"$@\"", ADDRESS_SPACE, program]);
        shell
    } else {
        Command::new(program)
    };
    command
        .current_dir(folder.path(""))
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "1")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

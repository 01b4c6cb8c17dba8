use clap::{Command, CommandFactory, Parser};

use super::{Arguments, examples};

fn commands() -> Vec<Command> {
    let mut all = Arguments::command();
    all.build();
    let named = all.get_subcommands();
    let named = named.filter(|command| command.get_name() != "help");
    named.cloned().collect()
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

/// The words of a command line up to where its output goes, as a shell splits them.
fn words(line: &str) -> Vec<String> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    let words = words.take_while(|word| !["|", "<", ">", ">>"].contains(word));
    words.map(str::to_owned).collect()
}

#[test]
fn every_example_is_a_command_line() {
    for command in commands() {
        let name = command.get_name();
        let examples = examples(name);
        assert!(!examples.is_empty(), "{name} has no examples");
        assert!(
            examples
                .iter()
                .any(|(_, line)| { words(line).get(1).map(String::as_str) == Some(name) }),
            "{name}"
        );
        for (_, line) in examples {
            assert!(!line.contains(['\'', '"']), "{line} needs a real shell");
            if let Err(error) = Arguments::try_parse_from(words(line)) {
                panic!("{line}: {error}");
            }
        }
    }
}

#[test]
fn every_command_has_a_short_and_a_long_help() {
    for mut command in commands() {
        let name = command.get_name().to_owned();
        let (short, long) = (command.render_help(), command.render_long_help());
        for text in [short.to_string(), long.to_string()] {
            assert!(text.contains("Examples:\n  # "), "{name}: {text}");
        }
        assert!(
            long.to_string().contains("Exit codes: 0 done; 2 "),
            "{name}"
        );
        let about = command.get_about().map(ToString::to_string);
        let about = about.unwrap_or_default();
        assert!(
            about.len() <= 64 && !about.is_empty(),
            "{name}: {about}: {}",
            about.len()
        );
        for option in command.get_arguments() {
            assert!(option.get_help().is_some(), "{name}: {option}");
        }
    }
}

#[test]
fn what_all_commands_share_is_said_once() {
    let of_all = Arguments::command().render_long_help().to_string();
    for part in ["eta_seconds", "NO_COLOR", "`inspect`, `plan`"] {
        assert!(of_all.contains(part), "{part}: {of_all}");
        for mut command in commands() {
            let own = command.render_long_help().to_string();
            assert!(!own.contains(part), "{part}: {own}");
        }
    }
}

#[test]
fn help_fits_into_80_columns() {
    let all = Arguments::command().term_width(80);
    let mut rendered = vec![all.clone().render_help(), all.clone().render_long_help()];
    for command in commands() {
        let mut command = command.term_width(80);
        rendered.extend([command.render_help(), command.render_long_help()]);
    }
    for text in rendered {
        for line in text.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_program_lists_its_commands_by_task() {
    let text = Arguments::command().render_help().to_string();
    for (earlier, later) in [
        ("state dict", "Look:"),
        ("Look:", "\n  plan "),
        ("Compute:", "\n  run "),
        ("Answer:", "\n  report "),
        ("Machine:", "\n  doctor "),
        ("Machine:", "Options:"),
    ] {
        let [first, second] = [earlier, later].map(|part| text.find(part));
        assert!(first.is_some() && first < second, "{later}: {text}");
    }
    for command in commands() {
        let (name, about) = (command.get_name(), command.get_about());
        let line = text.lines().find(|line| {
            line.strip_prefix(&format!("  {name}"))
                .is_some_and(|rest| rest.starts_with(' '))
        });
        let about = about.map(ToString::to_string).unwrap_or_default();
        assert!(
            line.is_some_and(|line| line.contains(&about)),
            "{name}: {text}"
        );
    }
    assert!(!text.contains("Others:"), "{text}");
}

#[test]
fn quiet_and_verbose_exclude_each_other() {
    for (line, valid) in [
        ("influence run c.toml -q", true),
        ("influence -q run c.toml", true),
        ("influence run c.toml -q -v", false),
        ("influence run c.toml -q --progress bar", false),
        ("influence sweep c.toml --damping 1,-1", false),
        ("influence sweep c.toml --damping inf", false),
    ] {
        let parsed = Arguments::try_parse_from(words(line));
        assert_eq!(parsed.is_ok(), valid, "{line}");
    }
}

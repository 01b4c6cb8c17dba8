//! Completions and manual pages.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use clap::CommandFactory;
use influence_cli::args::Arguments;

use crate::{
    folder::Folder,
    program::{commands, said},
};

/// The long options of all commands.
fn options() -> Vec<String> {
    let mut program = Arguments::command();
    program.build();
    let all = program
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let shown = all.filter(|option| !option.is_hide_set());
    let long = shown.filter_map(clap::Arg::get_long);
    let mut long: Vec<String> = long.map(str::to_owned).collect();
    long.sort();
    long.dedup();
    long
}

#[test]
fn completions_know_every_command_and_option() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, complaint, code) = said(&folder.path(""), &["completions", shell]);
        assert_eq!((complaint.as_str(), code), ("", Some(0)));
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        for option in options() {
            assert!(script.contains(&option), "{shell}: {option}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let folder = Folder::new();
    let (script, ..) = said(&folder.path(""), &["completions", "bash"]);
    let bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut bash) = bash else {
        println!("skipped: there is no bash");
        return;
    };
    let mut stdin = bash.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("written");
    drop(stdin);
    let output = bash.wait_with_output().expect("bash runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{complaint}"
    );
}

#[test]
fn manual_pages_say_what_help_says() {
    let folder = Folder::new();
    let (out, complaint, code) = said(&folder.path(""), &["man", "share/man1"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(
        out,
        format!("wrote {} pages to share/man1\n", commands().len() + 1)
    );
    let page = |name: &str| {
        let path = folder.path("share/man1").join(name);
        let page = fs::read_to_string(path).expect(name);
        page.replace("\\-", "-")
    };
    let program = page("influence.1");
    let mut all = String::new();
    for command in commands() {
        assert!(
            program.contains(&format!("influence-{command}(1)")),
            "{command}"
        );
        let page = page(&format!("influence-{command}.1"));
        for part in [
            format!(".TH influence-{command} 1"),
            ".SH NAME".into(),
            ".SH EXAMPLES".into(),
            format!("influence {command}"),
            ".SH \"EXIT STATUS\"".into(),
            "130 interrupted".into(),
            "--quiet".into(),
        ] {
            assert!(page.contains(&part), "{command} lacks {part}: {page}");
        }
        assert!(!page.contains('\u{1b}'), "{command}");
        all.push_str(&page);
    }
    for option in options() {
        assert!(all.contains(&format!("--{option}")), "{option}");
    }
    assert!(!page("influence-plan.1").contains("--dry-run"));
}

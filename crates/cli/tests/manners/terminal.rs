//! Colours and codes of terminals.

use std::process::Command;

use crate::{
    folder::Folder,
    program::{computed, program},
};

/// How every code of a terminal begins.
const ESCAPE: u8 = 0x1b;

/// The commands whose output is checked, successful and failing ones.
const COMMANDS: [&[&str]; 8] = [
    &["--help"],
    &["help", "run"],
    &["run", "-h"],
    &["rnu"],
    &["run", "config.toml", "--overwrite", "-v"],
    &["run", "config.toml", "--set", "sead=1"],
    &["top", "influences.zarr"],
    &["doctor"],
];

#[test]
fn without_a_terminal_there_are_no_codes() {
    let folder = computed();
    for arguments in COMMANDS {
        let output = program(&folder.path(""), arguments).output();
        let output = output.expect("the binary runs");
        let bytes = [output.stdout, output.stderr].concat();
        assert!(
            !bytes.is_empty() && !bytes.contains(&ESCAPE),
            "{arguments:?}"
        );
    }
}

/// The output of a command on a terminal, where a program can create one.
fn on_a_terminal(folder: &Folder, arguments: &[&str], no_color: &str) -> Option<Vec<u8>> {
    let found = Command::new("script").arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        println!("skipped: there is no `script` (util-linux)");
        return None;
    }
    let words = [&[env!("CARGO_BIN_EXE_influence")], arguments].concat();
    let line = words.iter().map(|word| format!("'{word}' "));
    let output = Command::new("script")
        .args(["-qec", &line.collect::<String>(), "/dev/null"])
        .current_dir(folder.path(""))
        .env_remove("RUST_LOG")
        .env_remove("CLICOLOR_FORCE")
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", no_color)
        .output();
    Some(output.expect("script runs").stdout)
}

#[test]
fn a_terminal_that_is_to_stay_plain_gets_no_codes() {
    let folder = computed();
    for arguments in COMMANDS {
        let Some(shown) = on_a_terminal(&folder, arguments, "1") else {
            return;
        };
        assert!(!shown.is_empty(), "{arguments:?}");
        let text = String::from_utf8_lossy(&shown);
        assert!(!shown.contains(&ESCAPE), "{arguments:?}: {text}");
    }
}

/// Without any codes the test above would prove nothing.
#[test]
fn a_terminal_gets_codes_otherwise() {
    let folder = computed();
    for arguments in [COMMANDS[0], COMMANDS[4]] {
        let Some(shown) = on_a_terminal(&folder, arguments, "") else {
            return;
        };
        assert!(shown.contains(&ESCAPE), "{arguments:?}");
    }
}

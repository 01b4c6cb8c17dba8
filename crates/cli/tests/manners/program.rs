//! The program, run in a folder.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::folder::Folder;

/// The commands that the program has.
pub(crate) fn commands() -> Vec<String> {
    use clap::CommandFactory;

    let program = influence_cli::args::Arguments::command();
    let names = program.get_subcommands().map(clap::Command::get_name);
    names.map(str::to_owned).collect()
}

pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .args(arguments);
    command
}

/// The output of a command on stdout and stderr, and its exit code.
pub(crate) fn said(folder: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = program(folder, arguments).output();
    texts(&output.expect("the binary runs"))
}

pub(crate) fn texts(output: &Output) -> (String, String, Option<i32>) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| {
        let text = String::from_utf8(bytes.clone());
        text.expect("text")
    });
    (out, err, output.status.code())
}

/// A folder with `influences.zarr` and `self.zarr`.
pub(crate) fn computed() -> Folder {
    let folder = Folder::new();
    for arguments in [
        &["run", "config.toml"][..],
        &["self", "config.toml", "--set", "output.path=self.zarr"],
    ] {
        let (_, complaint, code) = said(&folder.path(""), arguments);
        assert_eq!(code, Some(0), "{complaint}");
    }
    folder
}

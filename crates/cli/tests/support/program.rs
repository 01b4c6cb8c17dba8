//! The program, run in a folder.

use std::{
    path::Path,
    process::{Command, Output},
};

pub(crate) fn outcome(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let outcome = command.current_dir(folder).args(arguments).output();
    outcome.expect("the binary runs")
}

/// The output of a run that succeeds.
pub(crate) fn influence(folder: &Path, arguments: &[&str]) -> String {
    let outcome = outcome(folder, arguments);
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

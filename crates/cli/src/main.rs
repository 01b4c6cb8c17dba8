//! The command `influence`.

use std::process::ExitCode;

use influence_cli::{run_with, subject::SequentialModels};

fn main() -> ExitCode {
    run_with(&SequentialModels, std::env::args_os())
}

//! The command `influence`.

use std::process::ExitCode;

use clap::Parser;
use influence_cli::{args::Arguments, error, execute};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    error::exit_code(&execute(&arguments, &mut std::io::stdout().lock()))
}

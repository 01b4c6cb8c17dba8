//! The command `influence`.

use std::process::ExitCode;

use clap::Parser;
use influence_cli::{args::Arguments, execute, session::Session};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let session = Session::new(&arguments.reporting);
    let outcome = execute(&arguments.command, &session, &mut std::io::stdout().lock());
    session.end(&outcome).exit_code()
}

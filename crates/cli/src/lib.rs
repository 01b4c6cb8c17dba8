//! The command `influence`: parse → plan → run.
//!
//! [`config`] reads what is asked for, [`plan`] checks it against the files before anything is computed or written, and [`mod@run`] hands
//! the work to the backend and the calculators, within a [`session`] that shows how far it is and listens to signals. [`demo`] shows on real data what influences are good for. No mathematics lives here.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda` NVIDIA GPU.
//! Off by default: `object-store`, `s3`, `gcs`, `azure` for outputs at URLs; `http` for reading.

pub mod answers;
pub mod args;
pub mod config;
pub mod data;
pub mod demo;
pub mod digest;
pub mod error;
pub mod fit;
pub mod init;
pub mod interrupt;
pub mod log;
pub mod memory;
pub mod model;
pub mod output;
pub mod overrides;
pub mod plan;
pub mod progress;
pub mod run;
pub mod schedule;
pub mod session;
pub mod summary;
pub mod sweep;
pub mod verify;
pub mod weights;

use std::io::Write;

use args::Command;
use session::Session;

/// Does what the command line says, within a session, and prints to `out`.
///
/// # Errors
/// Whatever the command reports.
pub fn execute(command: &Command, session: &Session, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::Init(arguments) => init::run(arguments, out)?,
        Command::Demo(arguments) => demo::run(arguments, session, out)?,
        Command::Run(arguments) => run::run(arguments, session, out)?,
        Command::Own(arguments) => run::run_self(arguments, session, out)?,
        Command::Sweep(arguments) => sweep::run(arguments, session, out)?,
        Command::Fit(arguments) => fit::run(arguments, session, out)?,
        Command::Plan(arguments) => schedule::run(arguments, out)?,
        Command::Verify(arguments) => verify::run(arguments, session, out)?,
        Command::Inspect(arguments) => answers::inspect(arguments, out)?,
        Command::Top(arguments) => answers::top(arguments, out)?,
        Command::Report(arguments) => answers::report(arguments, out)?,
        Command::Mislabelled(arguments) => answers::mislabelled(arguments, out)?,
    }
    Ok(out.flush()?)
}

//! The command `influence`: parse → plan → run.
//!
//! [`config`] reads what is asked for, [`plan`] checks it against the files before anything is computed or written, and [`mod@run`] hands
//! the work to the backend and the calculators, within a [`session`] that shows how far it is and listens to signals. [`demo`] shows on real data what influences are good for. No mathematics lives here.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda` NVIDIA GPU.
//! Off by default: `object-store`, `s3`, `gcs`, `azure` for outputs at URLs; `http` for reading.

pub mod answers;
pub mod args;
pub mod assessment;
pub mod config;
pub mod demo;
pub mod digest;
pub mod doctor;
#[cfg(all(unix, feature = "wgpu"))]
pub mod drivers;
pub mod error;
pub mod fit;
pub mod init;
pub mod interrupt;
pub mod log;
pub mod manual;
pub mod memory;
pub mod model;
pub mod output;
pub mod overrides;
pub mod plan;
mod prediction;
pub mod progress;
mod record;
pub mod run;
pub mod schedule;
pub mod session;
pub mod subject;
pub mod summary;
pub mod sweep;
pub mod train;
pub mod verify;
pub mod weights;

use std::{ffi::OsString, io::Write, process::ExitCode};

use args::{Arguments, Command};
use clap::Parser;
use influence_calculators::share_threads;
use session::Session;
use subject::Models;

pub use subject::OwnModel;

/// The whole command line for models of one's own: parses `args`, the name of the program first, does what they say, and tells how it ended.
///
/// [`OwnModel`] joins a task and a burn module; in the configuration `model` then has `weights` alone.
///
/// # Examples
/// ```no_run
/// use std::process::ExitCode;
///
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor}};
/// use influence_backend_burn::Classification;
/// use influence_cli::{OwnModel, run_with};
///
/// #[derive(Module, Debug)]
/// struct Softmax { layer: Linear }
///
/// fn main() -> ExitCode {
///     let task = Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x));
///     let init = |device: &Device| Softmax { layer: LinearConfig::new(64, 10).init(device) };
///     run_with(&OwnModel::new(task, init), std::env::args_os())
/// }
/// ```
pub fn run_with(
    models: &dyn Models,
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::FAILURE));
        }
    };
    if let Some(threads) = arguments.command.threads() {
        share_threads(threads);
    }
    let session = Session::new(&arguments.reporting);
    let out = &mut std::io::stdout().lock();
    let outcome = execute(&arguments.command, models, &session, out);
    session.end(&outcome).exit_code()
}

/// Does what the command line says, within a session, and prints to `out`.
///
/// # Errors
/// Whatever the command reports.
pub fn execute(
    command: &Command,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match command {
        Command::Init(arguments) => {
            init::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Train(arguments) => {
            train::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Demo(arguments) => demo::run(arguments, session, out)?,
        Command::Run(arguments) => {
            run::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Own(arguments) => {
            run::run_self(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Sweep(arguments) => {
            sweep::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Fit(arguments) => {
            fit::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Plan(arguments) => schedule::run(arguments, models, session, out)?,
        Command::Verify(arguments) => verify::run(arguments, models, session, out)?,
        Command::Inspect(arguments) => answers::inspect(arguments, out)?,
        Command::Top(arguments) => answers::top(arguments, models, out)?,
        Command::Report(arguments) => {
            answers::report(arguments, models, &mut session.summary(out))?;
        }
        Command::Mislabelled(arguments) => answers::mislabelled(arguments, models, out)?,
        Command::Doctor(arguments) => doctor::run(arguments, out)?,
        Command::Completions(arguments) => manual::completions(arguments, out)?,
        Command::Man(arguments) => manual::pages(arguments, &mut session.summary(out))?,
    }
    Ok(out.flush()?)
}

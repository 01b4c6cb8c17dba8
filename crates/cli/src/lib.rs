//! The command `influence`: parse → plan → run.
//!
//! [`config`] reads what is asked for, [`plan`] checks it against the files before anything is
//! computed or written, and [`mod@run`] hands the work to the backend and the calculators, within a
//! [`session`] that shows how far it is and listens to signals. [`demo`] shows on real data what
//! influences are good for. No mathematics lives here.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through
//! WebGPU; `cuda` NVIDIA GPU. Off by default: `object-store`, `s3`, `gcs`, `azure` for outputs at
//! URLs; `http` for reading.

pub mod args;
pub mod assessment;
pub mod commands;
pub mod config;
pub mod digest;
#[cfg(all(unix, feature = "wgpu"))]
pub mod drivers;
pub mod error;
pub mod fit;
pub mod fit_settings;
pub mod init;
pub mod interrupt;
pub mod listing;
pub mod log;
pub mod memory;
pub mod model;
pub mod models;
pub mod output;
pub mod overrides;
pub mod plan;
mod prediction;
pub mod progress;
pub mod queries;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod session;
mod setup;
pub mod summary;
pub mod train;
pub mod verify;
pub mod watch;
pub mod weights;

use std::{ffi::OsString, process::ExitCode};

use args::Arguments;
use clap::Parser;
use influence_calculators::share_threads;
use models::Models;
use session::Session;

pub use commands::execute;
pub use models::OwnModel;

/// The whole command line for custom models: parses `args`, the name of the program first,
/// does what they say, and tells how it ended.
///
/// [`OwnModel`] joins a task and a burn module; in the configuration `model` then has `weights`
/// alone.
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

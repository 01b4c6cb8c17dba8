//! The command `influence`: arguments, what it prints, and how it ends.
//!
//! ```text
//!  args ──> commands ──> influence_jobs          no numbers are computed here
//!              │   ^
//!              │   └── session: progress (bar, lines, JSON), log, interrupt (signals), error
//!              └─────> summary, listing (table, CSV, JSON, Parquet), report (a page, its charts)
//! ```
//!
//! [`args`] defines the command line, [`commands`] hand plain values to [`influence_jobs`] within a
//! [`session`], which shows how far they are and listens to signals, and print what came of it.
//! Everything that can be done without a terminal is in [`influence_jobs`].
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through
//! WebGPU; `cuda` NVIDIA GPU. Off by default: `object-store`, `s3`, `gcs`, `azure` for outputs at
//! URLs; `http` for reading; `mpi` for commands that several processes do together.

pub mod args;
pub mod commands;
mod cores;
#[cfg(all(unix, feature = "wgpu"))]
pub mod drivers;
pub mod error;
pub mod interrupt;
pub mod listing;
pub mod log;
pub mod progress;
pub mod report;
pub mod session;
pub mod summary;

use std::{ffi::OsString, process::ExitCode};

use args::Arguments;
use clap::Parser;
use cores::Cores;
use influence_calculators::share_threads;
use influence_cluster::World;
use session::Session;

pub use commands::execute;
pub use influence_jobs::{
    config,
    models::{ConfiguredModels, Models, OwnModel},
};

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
    // MPI starts threads.
    interrupt::keep_hangup_ignored();
    let joined = arguments.command.by_mpi().then(World::join).transpose();
    let (world, joined) = match joined {
        Ok(world) => (world, Ok(())),
        Err(error) => (None, Err(error.into())),
    };
    let of_rank = || world.as_ref().map(|world| Cores::of(world).threads());
    if let Some(threads) = arguments.command.threads().or_else(of_rank) {
        share_threads(threads);
    }
    let session = Session::new(&arguments.reporting, world);
    let out = &mut std::io::stdout().lock();
    let outcome = joined.and_then(|()| execute(&arguments.command, models, &session, out));
    session.end(&outcome).exit_code()
}
